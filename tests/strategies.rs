//! All at once, and one after the other.

use serin_api::{BlueGreen, ModelDeployment, Outcome, Reason, Strategy, conditions::Type};
use serin_tests::{Behaviour, Change as _, Load, NAME, Now, Told as _, World, image, wine};

fn by(strategy: Strategy, version: &str) -> ModelDeployment {
    let mut wanted = wine(version).steps(&[]);
    wanted.spec.rollout.strategy = strategy;
    wanted
}

fn blue(version: &str, preview_seconds: i32, auto_promote: bool) -> ModelDeployment {
    let mut wanted = by(Strategy::BlueGreen, version);
    wanted.spec.rollout.blue_green = Some(BlueGreen { preview_seconds, auto_promote });
    wanted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blue_green_switches_all_traffic_once_with_all_pods() {
    let world = World::start().await;
    world.serve("v1").await;
    world.apply(&blue("v2", 0, false)).await;
    let waits = |m: &ModelDeployment| m.condition(Type::Progressing).1 == Reason::Paused.as_str();
    let model = world.until_model(NAME, "it waits for a person", 60, waits).await;
    let message = serin_api::conditions::get(&model.status.unwrap().conditions, Type::Progressing)
        .unwrap()
        .message
        .clone();
    assert!(message.contains("v2: previewed at the Service wine-b"), "{message}");
    let pods = world.pods("v2");
    assert_eq!((pods.len(), world.pods("v1").len()), (3, 3));
    world.looks(5, 60).await;
    world.assert(world.steps(NAME).is_empty(), &format!("no traffic yet: {:?}", world.steps(NAME)));

    world.kubectl_serin(&["skip", NAME]).await.unwrap();
    let model = world.until_model(NAME, "v2 serves", 30, |m| m.serves("v2")).await;
    assert_eq!(model.outcomes()[0], ("v2".to_owned(), Outcome::Promoted));
    world.assert(world.steps(NAME) == [100], &format!("at once: {:?}", world.steps(NAME)));
    assert_eq!(world.pods("v2"), pods, "with the pods that were previewed");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blue_green_that_fails_its_testers_never_has_traffic() {
    let world = World::start().await;
    world.serve("v1").await;
    let pods = world.pods("v1");
    world.prometheus.load("wine:v2", Load::BAD);
    world.apply(&blue("v2", 600, true)).await;
    let model = world.until_model(NAME, "v2 is rejected", 60, |m| m.rejected("v2")).await;
    assert_eq!(model.status.unwrap().last_failed.unwrap().reason, Reason::AnalysisFailed.as_str());
    world.assert(world.steps(NAME).is_empty(), &format!("{:?}", world.steps(NAME)));
    assert_eq!(world.pods("v1"), pods);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recreate_never_asks_for_a_second_set_of_pods() {
    let world = World::start().await;
    world.serve("v1").await;
    world.apply(&by(Strategy::Recreate, "v2")).await;
    let model = world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    assert_eq!(model.outcomes()[0], ("v2".to_owned(), Outcome::Deployed));
    world.assert(world.steps(NAME) == [100], &format!("{:?}", world.steps(NAME)));
    let most =
        |at: &Now| -> i64 { at.all("Deployment").map(|d| d["spec"]["replicas"].as_i64().unwrap_or(0)).sum() };
    let mut now = Now::default();
    for change in world.history.all() {
        now.apply(&change);
        let asked = most(&now);
        world.assert(
            asked <= 3,
            &format!("{asked} pods are asked for after {} of {}", change.kind, change.name),
        );
    }
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recreate_that_never_serves_gives_the_place_back() {
    let world = World::start().await;
    world.serve("v1").await;
    world.kubelet.script(&image("v2"), Behaviour::CrashLoop(5));
    world.apply(&by(Strategy::Recreate, "v2")).await;
    let model = world.until_model(NAME, "v2 is rejected", 60, |m| m.rejected("v2")).await;
    assert_eq!(model.status.unwrap().last_failed.unwrap().reason, Reason::CrashLoop.as_str());
    world.until("v1 has its pods again", 60, |_| world.pods("v1").len() == 3).await;
    world.until_model(NAME, "they serve", 60, |m| m.condition(Type::Ready).0 == "True").await;
    world.assert(world.steps(NAME).is_empty(), &format!("{:?}", world.steps(NAME)));
    world.check_invariants();
}
