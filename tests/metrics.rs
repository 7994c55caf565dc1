//! Prometheus fails in every way it can: a canary is held, never promoted, never rolled back for it, and goes on.

use std::time::Duration;

use serin_api::conditions::Type;
use serin_api::{ModelDeployment, OnNoData, Verdict};
use serin_tests::{Change as _, Load, NAME, Told as _, Trouble, World, wine};

/// A candidate at its first step, with enough time there that trouble can begin before the second.
fn candidate() -> ModelDeployment {
    wine("v2").steps(&[(10, 3), (50, 1)])
}

fn verdict(model: &ModelDeployment) -> Option<Verdict> {
    model.status.as_ref()?.verdict
}

/// The trouble begins at the first step; after `looks` more queries the weight is still the same; then the trouble
/// ends, and the version is promoted.
async fn holds_through(trouble: Trouble, looks: usize) {
    let world = World::start().await;
    world.serve("v1").await;
    world.canary(&candidate()).await;
    world.prometheus.trouble(trouble);
    world.looks(looks + 1, 60).await;
    let model = world.model(NAME);
    world.assert(model.tries("v2").is_some_and(|c| c.weight == 10), "it is held where it is");
    world.assert(world.steps(NAME) == [10], &format!("{:?}", world.steps(NAME)));
    world.prometheus.trouble(Trouble::None);
    world.until_model(NAME, "v2 serves after the trouble", 60, |m| m.serves("v2")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_error_holds() {
    holds_through(Trouble::ServerError, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_result_holds() {
    holds_through(Trouble::Empty, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nan_holds() {
    holds_through(Trouble::NotNumbers, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_series_of_one_pod_hold() {
    holds_through(Trouble::Twice, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_megabytes_hold() {
    holds_through(Trouble::Huge, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_answer_holds() {
    holds_through(Trouble::Slow, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirect_holds() {
    holds_through(Trouble::Redirect, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_json_holds() {
    holds_through(Trouble::NotJson, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_of_another_shape_holds() {
    holds_through(Trouble::OtherShape, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_query_holds() {
    holds_through(Trouble::QueryError, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outage_is_told_held_and_survived() {
    let mut world = World::start().await;
    world.serve("v1").await;
    world.canary(&candidate()).await;
    world.prometheus.down();
    let unavailable = |m: &ModelDeployment| m.condition(Type::MetricsAvailable).0 == "False";
    let model = world.until_model(NAME, "the outage is told", 20, unavailable).await;
    assert_eq!(verdict(&model), Some(Verdict::ProviderError));
    world.settled(Duration::from_secs(5)).await;
    world.assert(world.steps(NAME) == [10], &format!("{:?}", world.steps(NAME)));
    world.prometheus.up().await;
    world.until_model(NAME, "v2 serves after the outage", 60, |m| m.serves("v2")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_during_an_outage_changes_nothing() {
    let mut world = World::start().await;
    world.serve("v1").await;
    world.canary(&candidate()).await;
    world.prometheus.down();
    world.operator().kill();
    world.operator().spawn();
    let unavailable = |m: &ModelDeployment| m.condition(Type::MetricsAvailable).0 == "False";
    world.until_model(NAME, "the outage is told", 20, unavailable).await;
    world.assert(world.steps(NAME) == [10], &format!("{:?}", world.steps(NAME)));
    world.prometheus.up().await;
    world.until_model(NAME, "v2 serves after the outage", 60, |m| m.serves("v2")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidate_that_nobody_can_watch_gets_no_traffic() {
    let mut world = World::start().await;
    world.serve("v1").await;
    world.prometheus.down();
    world.apply(&candidate()).await;
    let told = |m: &ModelDeployment| m.condition(Type::Progressing).1 == "MetricsUnavailable";
    world.until_model(NAME, "it says why it waits", 30, told).await;
    world.settled(Duration::from_secs(4)).await;
    world.assert(world.steps(NAME).is_empty(), &format!("{:?}", world.steps(NAME)));
    world.prometheus.up().await;
    world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_that_stopped_promote_nothing() {
    let world = World::start().await;
    world.serve("v1").await;
    world.canary(&wine("v2").steps(&[(10, 600)])).await;
    world.prometheus.trouble(Trouble::Stale);
    world.until_model(NAME, "the silence is told", 60, |m| verdict(m) == Some(Verdict::NoData)).await;
    world.assert(world.steps(NAME) == [10], &format!("{:?}", world.steps(NAME)));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_rolls_back_only_where_the_spec_says_so() {
    let world = World::start().await;
    world.serve("v1").await;
    let mut wanted = wine("v2").steps(&[(10, 600)]);
    wanted.spec.rollout.analysis.on_no_data = OnNoData::Rollback;
    wanted.spec.rollout.analysis.no_data_timeout_seconds = 10;
    world.canary(&wanted).await;
    world.prometheus.trouble(Trouble::ServerError);
    let model = world.until_model(NAME, "v2 is rolled back", 60, |m| m.rejected("v2")).await;
    assert_eq!(model.status.unwrap().last_failed.unwrap().reason, "MetricsUnavailable");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_version_is_caught_after_an_outage() {
    let world = World::start().await;
    world.serve("v1").await;
    world.prometheus.load("wine:v2", Load::BAD);
    world.apply(&candidate()).await;
    world.until_model(NAME, "v2 has traffic", 20, |m| m.tries("v2").is_some_and(|c| c.weight == 10)).await;
    world.prometheus.trouble(Trouble::ServerError);
    world.looks(4, 60).await;
    world.assert(world.model(NAME).tries("v2").is_some(), "an outage rolls nothing back");
    world.prometheus.trouble(Trouble::None);
    world.until_model(NAME, "v2 is rejected", 30, |m| m.rejected("v2")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gauge_over_its_bound_rolls_back() {
    let world = World::start().await;
    world.prometheus.gauge("process_resident_memory_bytes", "wine", 1e9);
    world.prometheus.gauge("process_resident_memory_bytes", "wine:v2", 3e9);
    world.serve("v1").await;
    let mut wanted = wine("v2").steps(&[(10, 600)]);
    let memory = serde_json::json!({
        "name": "memory", "threshold": {"gauge": {"series": "process_resident_memory_bytes"}, "max": "2Gi"},
    });
    let mut metrics = wanted.spec.metrics().unwrap();
    metrics.push(serde_json::from_value(memory).unwrap());
    wanted.spec.rollout.analysis.metrics = Some(metrics);
    world.canary(&wanted).await;
    let model = world.until_model(NAME, "v2 is rejected", 30, |m| m.rejected("v2")).await;
    let message = model.status.unwrap().last_failed.unwrap().message;
    assert!(message.contains("memory"), "{message}");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_that_nobody_exports_is_named_before_the_first_step() {
    let world = World::start().await;
    world.serve("v1").await;
    let mut wanted = wine("v2").steps(&[(10, 600)]);
    let mut metrics = wanted.spec.metrics().unwrap();
    let slow = serde_json::json!({"name": "slow", "latency": {"histogram": {"series": "nobody_seconds"}}});
    metrics.push(serde_json::from_value(slow).unwrap());
    wanted.spec.rollout.analysis.metrics = Some(metrics);
    world.canary(&wanted).await;
    let versions = world.history.all().into_iter().filter(|change| change.kind == "ModelDeployment");
    let statuses =
        versions.filter_map(|c| serde_json::from_value::<ModelDeployment>((*c.object).clone()).ok());
    let first = statuses.into_iter().find(|m| m.tries("v2").is_some_and(|c| c.weight > 0)).unwrap();
    let told = ("False".to_owned(), "MissingSeries".to_owned());
    assert_eq!(first.condition(Type::MetricsAvailable), told);
    let message = first.message(Type::MetricsAvailable);
    assert!(
        message.contains("no nobody_seconds_bucket (metric slow) of the stable version's pods"),
        "{message}"
    );
    assert!(!message.contains("http_requests_total"), "{message}");
    world.looks(6, 60).await;
    world.assert(world.steps(NAME) == [10], "nothing goes on without its metrics");
    world.check_invariants();
}

/// A canary with this metric and no other, at the first of its steps.
fn judged_by(metric: &serde_json::Value) -> serin_api::ModelDeployment {
    let mut wanted = wine("v2").steps(&[(20, 1), (50, 1)]);
    wanted.spec.rollout.analysis.metrics = Some(vec![serde_json::from_value(metric.clone()).unwrap()]);
    wanted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slower_version_is_rolled_back_by_its_histogram() {
    let world = World::start().await;
    world.prometheus.load("wine:v2", Load::SLOW);
    world.serve("v1").await;
    world.apply(&judged_by(&serde_json::json!({"name": "slow", "latency": {}}))).await;
    let model = world.until_model(NAME, "v2 is rejected", 60, |m| m.rejected("v2")).await;
    let message = model.status.unwrap().last_failed.unwrap().message;
    assert!(message.starts_with("slow: ") && message.contains("% slower than "), "{message}");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_as_fast_is_promoted_by_its_histogram() {
    let world = World::start().await;
    world.serve("v1").await;
    world.apply(&judged_by(&serde_json::json!({"name": "slow", "latency": {}}))).await;
    world.until_model(NAME, "v2 serves", 90, |m| m.serves("v2")).await;
    world.assert(world.steps(NAME) == [20, 50, 100], &format!("{:?}", world.steps(NAME)));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_answers_roll_back() {
    let world = World::start().await;
    world.prometheus.load("wine:v2", Load::BAD);
    world.serve("v1").await;
    let wrong = serde_json::json!({
        "name": "rejected",
        "quality": {"all": {"series": "answers_total"}, "bad": {"series": "answers_rejected_total"}},
    });
    world.apply(&judged_by(&wrong)).await;
    let model = world.until_model(NAME, "v2 is rejected", 60, |m| m.rejected("v2")).await;
    let message = model.status.unwrap().last_failed.unwrap().message;
    assert!(message.starts_with("rejected: 30.00 % bad, stable 0.00 %"), "{message}");
    world.check_invariants();
}
