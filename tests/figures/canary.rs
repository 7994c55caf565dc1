//! What one rollout costs the apiserver.

use std::time::Duration;

use serin_tests::cost::Cost;
use serin_tests::{Change as _, Load, NAME, Told as _, World, wine};

use crate::table::Table;

pub async fn measure(table: &mut Table) {
    for replicas in [1, 3] {
        let world = World::start().await;
        let version = |v: &str| wine(v).replicas(replicas);
        world.apply(&version("v1")).await;
        world.until_model(NAME, "v1 serves", 60, |m| m.serves("v1")).await;
        world.settled(Duration::from_secs(2)).await;

        let mark = world.proxy.calls().mark();
        world.apply(&version("v2")).await;
        world.until_model(NAME, "v2 serves", 90, |m| m.serves("v2")).await;
        world.until("v1 is removed", 30, |_| world.pods("v1").is_empty()).await;
        world.settled(Duration::from_secs(2)).await;
        add(
            table,
            &format!("good canary, 4 steps, {replicas} replicas"),
            &world.cost_since(mark),
            "13, 8, 0",
        );

        world.prometheus.load("wine:v3", Load::BAD);
        let mark = world.proxy.calls().mark();
        world.apply(&version("v3").steps(&[(10, 5), (50, 5)])).await;
        world
            .until_model(NAME, "v3 has traffic", 60, |m| m.tries("v3").is_some_and(|c| c.weight == 10))
            .await;
        let bad = world.proxy.calls().mark();
        world.until_model(NAME, "v3 is rejected", 60, |m| m.rejected("v3")).await;
        world.until("v3 is removed", 30, |_| world.pods("v3").is_empty()).await;
        world.settled(Duration::from_secs(2)).await;
        add(table, &format!("rollback from step 1, {replicas} replicas"), &world.cost_since(bad), "6, -, 0");
        add(
            table,
            &format!("the same with its start, {replicas} replicas"),
            &world.cost_since(mark),
            "-, -, 0",
        );
    }
    ticks(table).await;
}

fn add(table: &mut Table, what: &str, cost: &Cost, goal: &str) {
    let reads = cost.confirmations + cost.reads.len();
    let reached = format!("{}, {}, {reads}", cost.writes.len(), cost.events);
    table.add(format!("{what}: writes, Events, reads"), reached, goal, "-");
}

async fn ticks(table: &mut Table) {
    let world = World::start().await;
    world.serve("v1").await;
    world.prometheus.load("wine", Load { per_second: 1.0, ..Load::GOOD });
    world.canary(&wine("v2").steps(&[(20, 600)])).await;
    world.settled(Duration::from_secs(5)).await;
    let mark = world.proxy.calls().mark();
    world.looks(30, 60).await;
    let calls = world.proxy.calls().since(mark).len();
    table.add("30 analysis ticks: calls to the apiserver", calls.to_string(), "0", "-");
}
