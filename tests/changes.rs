//! The spec changes while a rollout is under way.

use std::time::Duration;

use serde_json::Value;
use serin_api::Outcome;
use serin_tests::history::Now;
use serin_tests::{Change as _, NAME, Told as _, World, invariants, wine};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn back_to_the_stable_spec_gives_the_traffic_back_and_restarts_nothing() {
    let world = World::start().await;
    world.serve("v1").await;
    let pods = world.pods("v1");
    world.canary(&wine("v2").steps(&[(25, 600)])).await;

    world.apply(&wine("v1")).await;
    let model = world.until_model(NAME, "v1 serves alone", 20, |m| m.serves("v1")).await;
    assert_eq!(model.outcomes()[0], ("v2".to_owned(), Outcome::Superseded));
    assert!(model.status.unwrap().last_failed.is_none(), "a superseded version was not found bad");
    world.until("v2 is removed", 20, |_| world.pods("v2").is_empty()).await;
    assert_eq!(world.pods("v1"), pods);
    world.assert(world.steps(NAME) == [25, 0], &format!("{:?}", world.steps(NAME)));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn third_spec_waits_until_the_second_has_no_traffic_by_the_gateways_word() {
    let world = World::start().await;
    world.serve("v1").await;
    let pods = world.pods("v1");
    world.canary(&wine("v2").steps(&[(25, 600)])).await;

    world.gateway.pause(true);
    world.apply(&wine("v3")).await;
    world.until("the weight of v2 is written as 0", 20, |_| world.weights(NAME)["b"] == 0).await;
    world.settled(Duration::from_secs(2)).await;
    world.assert(world.pods("v3").is_empty(), "v3 does not start before the gateway has confirmed");
    world.assert(!world.pods("v2").is_empty(), "v2 keeps its pods while it may have traffic");

    world.gateway.pause(false);
    let model = world.until_model(NAME, "v3 serves", 60, |m| m.serves("v3")).await;
    let outcomes: Vec<_> = model.outcomes().into_iter().map(|(version, _)| version).collect();
    assert_eq!(outcomes, ["v3", "v2", "v1"]);
    assert_eq!(model.outcomes()[1].1, Outcome::Superseded);
    assert!(world.pods("v1").is_disjoint(&world.pods("v3")) && !pods.is_empty());

    // In the apiserver's own order: zero, confirmed, gone, and only then the next one.
    let mut now = Now::default();
    for change in world.history.all() {
        if change.kind == "Deployment" && image(&change.object) == "serin.dev/wine:v3" {
            break;
        }
        now.apply(&change);
    }
    let route = now.get("HTTPRoute", NAME).unwrap();
    assert_eq!(invariants::weights(route)["b"], 0);
    let seen = &route["status"]["parents"][0]["conditions"][0]["observedGeneration"];
    assert_eq!(seen, &route["metadata"]["generation"]);
    assert!(now.all("Deployment").all(|deployment| image(deployment) != "serin.dev/wine:v2"));
    world.check_invariants();
}

fn image(deployment: &Value) -> &str {
    deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn third_spec_before_any_traffic_replaces_the_second_at_once() {
    let world = World::start().await;
    world.serve("v1").await;
    world.kubelet.script("wine:v2", serin_tests::Behaviour::NeverReady);
    world.apply(&wine("v2")).await;
    world.until("v2 starts", 20, |_| !world.pods("v2").is_empty()).await;
    world.apply(&wine("v3")).await;
    world.until_model(NAME, "v3 serves", 60, |m| m.serves("v3")).await;
    world.assert(world.steps(NAME) == [10, 25, 50, 75, 100], "only v3 had traffic");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_version_that_never_works_is_replaced_at_once() {
    let world = World::start().await;
    world.kubelet.script("wine:v1", serin_tests::Behaviour::CrashLoop(5));
    world.apply(&wine("v1")).await;
    world.until("v1 starts", 20, |_| !world.pods("v1").is_empty()).await;
    world.apply(&wine("v2")).await;
    let model = world.until_model(NAME, "v2 serves", 30, |m| m.serves("v2")).await;
    assert_eq!(model.outcomes()[0], ("v2".to_owned(), Outcome::Deployed));
    world.until("v1 is removed", 20, |_| world.pods("v1").is_empty()).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scaling_in_mid_canary_neither_blocks_nor_restarts_it() {
    let world = World::start().await;
    world.serve("v1").await;
    let before = world.canary(&wine("v2").steps(&[(25, 600)])).await;
    let since = before.tries("v2").unwrap().since;
    let first_candidates = world.pods("v2");

    world.apply(&wine("v2").steps(&[(25, 600)]).replicas(9)).await;
    world.until("nine pods of v1", 20, |now| invariants::available(now, NAME, "a") == 9).await;
    world
        .until("a quarter of nine, rounded up, of v2", 20, |now| invariants::available(now, NAME, "b") == 3)
        .await;
    world.apply(&wine("v2").steps(&[(25, 600)])).await;
    world.until("three pods of v1", 20, |now| invariants::available(now, NAME, "a") == 3).await;
    let model = world.until_model(NAME, "the status follows", 20, serin_tests::Told::is_current).await;
    assert_eq!(model.tries("v2").unwrap().since, since, "the step goes on where it was");
    assert!(!world.pods("v2").is_disjoint(&first_candidates), "the candidate's pods are not all new ones");

    // Promotion is not blocked by it either.
    world.apply(&wine("v1")).await;
    world.until_model(NAME, "v1 serves alone", 20, |m| m.serves("v1")).await;
    world.canary(&wine("v3").steps(&[(10, 2), (50, 1)])).await;
    world.apply(&wine("v3").steps(&[(10, 2), (50, 1)]).replicas(5)).await;
    world.until_model(NAME, "v3 serves", 60, |m| m.serves("v3")).await;
    world.until("all five pods", 20, |_| world.pods("v3").len() == 5).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_in_mid_canary_leaves_nothing() {
    let world = World::start().await;
    let model = world.serve("v1").await;
    let uid = model.metadata.uid.unwrap();
    world.canary(&wine("v2").steps(&[(25, 600)])).await;
    world.delete(NAME).await;
    world.until("all children are collected", 30, |now| now.children(&uid).is_empty()).await;
    world.until("all pods are gone", 30, |now| now.all("Pod").next().is_none()).await;
    let mark = world.proxy.calls().mark();
    world.settled(Duration::from_secs(2)).await;
    let cost = world.cost_since(mark);
    world.assert(cost.writes.is_empty(), &format!("nothing is made again: {cost}"));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namesake_created_at_once_adopts_nothing_and_works() {
    let world = World::start().await;
    let first = world.serve("v1").await;
    let old = first.metadata.uid.unwrap();
    world.canary(&wine("v2").steps(&[(25, 600)])).await;
    let old_pods = world.pods("v1");
    world.delete(NAME).await;
    let second = world.apply(&wine("v1")).await;
    let new = second.metadata.uid.unwrap();
    assert_ne!(old, new);
    world
        .until_model(NAME, "the namesake serves", 60, |m| {
            m.metadata.uid.as_ref() == Some(&new) && m.serves("v1")
        })
        .await;
    world.until("the old children are collected", 30, |now| now.children(&old).is_empty()).await;
    world
        .until("three new pods", 30, |_| {
            let pods = world.pods("v1");
            pods.len() == 3 && pods.is_disjoint(&old_pods)
        })
        .await;
    let children = world.history.now().children(&new);
    let count = |kind| children.iter().filter(|(of, _)| *of == kind).count();
    assert_eq!((count("Deployment"), count("Service"), count("HTTPRoute")), (1, 2, 1), "{children:?}");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_version_is_tried_again_only_when_asked() {
    let world = World::start().await;
    world.serve("v1").await;
    world.kubelet.script("wine:v2", serin_tests::Behaviour::CrashLoop(4));
    world.apply(&wine("v2")).await;
    let model = world.until_model(NAME, "v2 is rejected", 30, |m| m.rejected("v2")).await;
    let revision = model.status.unwrap().last_failed.unwrap().revision;

    // The same spec again, with another number of replicas: still rejected.
    world.apply(&wine("v2").replicas(4)).await;
    world
        .until_model(NAME, "it stays rejected", 20, |m| m.metadata.generation > Some(2) && m.rejected("v2"))
        .await;
    world.settled(Duration::from_secs(2)).await;
    world.assert(world.pods("v2").is_empty(), "v2 is not started");

    world.kubelet.script("wine:v2", serin_tests::Behaviour::Ready(Duration::ZERO));
    let mut asked = wine("v2");
    asked.metadata.annotations = Some([(serin_api::labels::RETRY.to_owned(), revision)].into());
    world.apply(&asked).await;
    world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    world.check_invariants();
}
