//! The phases of the demo, and what must have happened in each.

use std::time::Duration;

use kube::Client;
use serin_api::Outcome;
use serin_bed::Bed;

use super::{
    Arguments, Shared,
    learn::{Learned, learn},
    rollout::Live,
    timeline::lock,
};
use crate::{
    Error, client,
    images::{self, Built},
    install,
    load::Load,
    training::{self, Recipe, Training},
    wine::Wine,
};

pub const NAMESPACE: &str = "demo";
/// Longest life of the load generator, should the harness die.
pub const LOAD_SECONDS: u32 = 1800;

/// What every story acts with.
pub struct Stage {
    pub built: Built,
    pub kube: Client,
    pub wine: Wine,
    pub training: Training,
}

/// Images, operator, namespace: everything before the first phase of a story.
pub async fn set(arguments: &Arguments, bed: &Bed, timeline: &Shared) -> Result<Stage, Error> {
    lock(timeline).begin("images", "static binaries, data sets, images");
    let built = {
        let shared = timeline.clone();
        tokio::task::spawn_blocking(move || images::build(&mut |line| lock(&shared).say(line))).await??
    };
    built.load_into(bed)?;
    training::upload(bed, &built)?;
    lock(timeline).done("loaded; the data sets are in s3://data/wine");

    let from = if arguments.helm { "from the Helm chart" } else { "from the committed manifests" };
    lock(timeline).begin("install", &format!("CRDs, rights and the operator, {from}"));
    let kube = client::of(bed.kubeconfig()).await?;
    if arguments.helm {
        let bed = bed.clone();
        tokio::task::spawn_blocking(move || install::chart(&bed)).await??;
    } else {
        install::operator(bed, &kube).await?;
    }
    let wine = Wine::new(NAMESPACE, "wine");
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: NAMESPACE}}";
    client::apply(bed, &namespace.replace("NAMESPACE", NAMESPACE))?;
    let training = Training::new(bed, &built, NAMESPACE)?;
    wine.gone(&kube).await?;
    training.gone(&kube).await?;
    lock(timeline).done("the operator is ready");
    Ok(Stage { built, kube, wine, training })
}

/// Tells the story on a bed.
pub async fn tell(arguments: &Arguments, bed: &Bed, timeline: &Shared) -> Result<(), Error> {
    let Stage { built, kube, wine, training } = set(arguments, bed, timeline).await?;
    let v1 = learn(&kube, &training, Recipe::V1, None, timeline).await?;
    let mut live = Live { kube: &kube, wine: &wine, timeline, load: None };
    lock(timeline).begin("v1", "the first version is served");
    live.begin(&v1).await?;
    let host = wine.host.clone().unwrap_or_default();
    let report = images::target().join("demo/load.jsonl");
    std::fs::create_dir_all(images::target().join("demo"))?;
    Load::reachable(bed, &built, &host, &report).await?;
    live.load = Some(Load::start(bed, &built, &host, arguments.rps(), LOAD_SECONDS, &report)?);
    live.answered(&v1).await?;
    lock(timeline).done(&format!("answers at {} requests a second through the gateway", arguments.rps()));

    let v2 = learn(&kube, &training, Recipe::V2, Some(&v1), timeline).await?;
    live.promote(&v2).await?;
    let v3 = learn(&kube, &training, Recipe::Enriched, Some(&v2), timeline).await?;
    live.roll_back(&v3).await?;
    live.answered(&v2).await?;

    let outcomes = [(&v1, Outcome::Deployed), (&v2, Outcome::Promoted), (&v3, Outcome::RolledBack)];
    remember(&kube, bed, &built, &training, &outcomes, timeline).await?;
    explain(bed, &built, timeline)?;
    close(live, &[&v1, &v2]).await
}

/// What happened live is written on each version, and the chain can be told from the end.
async fn remember(
    kube: &Client,
    bed: &Bed,
    built: &Built,
    training: &Training,
    outcomes: &[(&Learned, Outcome)],
    t: &Shared,
) -> Result<(), Error> {
    lock(t).begin("lineage", "each version knows what it was made of and what came of it");
    for (learned, wanted) in outcomes {
        let name = &learned.version;
        let came = client::until(&format!("{name} says {wanted:?}"), Duration::from_mins(1), || async {
            let found = training.versions(kube).get(name).await.map_err(|e| e.to_string())?;
            let outcomes = found.status.unwrap_or_default().outcomes;
            let of = outcomes.iter().find(|o| o.result == *wanted);
            of.map(|o| format!("{:?}: {}", o.result, o.message)).ok_or_else(|| format!("{outcomes:?}"))
        })
        .await?;
        let lineage = built.kubectl_serin(bed, &["lineage", name, "--namespace", NAMESPACE])?;
        let lineage = lineage.lines().map(str::to_owned).collect();
        lock(t).remember(name, came, lineage);
    }
    lock(t).done("Deployed, Promoted and RolledBack stand on the three versions");
    Ok(())
}

/// Why the last one went back, judged again from what Prometheus kept: as text, and as a page beside the report.
fn explain(bed: &Bed, built: &Built, t: &Shared) -> Result<(), Error> {
    lock(t).begin("explain", "why v3 was sent back, judged again from Prometheus");
    let args = ["explain", "wine", "--namespace", NAMESPACE];
    let text = built.kubectl_serin(bed, &args)?;
    let page = images::target().join("demo/explain.html");
    std::fs::write(&page, built.kubectl_serin(bed, &[&args[..], &["-o", "html"]].concat())?)?;
    if !text.lines().next().is_some_and(|line| line.ends_with("Fail")) {
        return Err(format!("judged again it does not fail:\n{text}").into());
    }
    let mut timeline = lock(t);
    timeline.facts.explained = text.lines().map(str::to_owned).collect();
    timeline.done(&format!("it fails again; its curves: {}", page.display()));
    Ok(())
}

/// Nobody but v3 may have failed, and no pod may have restarted.
async fn close(mut live: Live<'_>, good: &[&Learned]) -> Result<(), Error> {
    let t = live.timeline;
    lock(t).begin("check", "no request failed but v3's own, and no pod restarted");
    let load = live.load.take().ok_or("no load")?;
    let counts = load.stop().await?;
    let failed: u64 =
        good.iter().map(|v| counts.of(&v.digest).failed()).sum::<u64>() + counts.failed_without_version();
    let restarts = live.restarts().await?;
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

/// Commands for a person who wants to see for themselves.
pub fn look_around(bed: &Bed, name: &str) {
    println!();
    println!("It is all still there:");
    println!("  eval \"$(cargo cluster env --name {name})\"");
    println!(
        "  cargo cluster kubectl --name {name} -- get rpol,trun,mver,mdeploy,jobs,pods,httproute -n {NAMESPACE}"
    );
    println!("  cargo cluster kubectl --name {name} -- get mver -n {NAMESPACE} -o yaml");
    println!("  cargo cluster kubectl --name {name} -- get mdeploy wine -n {NAMESPACE} -o yaml");
    println!("  cargo cluster kubectl --name {name} -- events -n {NAMESPACE}");
    println!("  cargo cluster kubectl --name {name} -- logs -n serin-system deploy/serin --all-pods");
    if let Some(url) = bed.prometheus_url() {
        println!("  Prometheus: {url}");
    }
    println!("  cargo cluster down --name {name}        when you have seen enough");
}
