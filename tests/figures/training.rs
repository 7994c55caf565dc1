//! Trainings: from a run to its Job, what a run costs, and a thousand at once.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::batch::v1::Job;
use kube::api::PostParams;
use serde_json::json;
use serin_api::{RunResult, TrainingRun};
use serin_tests::operator::Operator;
use serin_tests::runs::unjudged;
use serin_tests::{RunTold as _, Vary as _, World, run};

use crate::bare::Bare;
use crate::births::births;
use crate::process;
use crate::table::{Table, Times};

/// Runs, one at a time.
const RUNS: usize = 200;
/// Between two of them, so that each meets an idle operator.
const PAUSE: Duration = Duration::from_millis(60);
/// Runs at once.
const MANY: usize = 1000;
/// Writers at the same time, on both sides.
const AT_ONCE: usize = 16;

/// One that a queue holds, so that nothing is measured but its Job. Each has inputs of its own.
pub fn held(n: usize) -> TrainingRun {
    run().called(&format!("fit-{n}")).seed(&n.to_string()).with("/queueName", json!("gpus"))
}

pub async fn measure(table: &mut Table) {
    latency(table).await;
    Box::pin(cost(table)).await;
    Box::pin(at_once(table)).await;
}

/// A world whose operator reaches the apiserver without a proxy in between.
pub async fn direct() -> World {
    let mut world = World::without_operator().await;
    world.operator = Some(Operator::start(world.direct_launch().await));
    world
}

async fn latency(table: &mut Table) {
    let world = direct().await;
    let other = World::without_operator().await;
    let bare = Bare { client: world.client.clone(), namespace: other.namespace.clone() };
    let mut born = births::<Job>(&world.client, &world.namespace).await;
    let mut born_bare = births::<Job>(&other.client, &other.namespace).await;
    let (mut made, mut yardstick) = (Times::default(), Times::default());
    // The first ones warm connections and caches up.
    for n in 0..RUNS + 5 {
        let started = Instant::now();
        world.runs().create(&PostParams::default(), &held(n)).await.unwrap();
        let time = born.recv().await.unwrap().at - started;
        tokio::time::sleep(PAUSE).await;

        let started = Instant::now();
        let run = other.runs().create(&PostParams::default(), &held(n)).await.unwrap();
        bare.job(&run).await;
        let bare_time = born_bare.recv().await.unwrap().at - started;
        if n >= 5 {
            made.push(time);
            yardstick.push(bare_time);
        }
        tokio::time::sleep(PAUSE).await;
    }
    table.add("POST TrainingRun -> Job seen, p50 / p99", made.told(), "6 / 25 ms", yardstick.told());
}

async fn cost(table: &mut Table) {
    for (what, wanted) in [("with its evaluation", run()), ("without evaluation", unjudged())] {
        let world = World::start().await;
        world.settled(Duration::from_secs(2)).await;
        let mark = world.proxy.calls().mark();
        let run = world.trained(&wanted).await;
        assert!(run.ended(RunResult::Succeeded), "{:?}", run.end());
        world.settled(Duration::from_secs(3)).await;
        let cost = world.cost_since(mark);
        let version = cost.writes.iter().filter(|call| call.resource == "modelversions").count();
        let reached = format!(
            "{} + {version}, {}, {}",
            cost.writes.len() - version,
            cost.events,
            cost.confirmations + cost.reads.len()
        );
        table.add(format!("run {what}: writes + of the version, Events, reads"), reached, "8 + 2, -, -", "-");
    }
}

async fn at_once(table: &mut Table) {
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    let yardstick = bare_burst().await;
    let world = direct().await;
    let started = Instant::now();
    create_all(&world, held).await;
    world.until("a Job for each", 300, |now| now.all("Job").count() == MANY).await;
    let reached = seconds(started.elapsed());
    table.add(format!("{MANY} runs at once: last Job"), reached, "1.3 x bare", seconds(yardstick));
    drop(world);

    let world = direct().await;
    let started = Instant::now();
    create_all(&world, |n| unjudged().called(&format!("fit-{n}")).seed(&n.to_string())).await;
    let all = |now: &serin_tests::history::Now| {
        now.all("TrainingRun").filter(|run| run["status"]["completion"]["result"] == "Succeeded").count()
            == MANY
    };
    world.until("all have succeeded", 900, all).await;
    let reached = seconds(started.elapsed());
    assert_eq!(world.history.now().all("ModelVersion").count(), MANY);
    let (_, most) = process::memory(world.operator().pid().unwrap());
    table.add(format!("{MANY} runs at once: trained and recorded"), reached, "-", "-");
    table.add(format!("{MANY} runs at once: memory at most"), format!("{most:.0} MB"), "64 MB", "-");
    world.check_invariants();
}

async fn create_all(world: &World, object: impl Fn(usize) -> TrainingRun) {
    let api = world.runs();
    let posts = stream::iter(0..MANY).map(|n| {
        let (api, run) = (api.clone(), object(n));
        async move { api.create(&PostParams::default(), &run).await.unwrap() }
    });
    posts.buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
}

/// The same Jobs by a client that need not find out which ones; suspended ones, as nobody is to run them.
async fn bare_burst() -> Duration {
    let world = World::without_operator().await;
    let bare = Bare { client: world.client.clone(), namespace: world.namespace.clone() };
    let api = world.runs();
    let started = Instant::now();
    let all = stream::iter(0..MANY).map(|n| {
        let (api, bare) = (api.clone(), &bare);
        async move {
            let run = api.create(&PostParams::default(), &held(n)).await.unwrap();
            bare.job(&run).await;
        }
    });
    all.buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
    started.elapsed()
}
