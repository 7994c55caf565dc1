//! The phases of the demo, and what must have happened in each.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::ListParams};
use serin_api::{ModelDeployment, Outcome, conditions};
use serin_bed::Bed;

use super::{
    Arguments, Shared,
    timeline::{Row, lock},
};
use crate::{
    Error, client,
    images::{self, Built, Version},
    install,
    load::Load,
    wine::Wine,
};

const NAMESPACE: &str = "demo";
/// A rollout of the demo takes about 40 s; a slow machine gets its time.
const ROLLOUT: Duration = Duration::from_mins(4);
/// Longest life of the load generator, should the harness die.
const LOAD_SECONDS: u32 = 900;

/// Tells the story on a bed.
pub async fn tell(arguments: &Arguments, bed: &Bed, timeline: &Shared) -> Result<(), Error> {
    lock(timeline).begin("images", "static binaries, trained models, images");
    let built = {
        let shared = timeline.clone();
        tokio::task::spawn_blocking(move || images::build(&mut |line| lock(&shared).say(line))).await??
    };
    built.load_into(bed)?;
    let accuracy = |v| built.model(v).ok().and_then(|m| m.accuracy).map_or(0.0, |a| 100.0 * a);
    lock(timeline).done(&format!(
        "accuracy on held-out rows: v1 {:.1} %, v2 {:.1} %, v3 {:.1} %",
        accuracy(Version::V1),
        accuracy(Version::V2),
        accuracy(Version::BadFeatures)
    ));
    lock(timeline).versions = [(Version::V1, "v1"), (Version::V2, "v2"), (Version::BadFeatures, "v3")]
        .into_iter()
        .filter_map(|(v, name)| Some((built.model(v).ok()?.digest.clone(), name.to_owned())))
        .collect();

    lock(timeline).begin("install", "CRDs, rights and the operator, from the committed manifests");
    let kube = client::of(bed.kubeconfig()).await?;
    install::operator(bed, &kube).await?;
    install::store(bed, &kube, NAMESPACE).await?;
    lock(timeline).done("the operator is ready");

    let wine = Wine::new(NAMESPACE, "wine");
    wine.gone(&kube).await?;
    lock(timeline).begin("v1", "the first version is served");
    wine.apply(&kube, &built, Version::V1).await?;
    let first = built.model(Version::V1)?.digest.clone();
    watch(&kube, &wine, None, timeline, "v1 serves", |md| {
        let s = status(md);
        conditions::is_true(&s.conditions, conditions::Type::Ready)
            && s.stable.is_some_and(|s| s.digest == first)
    })
    .await?;
    let host = wine.host.clone().unwrap_or_default();
    let report = images::target().join("demo/load.jsonl");
    std::fs::create_dir_all(images::target().join("demo"))?;
    Load::reachable(bed, &built, &host, &report).await?;
    let load = Load::start(bed, &built, &host, arguments.rps(), LOAD_SECONDS, &report)?;
    answered(&load, timeline, &built, Version::V1).await?;
    lock(timeline).done(&format!("answers at {} requests a second through the gateway", arguments.rps()));

    promote(&kube, &wine, &built, &load, timeline).await?;
    roll_back(&kube, &wine, &built, &load, timeline).await?;
    close(&kube, &wine, &built, load, timeline).await
}

