//! What the evidence decides, and what happens when there is not enough of it.

use std::time::Duration;

use serin_api::conditions::Type;
use serin_api::{ModelDeployment, OnHorizon, Outcome};
use serin_tests::{Change as _, Load, NAME, Told as _, World, wine};

/// Too little traffic for any verdict, and the shortest horizon there is.
fn undecidable(on_horizon: OnHorizon) -> ModelDeployment {
    let mut wanted = wine("v2").steps(&[(20, 1)]);
    wanted.spec.rollout.analysis.horizon_seconds = 10;
    wanted.spec.rollout.analysis.on_horizon = on_horizon;
    wanted
}

async fn world_with_little_traffic() -> World {
    let world = World::start().await;
    world.prometheus.load("wine", Load { per_second: 2.0, ..Load::GOOD });
    world.serve("v1").await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_verdict_it_holds_and_says_so() {
    let world = world_with_little_traffic().await;
    world.canary(&undecidable(OnHorizon::Hold)).await;
    let told = |m: &ModelDeployment| m.condition(Type::Stalled) == ("True".into(), "HorizonReached".into());
    world.until_model(NAME, "it says that a person must decide", 60, told).await;
    world.settled(Duration::from_secs(3)).await;
    world.assert(world.steps(NAME) == [20], &format!("{:?}", world.steps(NAME)));

    // Traffic comes after all: nobody has to do anything.
    world.prometheus.load("wine", Load::GOOD);
    world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_verdict_it_is_promoted_where_the_spec_says_so() {
    let world = world_with_little_traffic().await;
    world.canary(&undecidable(OnHorizon::Promote)).await;
    let model = world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    assert_eq!(model.outcomes()[0], ("v2".to_owned(), Outcome::Promoted));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_verdict_it_is_rolled_back_where_the_spec_says_so() {
    let world = world_with_little_traffic().await;
    world.canary(&undecidable(OnHorizon::Rollback)).await;
    let model = world.until_model(NAME, "v2 is rolled back", 60, |m| m.rejected("v2")).await;
    assert_eq!(model.status.unwrap().last_failed.unwrap().reason, "HorizonReached");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_steps_the_ramp_comes_from_the_traffic() {
    let world = World::start().await;
    world.serve("v1").await;
    world.apply(&wine("v2").steps(&[])).await;
    world.until_model(NAME, "v2 serves", 120, |m| m.serves("v2")).await;
    let steps = world.steps(NAME);
    let rising = steps.windows(2).all(|pair| pair[0] < pair[1]);
    world.assert(steps.len() > 1 && steps.last() == Some(&100) && rising, &format!("{steps:?}"));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outage_of_something_both_versions_depend_on_rolls_nothing_back() {
    let world = World::start().await;
    world.serve("v1").await;
    world.canary(&wine("v2").steps(&[(25, 600)])).await;
    // A third of all requests fails, of both versions alike.
    world.prometheus.load("wine", Load::BAD);
    world.looks(21, 60).await;
    let model = world.model(NAME);
    world.assert(model.tries("v2").is_some_and(|c| c.retreat.is_none()), "v2 is no worse than v1");
    world.assert(world.steps(NAME) == [25], &format!("{:?}", world.steps(NAME)));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_breakdown_is_caught_at_the_last_step() {
    let world = World::start().await;
    world.serve("v1").await;
    world.canary(&wine("v2").steps(&[(20, 1), (50, 600)])).await;
    world.until("the last step", 30, |_| world.weights(NAME)["b"] == 50).await;
    world.looks(11, 60).await;
    world.prometheus.load("wine:v2", Load::BAD);
    world.until_model(NAME, "v2 is rejected", 60, |m| m.rejected("v2")).await;
    world.assert(world.steps(NAME) == [20, 50, 0], &format!("{:?}", world.steps(NAME)));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_tell_the_story_once_each() {
    let world = World::start().await;
    world.serve("v1").await;
    world.apply(&wine("v2").steps(&[(20, 1), (60, 1)])).await;
    world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    world.prometheus.load("wine:v3", Load::BAD);
    world.apply(&wine("v3").steps(&[(20, 60)])).await;
    world.until_model(NAME, "v3 is rejected", 60, |m| m.rejected("v3")).await;
    world.settled(Duration::from_secs(2)).await;

    let now = world.history.now();
    let mut told: Vec<(String, String)> = now
        .all("Event")
        .filter(|event| event["regarding"]["kind"] == "ModelDeployment")
        .map(|event| (event["eventTime"].to_string(), event["note"].as_str().unwrap_or_default().to_owned()))
        .collect();
    told.sort();
    let notes: Vec<&str> = told.iter().map(|(_, note)| note.as_str()).collect();
    for (version, word) in [
        ("v1", "starts"),
        ("v1", "serves"),
        ("v2", "starts"),
        ("v2", "20 %"),
        ("v2", "60 %"),
        ("v2", "takes over"),
    ] {
        let found = notes.iter().filter(|note| note.starts_with(version) && note.contains(word)).count();
        assert_eq!(found, 1, "{version} {word}: {notes:#?}");
    }
    let rolled_back = notes.iter().filter(|note| note.starts_with("v3 rolled back")).count();
    assert_eq!(rolled_back, 1, "{notes:#?}");
}
