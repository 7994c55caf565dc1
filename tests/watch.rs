//! A whole rollout as `kubectl serin watch --until-done` tells it in a pipe, which is how CI waits for one.

use serin_tests::{Change as _, Load, NAME, Told as _, World, wine};

/// `kubectl serin watch wine --until-done`.
async fn watches(world: &World) -> Result<String, String> {
    world.kubectl_serin(&["watch", NAME, "--until-done", "--timeout", "90"]).await
}

/// Where a text stands in a log.
fn place(log: &str, text: &str) -> usize {
    log.find(text).unwrap_or_else(|| panic!("{text:?} is not in\n{log}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_follows_a_rollout_from_the_new_spec_to_its_end() {
    let world = World::start().await;
    world.serve("v1").await;
    let rested = watches(&world).await.unwrap();
    assert!(rested.contains("wine: v1 serves\n") && rested.ends_with("v1 serves\n"), "{rested}");

    // At once: the status still speaks of v1, which must not be taken for the end.
    world.apply(&wine("v2").steps(&[(20, 4), (60, 1)])).await;
    let log = watches(&world).await.unwrap();
    assert!(log.ends_with("\nv2 was promoted\n"), "{log}");
    let told = ["step 1/2 -> 2/2, weight 20 % -> 60 %", "v2 was promoted\n", "Complete: v2 serves\n"];
    let places = told.map(|text| place(&log, text));
    world.assert(places.is_sorted(), &log);
    world.assert(world.model(NAME).stable() == Some("v2"), "it ends when v2 serves");

    world.prometheus.load("wine:v3", Load::BAD);
    world.canary(&wine("v3").steps(&[(20, 1), (60, 600)])).await;
    let error = watches(&world).await.unwrap_err();
    assert!(error.starts_with("serin: Rejected: v3 was rejected (AnalysisFailed)"), "{error}");
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");

    let table = world.kubectl_serin(&["get"]).await.unwrap();
    let row = table.lines().nth(1).unwrap();
    assert!(
        row.starts_with("wine  v2 ") && row.contains("RolledBack") && row.contains("Rejected"),
        "{table}"
    );
    let told = world.kubectl_serin(&["get", NAME]).await.unwrap();
    assert!(told.contains("against v3"), "with what it was rejected on: {told}");
    world.check_invariants();
}