/// v2 is good: it must be promoted, by pointer.
async fn promote(kube: &Client, wine: &Wine, built: &Built, load: &Load, t: &Shared) -> Result<(), Error> {
    lock(t).begin("v2", "a better model: it should be promoted");
    wine.apply(kube, built, Version::V2).await?;
    let digest = built.model(Version::V2)?.digest.clone();
    let mut canary = BTreeMap::new();
    let seen = &mut canary;
    let md = {
        let mut last_weight = 0;
        loop {
            let md = watch(kube, wine, Some(load), t, "v2 moves on", |md| {
                let s = status(md);
                s.candidate.as_ref().map_or(0, |c| c.weight) > last_weight
                    || s.history.first().is_some_and(|h| h.digest == digest)
            })
            .await?;
            if status(&md).history.first().is_some_and(|h| h.digest == digest) {
                break md;
            }
            last_weight = status(&md).candidate.map_or(0, |c| c.weight);
            *seen = pods(kube, wine, &digest).await?;
        }
    };
    let outcome = status(&md).history.first().map(|h| h.outcome);
    if outcome != Some(Outcome::Promoted) {
        return Err(format!("v2 should have been promoted, but was {outcome:?}").into());
    }
    let after = pods(kube, wine, &digest).await?;
    let replaced = canary.keys().filter(|uid| !after.contains_key(*uid)).count();
    lock(t).facts.promoted_pods_replaced = i64::try_from(replaced)?;
    let began = lock(t).phases.last().map(|p| p.began).unwrap_or_default();
    let took = lock(t).start.elapsed().saturating_sub(began).as_secs();
    lock(t).done(&format!("promoted after {took} s on evidence; {replaced} of its pods were replaced"));
    Ok(())
}

/// v3 fails for a share of the requests: it must go.
async fn roll_back(kube: &Client, wine: &Wine, built: &Built, load: &Load, t: &Shared) -> Result<(), Error> {
    lock(t).begin("v3", "right on paper, but 3 of 10 requests fail: it should be rolled back");
    wine.apply(kube, built, Version::BadFeatures).await?;
    let digest = built.model(Version::BadFeatures)?.digest.clone();
    watch(kube, wine, Some(load), t, "v3 has traffic", |md| {
        status(md).candidate.is_some_and(|c| c.weight > 0)
    })
    .await?;
    let md = watch(kube, wine, Some(load), t, "v3 is gone from the traffic", |md| {
        status(md).history.first().is_some_and(|h| h.digest == digest)
    })
    .await?;
    let zero = chrono::Utc::now().timestamp_millis();
    let s = status(&md);
    let outcome = s.history.first().map(|h| h.outcome);
    if outcome != Some(Outcome::RolledBack) {
        return Err(format!("v3 should have been rolled back, but was {outcome:?}").into());
    }
    // The load's own clock says when the first request met it; the status says when the last weight was gone.
    let counts = client::until("the load reports v3", Duration::from_secs(10), || async {
        let counts = load.counts();
        counts.of(&digest).first_unix_ms.map(|first| (first, counts)).ok_or_else(|| "nothing yet".to_owned())
    })
    .await?;
    #[allow(clippy::cast_precision_loss)]
    let seconds = (zero - counts.0) as f64 / 1000.0;
    lock(t).facts.bad_first_request_to_zero_seconds = Some(seconds);
    lock(t).counts = counts.1;
    let why = s.last_failed.map(|f| format!("{}: {}", f.reason, f.message)).unwrap_or_default();
    lock(t).done(&format!("rolled back {seconds:.1} s after its first request ({why})"));
    Ok(())
}

/// Nobody but v3 may have failed, and no pod may have restarted.
async fn close(kube: &Client, wine: &Wine, built: &Built, load: Load, t: &Shared) -> Result<(), Error> {
    lock(t).begin("check", "no request failed but v3's own, and no pod restarted");
    answered(&load, t, built, Version::V2).await?;
    let counts = load.stop().await?;
    let failed: u64 = [Version::V1, Version::V2]
        .into_iter()
        .filter_map(|v| built.model(v).ok())
        .map(|m| counts.of(&m.digest).failed())
        .sum::<u64>()
        + counts.failed_without_version();
    let restarts = restarts(kube, wine).await?;
    let mut timeline = lock(t);
    timeline.counts = counts;
    timeline.facts.failed_stable = failed;
    timeline.facts.pod_restarts = restarts;
    let replaced = timeline.facts.promoted_pods_replaced;
    let words = format!("{failed} failed outside v3, {restarts} restarts, {replaced} promoted pods replaced");
    if failed == 0 && restarts == 0 && replaced == 0 {
        timeline.done(&words);
        Ok(())
    } else {
        Err(words.into())
    }
}

fn status(md: &ModelDeployment) -> serin_api::ModelDeploymentStatus {
    md.status.clone().unwrap_or_default()
}

