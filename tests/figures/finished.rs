//! The memory of much that is over: ten thousand finished runs and as many versions, beside a thousand ModelDeployments.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use serin_api::{ModelDeployment, ModelVersion, RunResult, TrainingRun};
use serin_tests::operator::Operator;
use serin_tests::{Change as _, RunTold as _, Told as _, Vary as _, World, fixtures, run, wine};

use crate::process;
use crate::table::Table;
use crate::telemetry::{reconciles, training_reconciles, until};
use crate::training::direct;

/// Runs that have ended, and versions.
const OVER: usize = 10_000;
/// ModelDeployments.
const SERVING: usize = 1000;
/// Writers at the same time.
const AT_ONCE: usize = 16;

pub async fn measure(table: &mut Table) {
    let mut world = direct().await;
    let launch = world.operator().launch().clone();
    // One real life is the pattern for all of them.
    let run = world.trained(&run()).await;
    assert!(run.ended(RunResult::Succeeded), "{:?}", run.end());
    let version = world.history.now().version(run.version().unwrap()).unwrap();
    let models = world.models();
    let made = stream::iter(0..SERVING).map(|n| {
        let api = models.clone();
        async move { api.create(&PostParams::default(), &served(n)).await.unwrap() }
    });
    made.buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
    let serve = |now: &serin_tests::history::Now| {
        (0..SERVING).all(|n| now.model(&format!("wine-{n}")).is_some_and(|model| model.serves("v1")))
    };
    world.until("all of them serve", 900, serve).await;
    world.operator = None;

    let (world_ref, run, version) = (&world, &run, &version);
    let lives = stream::iter(0..OVER).map(|n| past(world_ref, n, run, version));
    lives.buffer_unordered(AT_ONCE).for_each(|()| async {}).await;

    let started = Instant::now();
    world.operator = Some(Operator::start(launch));
    let all = until(&world, started, |text| training_reconciles(text) > OVER && reconciles(text) >= SERVING);
    let all = all.await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (now, most) = process::memory(world.operator().pid().unwrap());
    let what = format!("{OVER} finished runs, {OVER} versions, {SERVING} ModelDeployments");
    table.add(format!("{what}: memory now / at most"), format!("{now:.0} / {most:.0} MB"), "64 MB", "-");
    table.add(format!("{what}: cold start, all reconciled"), format!("{:.1} s", all.as_secs_f64()), "-", "-");
}

fn served(n: usize) -> ModelDeployment {
    wine("v1").named(&format!("wine-{n}")).replicas(0)
}

/// A run that is over, and its version.
async fn past(world: &World, n: usize, run: &TrainingRun, version: &ModelVersion) {
    let params = PatchParams::default();
    let mut finished = TrainingRun::new(&format!("past-{n}"), run.spec.clone());
    finished = finished.seed(&n.to_string());
    let (runs, versions) = (world.runs(), world.versions());
    runs.create(&PostParams::default(), &finished).await.unwrap();
    let name = format!("wine-{n:010x}");
    let mut status = json!(run.status);
    status["modelVersion"] = json!(name);
    runs.patch_status(&format!("past-{n}"), &params, &Patch::Merge(json!({"status": status}))).await.unwrap();

    let mut record = ModelVersion::new(&name, version.spec.clone());
    record.metadata.labels.clone_from(&version.metadata.labels);
    record.spec.artifact.digest = serin_api::Digest(fixtures::digest(&name));
    record.spec.inputs_digest = Some(serin_api::Digest(fixtures::digest(&format!("inputs {n}"))));
    versions.create(&PostParams::default(), &record).await.unwrap();
    let status = json!({"status": version.status});
    versions.patch_status(&name, &params, &Patch::Merge(status)).await.unwrap();
}
