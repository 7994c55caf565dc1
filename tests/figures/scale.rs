//! A thousand ModelDeployments: all at once, at rest, and after a restart.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use kube::api::PostParams;
use serin_api::ModelDeployment;
use serin_tests::operator::Operator;
use serin_tests::{Change as _, Told as _, World, wine};

use crate::bare::Bare;
use crate::process;
use crate::table::Table;
use crate::telemetry::{reconciles, until};

/// Objects.
const MANY: usize = 1000;
/// Writers at the same time, on both sides.
const AT_ONCE: usize = 16;

fn object(n: usize) -> ModelDeployment {
    wine("v1").named(&format!("wine-{n}")).replicas(0)
}

pub async fn measure(table: &mut Table) {
    let yardstick = bare_burst().await;
    let mut world = World::without_operator().await;
    let launch = world.direct_launch().await;
    world.operator = Some(Operator::start(launch.clone()));
    let pid = world.operator().pid().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (empty, _) = process::memory(pid);

    let started = Instant::now();
    create_all(&world).await;
    world.until("a Deployment for each", 300, |now| now.all("Deployment").count() == MANY).await;
    let burst = started.elapsed();
    world.until("all of them serve", 300, all_serve).await;
    let served = started.elapsed();
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    table.add(
        format!("{MANY} created at once: last child"),
        seconds(burst),
        "1.3 x bare",
        seconds(yardstick),
    );
    table.add(format!("{MANY} created at once: all serve"), seconds(served), "-", "-");
    let (now, most) = process::memory(pid);
    table.add(
        format!("memory with none / with {MANY} / at most while they were made"),
        format!("{empty:.0} / {now:.0} / {most:.0} MB"),
        "24 MB",
        "-",
    );
    world.operator = None;
    restart(table, &mut world, &launch).await;
}

fn all_serve(now: &serin_tests::history::Now) -> bool {
    (0..MANY).all(|n| now.model(&format!("wine-{n}")).is_some_and(|model| model.serves("v1")))
}

async fn create_all(world: &World) {
    let api = world.models();
    let posts = stream::iter(0..MANY).map(|n| {
        let api = api.clone();
        async move { api.create(&PostParams::default(), &object(n)).await.unwrap() }
    });
    posts.buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
}

/// The same writes by a client that need not find out which ones.
async fn bare_burst() -> Duration {
    let world = World::without_operator().await;
    let bare = Bare { client: world.client.clone(), namespace: world.namespace.clone() };
    let api = world.models();
    let started = Instant::now();
    let all = stream::iter(0..MANY).map(|n| {
        let (api, bare) = (api.clone(), &bare);
        async move {
            let model = api.create(&PostParams::default(), &object(n)).await.unwrap();
            bare.deployment(&model).await;
            bare.rest(&model).await;
        }
    });
    all.buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
    started.elapsed()
}

/// A cold start without a proxy for its time, one with it for its calls, and a minute at rest.
async fn restart(table: &mut Table, world: &mut World, launch: &serin_tests::operator::Launch) {
    let started = Instant::now();
    world.operator = Some(Operator::start(launch.clone()));
    let synced = until(world, started, |text| text.contains("serin_reconciles_total")).await;
    let reconciled = until(world, started, |text| reconciles(text) >= MANY).await;
    let pid = world.operator().pid().unwrap();
    let (now, most) = process::memory(pid);
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    let goal = "2 s";
    let reached = format!("{} / {}", seconds(synced), seconds(reconciled));
    table.add(format!("cold start with {MANY}: first / all reconciled"), reached, goal, "-");
    table.add(
        format!("memory after a cold start with {MANY}: now / at most"),
        format!("{now:.0} / {most:.0} MB"),
        "24 MB",
        "-",
    );

    world.operator = None;
    let mark = world.proxy.calls().mark();
    let mut counted = launch.clone();
    counted.kubeconfig = world.proxy.kubeconfig().to_owned();
    world.operator = Some(Operator::start(counted));
    let started = Instant::now();
    until(world, started, |text| reconciles(text) >= MANY).await;
    world.settled(Duration::from_secs(3)).await;
    let cost = world.cost_since(mark);
    let reached = format!("{}, {}", cost.writes.len() + cost.events, cost.confirmations + cost.reads.len());
    table.add(format!("cold start with {MANY}: writes, reads"), reached, "0, lists", "-");

    let pid = world.operator().pid().unwrap();
    let (mark, before) = (world.proxy.calls().mark(), process::processor(pid));
    tokio::time::sleep(Duration::from_mins(1)).await;
    let calls = world.proxy.calls().since(mark);
    let used = process::processor(pid).checked_sub(before).unwrap();
    let writes = calls.iter().filter(|call| call.is_write()).count();
    let rate = calls.len() as f64 / 60.0;
    table.add(format!("a minute at rest with {MANY}: writes"), writes.to_string(), "0", "-");
    table.add(format!("a minute at rest with {MANY}: requests"), format!("{rate:.2} /s"), "0.5 /s", "-");
    let millicores = used.as_secs_f64() / 60.0 * 1000.0;
    table.add(
        format!("a minute at rest with {MANY}: processor"),
        format!("{millicores:.1} mcore"),
        "5 mcore",
        "-",
    );
}