/// Follows the deployment, showing it, until `done`.
async fn watch(
    kube: &Client,
    wine: &Wine,
    load: Option<&Load>,
    timeline: &Shared,
    what: &str,
    done: impl Fn(&ModelDeployment) -> bool,
) -> Result<ModelDeployment, Error> {
    client::until(what, ROLLOUT, || async {
        let md = wine.get(kube).await.map_err(|e| e.to_string())?;
        lock(timeline).saw(row(&md));
        if let Some(load) = load {
            lock(timeline).counts = load.counts();
        }
        if done(&md) { Ok(md) } else { Err(row(&md).progress) }
    })
    .await
}

fn row(md: &ModelDeployment) -> Row {
    let s = status(md);
    let progress = conditions::get(&s.conditions, conditions::Type::Progressing)
        .map(|c| format!("{}: {}", c.reason, c.message))
        .unwrap_or_default();
    let c = s.candidate.as_ref();
    Row {
        stable: s.stable.map(|s| s.version).unwrap_or_default(),
        candidate: c.map(|c| c.version.clone()).unwrap_or_default(),
        weight: c.map_or(0, |c| i64::from(c.weight)),
        step: c.map(|c| c.step.clone()).unwrap_or_default(),
        verdict: s.verdict.map(|v| format!("{v:?}")).unwrap_or_default(),
        progress,
    }
}

/// Waits until the load was answered by a version.
async fn answered(load: &Load, timeline: &Shared, built: &Built, version: Version) -> Result<(), Error> {
    let digest = built.model(version)?.digest.clone();
    let before = load.counts().of(&digest).total;
    client::until("answers", Duration::from_mins(1), || async {
        let counts = load.counts();
        lock(timeline).counts = counts.clone();
        let now = counts.of(&digest).total;
        if now > before + 20 { Ok(()) } else { Err(format!("{counts:?}")) }
    })
    .await
}

async fn all_pods(kube: &Client, wine: &Wine) -> Result<Vec<Pod>, Error> {
    let api: Api<Pod> = Api::namespaced(kube.clone(), &wine.namespace);
    let selector = format!("{}={}", serin_api::labels::DEPLOYMENT, wine.name);
    Ok(api.list(&ListParams::default().labels(&selector)).await?.items)
}

/// UID and name of the pods that serve a digest and are not on their way out.
async fn pods(kube: &Client, wine: &Wine, digest: &str) -> Result<BTreeMap<String, String>, Error> {
    let serves = |p: &Pod| {
        let inits = p.spec.as_ref().and_then(|s| s.init_containers.as_ref());
        inits.into_iter().flatten().filter_map(|c| c.args.as_ref()).flatten().any(|a| a == digest)
    };
    Ok(all_pods(kube, wine)
        .await?
        .into_iter()
        .filter(|p| p.metadata.deletion_timestamp.is_none() && serves(p))
        .filter_map(|p| Some((p.metadata.uid?, p.metadata.name?)))
        .collect())
}

async fn restarts(kube: &Client, wine: &Wine) -> Result<i64, Error> {
    let pods = all_pods(kube, wine).await?;
    let of = |p: &Pod| -> i64 {
        let containers = p.status.as_ref().and_then(|s| s.container_statuses.as_ref());
        containers.into_iter().flatten().map(|c| i64::from(c.restart_count)).sum()
    };
    Ok(pods.iter().map(of).sum())
}

/// Commands for a person who wants to see for themselves.
pub fn look_around(bed: &Bed, name: &str) {
    println!();
    println!("It is all still there:");
    println!("  eval \"$(cargo cluster env --name {name})\"");
    println!("  cargo cluster kubectl --name {name} -- get mdeploy,deploy,pods,httproute -n {NAMESPACE}");
    println!("  cargo cluster kubectl --name {name} -- get mdeploy wine -n {NAMESPACE} -o yaml");
    println!("  cargo cluster kubectl --name {name} -- events -n {NAMESPACE} --for mdeploy/wine");
    println!("  cargo cluster kubectl --name {name} -- logs -n serin-system deploy/serin");
    if let Some(url) = bed.prometheus_url() {
        println!("  Prometheus: {url}");
    }
    println!("  cargo cluster down --name {name}        when you have seen enough");
}
