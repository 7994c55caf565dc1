//! The chart, installed by real Helm. Runs last: it takes the operator of the other scenarios away, and its definitions.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::TimeDelta;
use k8s_openapi::{
    api::{
        core::v1::{Namespace, Pod},
        rbac::v1::ClusterRole,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use serin_api::Outcome;
use serin_bed::HelmLine;
use serin_e2e::{
    Error, client,
    helm::{Helm, chart},
    images::{self, Version},
    install::NAMESPACE,
    ring::{PATIENCE, Scene, audit, patient, run_alone, status},
};

const RELEASE: &str = "serin";

#[tokio::test(flavor = "multi_thread")]
async fn installed_upgraded_and_removed_by_helm_while_models_serve() {
    run_alone("helm", async |scene| {
        if scene.ring.bed.is_external() {
            eprintln!("skipped: a given cluster keeps its operator");
            return Ok(());
        }
        let helm = Helm::of(&scene.ring.bed, HelmLine::Four)?;
        clear(scene, &helm).await?;
        namespace(scene)?;
        upgraded_with_a_canary_in_flight(scene, &helm).await?;
        away_and_back_in_one_namespace(scene, &helm).await?;
        definitions_go_while_a_model_serves(scene, &helm).await?;
        clear(scene, &helm).await?;
        // As the other scenarios expect it.
        serin_e2e::install::operator(&scene.ring.bed, &scene.kube).await
    })
    .await;
}

/// From the chart before, installed by Helm 3, to this one by Helm 4: no pod that serves is touched, no request is lost, the
/// canary goes on.
async fn upgraded_with_a_canary_in_flight(scene: &mut Scene, helm: &Helm) -> Result<(), Error> {
    let before = previous()?;
    install(scene, &Helm::of(&scene.ring.bed, HelmLine::Three)?, &before, &[])?;
    scene.wine.replicas = 2;
    scene.wine.rollout = patient(30);
    scene.begin().await?;
    let load = scene.load(50)?;
    scene.answers(&load, Version::V1).await?;
    scene.apply(Version::V2).await?;
    let md = scene.canary("v2").await?;
    let v2 = status(&md).candidate.ok_or("no candidate")?.revision;
    let (stable, candidate) = (scene.stable_pods().await?, scene.pods_of(&v2).await?);
    assert_eq!(stable.len(), 2);
    let operator = operators(scene).await?;
    assert_eq!(operator.len(), 2);

    let mark = audit::mark(&scene.ring.bed);
    let now = chart().to_string_lossy().into_owned();
    install(scene, helm, &now, &[])?;
    // Helm waits for the new ones; the old ones may still be on their way out.
    client::until("the operators are other ones", PATIENCE, || async {
        let now = operators(scene).await.map_err(|e| e.to_string())?;
        if now.len() == 2 && now.is_disjoint(&operator) {
            Ok(())
        } else {
            Err(format!("{operator:?}, {now:?}"))
        }
    })
    .await?;
    let gap = without_a_leader(scene, mark)?;
    eprintln!("upgraded: {} ms without a leader at most", gap.num_milliseconds());
    assert!(gap < TimeDelta::seconds(2), "the lease was given back, not waited for: {gap}");
    assert_eq!(scene.stable_pods().await?, stable, "no serving pod was replaced or restarted");
    unchanged(&candidate, &scene.pods_of(&v2).await?);
    let before = scene.status().await?;
    assert!(
        before.history.iter().all(|h| h.version != "v2"),
        "the canary was in flight: {:?}",
        before.history
    );

    scene.ended("v2", Outcome::Promoted).await?;
    scene.serves("v2").await?;
    scene.answers(&load, Version::V2).await?;
    scene.settled().await?;
    unchanged(&candidate, &scene.pods_of(&v2).await?);
    let counts = load.stop().await?;
    assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
    eprintln!("upgraded within a canary: {counts:?}");
    Ok(())
}

/// Uninstalled, models serve on; installed again for their namespace only, it finds them, and needs no `ClusterRole`.
async fn away_and_back_in_one_namespace(scene: &mut Scene, helm: &Helm) -> Result<(), Error> {
    let serving = scene.stable_pods().await?;
    let load = scene.load(50)?;
    scene.answers(&load, Version::V2).await?;
    uninstall(helm)?;
    // Until then it asks with rights that are gone.
    client::until("no operator is left", PATIENCE, || async {
        let left = operators(scene).await.map_err(|e| e.to_string())?;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await?;
    assert_eq!(definitions(scene).await?, 4, "kept");
    scene.answers(&load, Version::V2).await?;
    assert_eq!(scene.stable_pods().await?, serving);

    let mark = audit::mark(&scene.ring.bed);
    let now = chart().to_string_lossy().into_owned();
    let namespaced = format!("watchNamespace={}", scene.wine.namespace);
    install(scene, helm, &now, &["--set", &namespaced])?;
    let roles: Api<ClusterRole> = Api::all(scene.kube.clone());
    let ours = ListParams::default().labels("app.kubernetes.io/instance=serin");
    let roles = roles.list(&ours).await?.items;
    assert!(roles.is_empty(), "{roles:?}");
    assert_eq!(scene.stable_pods().await?, serving, "what serves is found, not made again");
    scene.wine.rollout = serin_e2e::ring::quick();
    scene.apply(Version::V1).await?;
    scene.serves("v1").await?;
    scene.answers(&load, Version::V1).await?;
    let counts = load.stop().await?;
    assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
    let calls = audit::since(&scene.ring.bed, mark)?;
    let refused: Vec<String> = calls.iter().filter(|c| c.forbidden).map(ToString::to_string).collect();
    assert!(!calls.is_empty() && refused.is_empty(), "refused: {refused:#?}");
    Ok(())
}

/// The worst order: the definitions under a model that serves, then the operator. Nothing waits for anybody.
async fn definitions_go_while_a_model_serves(scene: &mut Scene, helm: &Helm) -> Result<(), Error> {
    remove_definitions(scene).await?;
    uninstall(helm)?;
    client::until("the model's pods are collected", PATIENCE, || async {
        let left =
            scene.kubectl(&["get", "deployments,pods,services", "-o", "name", "-n", &scene.wine.namespace]);
        match left.map_err(|e| e.to_string())? {
            left if left.is_empty() => Ok(()),
            left => Err(left),
        }
    })
    .await?;
    let namespaces: Api<Namespace> = Api::all(scene.kube.clone());
    namespaces.delete(&scene.wine.namespace, &DeleteParams::default()).await?;
    gone(scene, &scene.wine.namespace).await
}

/// The chart as it was before, as long as none was released: another version of the same, whose pod differs.
fn previous() -> Result<String, Error> {
    let folder = images::target().join("e2e/helm/previous");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let copied = std::process::Command::new("cp").arg("-r").arg(chart()).arg(&folder).status()?;
    assert!(copied.success());
    let path = folder.join("Chart.yaml");
    let text = std::fs::read_to_string(&path)?;
    let old = text.replace("\nversion: 0.1.0\n", "\nversion: 0.0.9\n");
    assert_ne!(old, text);
    std::fs::write(path, old)?;
    let path = folder.join("values.yaml");
    let text = std::fs::read_to_string(&path)?;
    let old = text.replace("\npodAnnotations: {}\n", "\npodAnnotations: {example.com/chart: before}\n");
    assert_ne!(old, text);
    std::fs::write(path, old)?;
    Ok(folder.to_string_lossy().into_owned())
}

/// Longest time between a lease given back and the next renewal, by the apiserver's clock: each renewal is a write.
fn without_a_leader(scene: &Scene, mark: audit::Mark) -> Result<TimeDelta, Error> {
    let calls = audit::since(&scene.ring.bed, mark)?;
    let mut renewed: Vec<_> = calls
        .iter()
        .filter(|c| c.resource == "leases" && c.verb == "patch" && c.code < 300)
        .map(|c| c.at)
        .collect();
    renewed.sort();
    let gaps = renewed.windows(2).map(|pair| pair[1] - pair[0]);
    // Two seconds between two renewals of one leader are as it should be.
    Ok(gaps
        .map(|gap| gap - TimeDelta::seconds(2))
        .max()
        .ok_or("the lease was never renewed")?
        .max(TimeDelta::zero()))
}

fn uninstall(helm: &Helm) -> Result<(), Error> {
    let args = ["uninstall", RELEASE, "-n", NAMESPACE, "--ignore-not-found", "--wait", "--timeout", "2m"];
    helm.run(&args).map(drop)
}

fn install(scene: &Scene, helm: &Helm, chart: &str, more: &[&str]) -> Result<(), Error> {
    let url = scene.ring.bed.prometheus_url().ok_or("no Prometheus")?;
    let url = format!("prometheus.url={url}");
    let mut args = vec!["upgrade", "--install", RELEASE, chart, "-n", NAMESPACE, "--wait", "--timeout", "2m"];
    args.extend(["--set", &url]);
    args.extend(more);
    helm.run(&args).map(drop)
}

/// Where only restricted pods may be.
fn namespace(scene: &Scene) -> Result<(), Error> {
    client::apply(
        &scene.ring.bed,
        &format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n  labels:\n    pod-security.kubernetes.io/enforce: restricted\n"
        ),
    )
}

/// No operator, no definitions.
async fn clear(scene: &Scene, helm: &Helm) -> Result<(), Error> {
    uninstall(helm)?;
    let manifest = images::repository().join("deploy/operator.yaml");
    let manifest = manifest.to_string_lossy();
    scene.kubectl(&["delete", "--ignore-not-found", "--wait=false", "-f", &manifest])?;
    gone(scene, NAMESPACE).await?;
    remove_definitions(scene).await
}

async fn remove_definitions(scene: &Scene) -> Result<(), Error> {
    let folder = images::repository().join("crds");
    let folder = folder.to_string_lossy();
    scene.kubectl(&["delete", "--ignore-not-found", "--wait=false", "-f", &folder])?;
    client::until("the definitions are gone", Duration::from_mins(1), || async {
        match definitions(scene).await.map_err(|e| e.to_string())? {
            0 => Ok(()),
            left => Err(format!("{left} are left")),
        }
    })
    .await
}

async fn definitions(scene: &Scene) -> Result<usize, Error> {
    let all: Api<CustomResourceDefinition> = Api::all(scene.kube.clone());
    let all = all.list(&ListParams::default()).await?;
    Ok(all.items.iter().filter(|crd| crd.spec.group == "serin.dev").count())
}

async fn gone(scene: &Scene, namespace: &str) -> Result<(), Error> {
    let all: Api<Namespace> = Api::all(scene.kube.clone());
    client::until(&format!("namespace {namespace} is gone"), Duration::from_mins(1), || async {
        match all.get_opt(namespace).await {
            Ok(None) => Ok(()),
            other => Err(format!("{:?}", other.map(|n| n.and_then(|n| n.status)))),
        }
    })
    .await
}

/// The operator's pods, with those on their way out.
async fn operators(scene: &Scene) -> Result<BTreeSet<String>, Error> {
    let pods: Api<Pod> = Api::namespaced(scene.kube.clone(), NAMESPACE);
    let ours = ListParams::default().labels("app.kubernetes.io/name=serin");
    Ok(pods.list(&ours).await?.items.into_iter().filter_map(|pod| pod.metadata.uid).collect())
}

/// Those that were there are there, with as many restarts.
fn unchanged(before: &BTreeMap<String, i32>, now: &BTreeMap<String, i32>) {
    assert!(!before.is_empty());
    for (uid, restarts) in before {
        assert_eq!(now.get(uid), Some(restarts), "{before:?}, {now:?}");
    }
}
