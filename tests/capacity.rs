//! Scarce nodes: both versions together never have more pods than they may, and those with traffic are enough for it.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::json;
use serin_api::{
    Deadlines, IntOrString, ModelDeployment, Outcome, Reason, WaitingReason, WhenUnschedulable,
    conditions::Type,
};
use serin_tests::{Behaviour, Change as _, Load, NAME, Now, Told as _, World, image, invariants, wine};

fn bounded(version: &str, steps: &[(i32, i32)]) -> ModelDeployment {
    let mut wanted = wine(version).steps(steps);
    wanted.spec.replicas = 4;
    wanted.spec.rollout.max_surge = Some(IntOrString::Int(1));
    wanted
}

fn asked(now: &Now) -> i64 {
    now.all("Deployment").map(|d| d["spec"]["replicas"].as_i64().unwrap_or(0)).sum()
}

/// At every moment since something served: at most `most` pods are asked for, and `least` are available where traffic goes.
fn check(world: &World, most: i64, least: i64) {
    let mut now = Now::default();
    let mut full = false;
    for change in world.history.all() {
        now.apply(&change);
        let told = format!("after {} of {}", change.kind, change.name);
        let asked = asked(&now);
        world.assert(asked <= most, &format!("{asked} pods are asked for {told}"));
        let weights = invariants::weights(now.get("HTTPRoute", NAME).unwrap_or(&json!({})));
        let serving = weights.iter().filter(|(_, weight)| **weight > 0);
        let serving: i64 = serving.map(|(slot, _)| invariants::available(&now, NAME, slot)).sum();
        full |= serving >= least;
        world.assert(!full || serving >= least, &format!("{serving} pods serve {told}"));
    }
    world.assert(full, "it never served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn surge_of_one_pod_is_never_exceeded() {
    let world = World::start().await;
    world.apply(&bounded("v1", &[(25, 1)])).await;
    world.until_model(NAME, "v1 serves", 30, |m| m.serves("v1")).await;
    world.apply(&bounded("v2", &[(25, 1), (75, 1)])).await;
    let half = |m: &ModelDeployment| m.tries("v2").is_some_and(|c| c.weight == 75);
    let model = world.until_model(NAME, "v2 has three quarters", 60, half).await;
    // It stays at the strength that an autoscaler asked for, whichever version has the pods.
    assert_eq!(model.status.as_ref().unwrap().replicas, Some(4));
    assert_eq!(model.condition(Type::Ready).0, "True");
    let tested = world.pods("v2");
    let model = world.until_model(NAME, "v2 serves", 90, |m| m.serves("v2")).await;
    assert_eq!(model.outcomes()[0], ("v2".to_owned(), Outcome::Promoted));
    world.assert(world.steps(NAME) == [25, 50, 75, 100], &format!("{:?}", world.steps(NAME)));
    world.assert(tested.is_subset(&world.pods("v2")), "the pods that were tested serve on");
    check(&world, 5, 4);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_version_gives_its_traffic_back_as_pods_come_back() {
    let world = World::start().await;
    world.apply(&bounded("v1", &[(75, 600)])).await;
    world.until_model(NAME, "v1 serves", 30, |m| m.serves("v1")).await;
    world.apply(&bounded("v2", &[(75, 600)])).await;
    let there = |m: &ModelDeployment| m.tries("v2").is_some_and(|c| c.weight == 75);
    world.until_model(NAME, "v2 has three quarters", 60, there).await;
    world.prometheus.load("wine:v2", Load::BAD);
    let model = world.until_model(NAME, "v2 is rejected", 90, |m| m.rejected("v2")).await;
    assert_eq!(model.status.unwrap().last_failed.unwrap().reason, Reason::AnalysisFailed.as_str());
    world.until("all pods of v1", 30, |now| invariants::available(now, NAME, "a") == 4).await;
    let steps = world.steps(NAME);
    let top = steps.iter().position(|weight| *weight == 75).unwrap();
    world.assert(steps[top..].is_sorted_by(|a, b| a > b) && steps[top..].len() > 2, &format!("{steps:?}"));
    check(&world, 5, 4);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bound_follows_replicas_that_somebody_else_sets() {
    let world = World::start().await;
    world.apply(&bounded("v1", &[(50, 600)])).await;
    world.until_model(NAME, "v1 serves", 30, |m| m.serves("v1")).await;
    world.apply(&bounded("v2", &[(50, 600)])).await;
    world.until_model(NAME, "v2 has half", 60, |m| m.tries("v2").is_some_and(|c| c.weight == 50)).await;
    let scale = async |replicas: i32| {
        let scale = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        world.models().patch_scale(NAME, &PatchParams::default(), &scale).await.unwrap();
    };
    let pods =
        |slot: &'static str, number: i64| move |now: &Now| invariants::available(now, NAME, slot) == number;
    scale(10).await;
    world.until("half of ten are of v2", 30, pods("b", 5)).await;
    world.until("the rest of v1, and one more", 30, pods("a", 6)).await;
    scale(4).await;
    // What v2 has beyond its half it will need for the next step.
    let both = |now: &Now| ["a", "b"].map(|slot| invariants::available(now, NAME, slot));
    world.until("five are left, two and three", 30, |now| [[3, 2], [2, 3]].contains(&both(now))).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn room_is_made_for_a_candidate_that_no_node_takes() {
    let world = World::start().await;
    let makes_room = |version: &str| {
        let mut wanted = wine(version).steps(&[(25, 1), (50, 1)]);
        wanted.spec.replicas = 4;
        wanted.spec.rollout.when_unschedulable = WhenUnschedulable::MakeRoom;
        wanted.spec.rollout.deadlines = Deadlines { unschedulable_seconds: 10, ..Deadlines::default() };
        wanted
    };
    world.apply(&makes_room("v1")).await;
    world.until_model(NAME, "v1 serves", 30, |m| m.serves("v1")).await;
    world.kubelet.script(&image("v2"), Behaviour::Unschedulable);
    world.apply(&makes_room("v2")).await;
    let waits = |m: &ModelDeployment| {
        m.tries("v2").and_then(|c| c.waiting).is_some_and(|w| w.reason == WaitingReason::Unschedulable)
    };
    let model = world.until_model(NAME, "it waits for a node", 20, waits).await;
    let message = model.message(Type::Progressing);
    assert!(message.contains("room is made for it at"), "{message}");
    let model = world
        .until_model(NAME, "room is made", 30, |m| m.tries("v2").is_some_and(|c| c.fits == Some(4)))
        .await;
    assert_eq!(model.condition(Type::Ready).0, "True");
    world.until("v1 gives up a pod", 20, |now| invariants::available(now, NAME, "a") == 3).await;
    world.settled(Duration::from_secs(1)).await;
    world.kubelet.script(&image("v2"), Behaviour::Ready(Duration::ZERO));
    let model = world.until_model(NAME, "v2 serves", 90, |m| m.serves("v2")).await;
    assert_eq!(model.outcomes()[0], ("v2".to_owned(), Outcome::Promoted));
    check(&world, 5, 3);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn room_that_does_not_help_is_given_back() {
    let world = World::start().await;
    let mut wanted = wine("v1");
    wanted.spec.rollout.when_unschedulable = WhenUnschedulable::MakeRoom;
    wanted.spec.rollout.deadlines = Deadlines { unschedulable_seconds: 10, ..Deadlines::default() };
    world.apply(&wanted).await;
    world.until_model(NAME, "v1 serves", 30, |m| m.serves("v1")).await;
    world.kubelet.script(&image("v2"), Behaviour::Unschedulable);
    wanted.spec.model = wine("v2").spec.model;
    wanted.spec.server = wine("v2").spec.server;
    world.apply(&wanted).await;
    world.until_model(NAME, "room is made", 30, |m| m.tries("v2").is_some_and(|c| c.fits.is_some())).await;
    // One of three is the most that a rollout takes; then it is given up, after what a pod may take to end.
    let model = world.until_model(NAME, "v2 is rejected", 90, |m| m.rejected("v2")).await;
    assert_eq!(model.status.unwrap().last_failed.unwrap().reason, Reason::Unschedulable.as_str());
    world.until("all pods of v1", 30, |now| invariants::available(now, NAME, "a") == 3).await;
    world.until_model(NAME, "they serve", 30, |m| m.condition(Type::Ready).0 == "True").await;
    world.assert(world.steps(NAME).is_empty(), &format!("{:?}", world.steps(NAME)));
    check(&world, 4, 2);
    world.check_invariants();
}
