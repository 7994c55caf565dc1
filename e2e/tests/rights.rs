//! The operator's rights against what it really asked for. Runs after the scenarios, on the log that they left; alone,
//! it plays a small one first.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use serin_api::Outcome;
use serin_e2e::{
    Error, client,
    images::Version,
    install::NAMESPACE,
    ring::{
        PATIENCE, Scene,
        audit::{self, Right},
        run_alone,
    },
    training::{Recipe, succeeded},
};

/// Granted, and not seen here, each for a reason. The control-plane ring sees all but the first used.
const UNSEEN: [(&str, &str, &str, &str); 15] = [
    ("serin.dev", "trainingruns/finalizers", "update", "asked by an admission plugin (OpenShift)"),
    ("serin.dev", "retrainpolicies/finalizers", "update", "asked by an admission plugin (OpenShift)"),
    ("serin.dev", "modelversions", "get", "only where a name is taken already"),
    ("batch", "jobs", "get", "only where a name is taken already"),
    ("", "services", "delete", "only after a gang"),
    ("serin.dev", "modeldeployments/finalizers", "update", "asked by an admission plugin (OpenShift)"),
    ("events.k8s.io", "events", "patch", "only where the same is said again"),
    ("apps", "deployments", "get", "only where a name is taken already"),
    ("", "services", "get", "only where a name is taken already"),
    ("policy", "poddisruptionbudgets", "get", "only where a name is taken already"),
    ("policy", "poddisruptionbudgets", "patch", "only where availability.maxUnavailable changes"),
    ("policy", "poddisruptionbudgets", "delete", "only where it is taken away"),
    ("gateway.networking.k8s.io", "httproutes", "get", "only where a name is taken already"),
    ("gateway.networking.k8s.io", "gateways", "get", "only for a shadow"),
    ("gateway.networking.k8s.io", "gatewayclasses", "get", "only for a shadow"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_was_refused_nothing_and_needs_what_it_is_granted() {
    run_alone("rights", async |scene| {
        if scene.ring.bed.is_external() {
            eprintln!("skipped: the log of a given cluster's apiserver is not at hand");
            return Ok(());
        }
        small_story(scene).await?;
        let calls = audit::since(&scene.ring.bed, audit::Mark::default())?;
        let refused: Vec<String> = calls.iter().filter(|c| c.forbidden).map(ToString::to_string).collect();
        assert!(refused.is_empty(), "refused: {refused:#?}");
        let granted = granted(scene).await?;
        let used = audit::used(&calls);
        let beyond: Vec<&Right> = used.difference(&granted).collect();
        assert!(beyond.is_empty(), "used, but not in deploy/operator.yaml: {beyond:#?}");
        let mut surprises = Vec::new();
        for right in granted.difference(&used) {
            let (group, resource, verb) = right;
            let known = UNSEEN.iter().find(|u| (u.0, u.1, u.2) == (group, resource, verb));
            let why = known.map_or("NO REASON KNOWN", |u| u.3);
            eprintln!("granted, not used here: {verb} {group}/{resource} ({why})");
            if known.is_none() {
                surprises.push(right.clone());
            }
        }
        assert!(surprises.is_empty(), "granted, but never used: {surprises:#?}");
        eprintln!("{} calls, {} different rights used of {} granted", calls.len(), used.len(), granted.len());
        Ok(())
    })
    .await;
}

/// A training whose model is judged, and one of known inputs. Then serving: behind one Service without pods, where a version takes over at once; then a promotion behind the gateway, until the
/// former version is removed.
async fn small_story(scene: &mut Scene) -> Result<(), Error> {
    let training = scene.training()?;
    for name in ["one", "two"] {
        let mut object = training.judged(name, Recipe::V1)?;
        object["spec"]["retention"] = json!({"jobsSeconds": 0});
        training.apply(&scene.kube, &object).await?;
        training.until(&scene.kube, name, "a version", PATIENCE, succeeded).await?;
        training.cleared(&scene.kube, name, PATIENCE).await?;
    }

    training.bring("light.csv")?;
    let policy = training.policy("again", &json!([{"name": "stale", "maxAge": {"seconds": 60}}]))?;
    let params = PatchParams::apply("e2e").force();
    training.policies(&scene.kube).patch("again", &params, &Patch::Apply(&policy)).await?;
    client::until("a policy starts a run", PATIENCE, || async {
        let policy = training.policies(&scene.kube).get("again").await.map_err(|e| e.to_string())?;
        let runs = policy.status.unwrap_or_default().runs;
        if runs.is_empty() { Err("none yet".to_owned()) } else { Ok(()) }
    })
    .await?;

    let host = scene.wine.host.take();
    scene.wine.replicas = 0;
    scene.apply(Version::V1).await?;
    scene.ended("v1", Outcome::Deployed).await?;
    scene.apply(Version::V2).await?;
    scene.ended("v2", Outcome::Deployed).await?;
    scene.delete().await?;

    scene.wine.host = host;
    scene.wine.replicas = 2;
    scene.begin().await?;
    let load = scene.load(100)?;
    scene.apply(Version::V2).await?;
    scene.ended("v2", Outcome::Promoted).await?;
    scene.settled().await?;
    load.stop().await?;
    Ok(())
}

/// As installed from `deploy/operator.yaml`.
async fn granted(scene: &Scene) -> Result<BTreeSet<Right>, Error> {
    let role = Api::<ClusterRole>::all(scene.kube.clone()).get("serin").await?;
    let lease = Api::<Role>::namespaced(scene.kube.clone(), NAMESPACE).get("serin-lease").await?;
    let mut all = BTreeSet::new();
    for rule in role.rules.into_iter().chain(lease.rules).flatten() {
        for group in rule.api_groups.unwrap_or_default() {
            for resource in rule.resources.clone().unwrap_or_default() {
                all.extend(rule.verbs.iter().map(|verb| (group.clone(), resource.clone(), verb.clone())));
            }
        }
    }
    Ok(all)
}
