//! Whole rollouts: the first one, a good one, a bad one, one that never becomes ready; and what they cost.

use std::time::Duration;

use serin_api::conditions::Type;
use serin_api::{Outcome, Verdict};
use serin_tests::{Behaviour, Change as _, Load, NAME, Told as _, World, wine};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_version_serves_as_soon_as_a_pod_is_ready() {
    let world = World::start().await;
    world.apply(&wine("v1")).await;
    let model = world.until_model(NAME, "v1 serves with all its pods", 20, |m| m.serves("v1")).await;
    assert_eq!(model.outcomes(), [("v1".to_owned(), Outcome::Deployed)]);
    assert_eq!(model.condition(Type::Stalled).0, "False");
    assert_eq!(model.condition(Type::ArtifactVerified).0, "True");
    assert_eq!(world.pods("v1").len(), 3);
    let weights = world.weights(NAME);
    assert_eq!(weights.values().copied().max(), Some(100), "all traffic goes to one slot: {weights:?}");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_version_is_promoted_in_four_steps_within_its_budget_of_writes() {
    let world = World::start().await;
    world.serve("v1").await;
    let first_pods = world.pods("v1");
    let mark = world.proxy.calls().mark();

    world.canary(&wine("v2")).await;
    assert_eq!(world.pods("v1"), first_pods, "a canary takes nothing away from the stable version");
    let candidates = world.pods("v2");
    let model = world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    assert_eq!(model.outcomes()[0], ("v2".to_owned(), Outcome::Promoted));
    assert!(world.pods("v2").is_superset(&candidates), "promotion points at the pods that were tested");
    world.until("v1 is removed after its drain time", 20, |_| world.pods("v1").is_empty()).await;
    world.settled(Duration::from_secs(2)).await;

    let cost = world.cost_since(mark);
    // Two for each step and five besides. With three pods, the candidate's are added as its share grows; each time that
    // takes a write and the word about it, as it may last minutes.
    let scalings =
        cost.writes.iter().filter(|call| call.resource == "deployments" && call.verb == "patch").count();
    world.assert(scalings <= 2, &format!("one pod more at 50 % and one at 75 %: {cost}"));
    world.assert(
        cost.writes.len() <= 13 + 2 * scalings,
        &format!("at most 13 writes and two for each of {scalings} scalings: {cost}"),
    );
    world.assert(cost.events <= 8, &format!("at most 8 events: {cost}"));
    world.assert(cost.reads.is_empty(), &format!("no read but watches and confirmations: {cost}"));
    world.assert(world.steps(NAME) == [10, 25, 50, 75, 100], &format!("every step: {:?}", world.steps(NAME)));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn analysis_tick_writes_nothing() {
    let world = World::start().await;
    world.serve("v1").await;
    // Long enough at one step for many ticks, with too little traffic for a verdict.
    world.prometheus.load("wine", Load { per_second: 1.0, ..Load::GOOD });
    world.canary(&wine("v2").steps(&[(20, 600)])).await;
    let read = |m: &serin_api::ModelDeployment| m.condition(Type::MetricsAvailable).0 == "True";
    world.until_model(NAME, "metrics are read", 20, read).await;
    world.settled(Duration::from_secs(2)).await;

    let mark = world.proxy.calls().mark();
    world.looks(5, 20).await;
    let cost = world.cost_since(mark);
    world.assert(cost.writes.is_empty() && cost.events == 0, &format!("a tick writes nothing: {cost}"));
    world.assert(cost.reads.is_empty() && cost.confirmations == 0, &format!("a tick reads nothing: {cost}"));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_with_errors_is_rolled_back_and_the_stable_one_is_not_touched() {
    let world = World::start().await;
    world.serve("v1").await;
    let pods = world.pods("v1");
    world.prometheus.load("wine:v2", Load::BAD);
    world.canary(&wine("v2").steps(&[(10, 5), (50, 5)])).await;
    let mark = world.proxy.calls().mark();

    let model = world.until_model(NAME, "v2 is rejected", 30, |m| m.rejected("v2")).await;
    let failed = model.status.as_ref().unwrap().last_failed.clone().unwrap();
    assert_eq!(failed.reason, "AnalysisFailed");
    assert_eq!(failed.evidence[0].verdict, Verdict::Fail);
    assert!(failed.evidence[0].log10_e.parse::<f64>().unwrap() >= 2.0, "{failed:?}");
    assert_eq!(model.stable(), Some("v1"));
    assert_eq!(model.condition(Type::Ready).0, "True");
    assert_eq!(model.condition(Type::Stalled), ("True".to_owned(), "Rejected".to_owned()));
    world.until("v2 is removed", 20, |_| world.pods("v2").is_empty()).await;
    world.settled(Duration::from_secs(2)).await;

    assert_eq!(world.pods("v1"), pods, "the stable version's pods are the same");
    let cost = world.cost_since(mark);
    world.assert(cost.writes.len() <= 6, &format!("at most 6 writes: {cost}"));
    world.assert(world.steps(NAME) == [10, 0], &format!("{:?}", world.steps(NAME)));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashing_candidate_never_gets_weight() {
    let world = World::start().await;
    world.serve("v1").await;
    world.kubelet.script("wine:v2", Behaviour::CrashLoop(4));
    world.apply(&wine("v2")).await;
    let model = world.until_model(NAME, "v2 is rejected", 30, |m| m.rejected("v2")).await;
    let failed = model.status.as_ref().unwrap().last_failed.clone().unwrap();
    assert_eq!(failed.reason, "CrashLoop");
    assert!(failed.message.contains("model does not fit"), "its last words are told: {}", failed.message);
    assert_eq!(model.stable(), Some("v1"));
    world.until("v2 is removed", 20, |_| world.pods("v2").is_empty()).await;
    world.assert(world.steps(NAME).is_empty(), &format!("{:?}", world.steps(NAME)));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidate_that_cannot_fetch_its_model_never_gets_weight() {
    let world = World::start().await;
    world.serve("v1").await;
    world.kubelet.script("wine:v2", Behaviour::InitCrashLoop(4));
    world.apply(&wine("v2")).await;
    let model = world.until_model(NAME, "v2 is rejected", 30, |m| m.rejected("v2")).await;
    assert_eq!(model.status.as_ref().unwrap().last_failed.as_ref().unwrap().reason, "CrashLoop");
    world.assert(world.steps(NAME).is_empty(), &format!("{:?}", world.steps(NAME)));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidate_that_never_becomes_ready_is_given_up_at_its_deadline() {
    let world = World::start().await;
    world.serve("v1").await;
    for (version, behaviour, reason) in [
        ("v2", Behaviour::NeverReady, "ProgressDeadlineExceeded"),
        ("v3", Behaviour::ImagePull, "ImagePull"),
        ("v4", Behaviour::Unschedulable, "Unschedulable"),
    ] {
        world.kubelet.script(&serin_tests::fixtures::image(version), behaviour);
        let mut wanted = wine(version);
        wanted.spec.rollout.progress_deadline_seconds = 10;
        wanted.spec.rollout.deadlines.unschedulable_seconds = 10;
        world.apply(&wanted).await;
        let model = world.until_model(NAME, "it is rejected", 30, |m| m.rejected(version)).await;
        assert_eq!(model.status.as_ref().unwrap().last_failed.as_ref().unwrap().reason, reason);
    }
    // Recovery is never gated on the present state being healthy.
    world.apply(&wine("v5")).await;
    world.until_model(NAME, "v5 serves", 60, |m| m.serves("v5")).await;
    world.check_invariants();
}
