//! What a person decides, by the program that people call.

use std::time::Duration;

use serin_api::{Outcome, Reason, conditions::Type};
use serin_tests::{Change as _, Load, NAME, Told as _, World, wine};

/// `kubectl serin WORD wine`.
async fn says(world: &World, word: &str) -> Result<String, String> {
    world.kubectl_serin(&[word, NAME]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidate_is_promoted_by_hand_with_its_pods() {
    let world = World::start().await;
    world.serve("v1").await;
    assert!(says(&world, "promote").await.unwrap_err().contains("no version is being tried; v1 serves"));
    world.canary(&wine("v2").steps(&[(20, 600), (60, 600)])).await;
    let pods = world.pods("v2");
    let said = says(&world, "promote").await.unwrap();
    assert!(said.contains("v2 (r1-") && said.contains("is to take over now"), "{said}");
    let model = world.until_model(NAME, "v2 serves", 30, |m| m.serves("v2")).await;
    assert_eq!(model.outcomes()[0], ("v2".to_owned(), Outcome::Promoted));
    assert!(world.pods("v2").is_superset(&pods), "with the pods that were tested");
    world.assert(world.steps(NAME) == [20, 100], &format!("{:?}", world.steps(NAME)));
    let history = says(&world, "history").await.unwrap();
    assert!(history.lines().nth(1).unwrap().contains("Promoted"), "{history}");
    // The same order, still there, is about nobody any more.
    world.canary(&wine("v3").steps(&[(20, 600)])).await;
    world.settled(Duration::from_secs(2)).await;
    world.assert(world.model(NAME).tries("v3").is_some(), "v3 waits for evidence");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidate_is_sent_back_by_hand_and_tried_again() {
    let world = World::start().await;
    world.serve("v1").await;
    let wanted = wine("v2").steps(&[(20, 600)]);
    world.canary(&wanted).await;
    says(&world, "abort").await.unwrap();
    let model = world.until_model(NAME, "v2 is rejected", 30, |m| m.rejected("v2")).await;
    assert_eq!(model.status.unwrap().last_failed.unwrap().reason, Reason::Aborted.as_str());
    // As Git does every few minutes.
    world.apply(&wanted).await;
    world.settled(Duration::from_secs(2)).await;
    world.assert(world.steps(NAME) == [20, 0], &format!("{:?}", world.steps(NAME)));
    says(&world, "retry").await.unwrap();
    world.until_model(NAME, "v2 is tried again", 30, |m| m.tries("v2").is_some_and(|c| c.weight == 20)).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_holds_the_weight_and_hides_no_failure() {
    let world = World::start().await;
    world.serve("v1").await;
    world.canary(&wine("v2").steps(&[(20, 4), (60, 1)])).await;
    says(&world, "pause").await.unwrap();
    let paused = |m: &serin_api::ModelDeployment| m.condition(Type::Progressing).1 == "Paused";
    world.until_model(NAME, "it says so", 20, paused).await;
    world.looks(8, 60).await;
    world.assert(world.steps(NAME) == [20], &format!("held at 20 %: {:?}", world.steps(NAME)));
    says(&world, "resume").await.unwrap();
    world.until("on to the next step", 30, |_| world.weights(NAME)["b"] == 60).await;
    world.apply(&wine("v1")).await;
    world.until_model(NAME, "back at v1", 60, |m| m.serves("v1")).await;

    let mut wanted = wine("v3").steps(&[(20, 600)]);
    world.canary(&wanted).await;
    wanted.spec.rollout.paused = true;
    world.apply(&wanted).await;
    world.prometheus.load("wine:v3", Load::BAD);
    world.until_model(NAME, "v3 is rejected", 60, |m| m.rejected("v3")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn step_waits_for_a_person_who_skips_it() {
    let world = World::start().await;
    world.serve("v1").await;
    assert!(says(&world, "skip").await.unwrap_err().contains("no version is being tried"));
    let mut wanted = wine("v2").steps(&[(20, 0), (60, 600)]);
    wanted.spec.rollout.steps[0].pause = true;
    world.canary(&wanted).await;
    let waits = |m: &serin_api::ModelDeployment| m.condition(Type::Progressing).1 == "Paused";
    world.until_model(NAME, "it waits for a person", 30, waits).await;
    world.looks(8, 60).await;
    world.assert(world.steps(NAME) == [20], &format!("{:?}", world.steps(NAME)));
    let said = says(&world, "skip").await.unwrap();
    assert!(said.contains("is to go on from step 1/2"), "{said}");
    let second = |m: &serin_api::ModelDeployment| m.tries("v2").is_some_and(|c| c.step_index == 2);
    world.until_model(NAME, "on to the next step", 30, second).await;
    let error = says(&world, "skip").await.unwrap_err();
    assert!(error.contains("v2 is at its last step; `promote` lets it take over"), "{error}");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undo_brings_back_what_served_before_without_steps() {
    let world = World::start().await;
    let windowed = |version: &str| {
        let mut wanted = wine(version).steps(&[(20, 1), (60, 1)]);
        wanted.spec.rollout.rollback_window = 2;
        wanted
    };
    world.apply(&windowed("v1")).await;
    world.until_model(NAME, "v1 serves", 30, |m| m.serves("v1")).await;
    assert!(says(&world, "undo").await.unwrap_err().contains("v1 is the first version that serves"));
    world.apply(&windowed("v2")).await;
    world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    let said = says(&world, "undo").await.unwrap();
    assert!(said.contains("v1 (r1-") && said.contains("is asked for again"), "{said}");
    world.until_model(NAME, "v1 serves again", 60, |m| m.serves("v1")).await;
    world.assert(world.steps(NAME) == [20, 60, 100, 0], &format!("at once: {:?}", world.steps(NAME)));

    // While another one is tried, it is that which is undone.
    world.canary(&wine("v3").steps(&[(20, 600)])).await;
    assert!(says(&world, "undo").await.unwrap().contains("v1 (r1-"));
    world.until_model(NAME, "v1 serves alone", 60, |m| m.serves("v1")).await;
    world.check_invariants();
}
