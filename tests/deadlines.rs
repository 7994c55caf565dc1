//! What keeps pods from starting: each cause has its deadline, told with what to do, and a restart does not begin it anew.

use std::time::Duration;

use chrono::Utc;
use serin_api::conditions::Type;
use serin_api::{Deadlines, LastFailed, ModelDeployment, Reason, Waiting, WaitingReason};
use serin_tests::{Behaviour, NAME, Now, Told as _, World, image, wine};

fn with(version: &str, progress: i32, deadlines: Deadlines) -> ModelDeployment {
    let mut wanted = wine(version);
    wanted.spec.rollout.progress_deadline_seconds = progress;
    wanted.spec.rollout.deadlines = deadlines;
    wanted
}

fn waiting(model: &ModelDeployment) -> Option<Waiting> {
    model.status.as_ref()?.candidate.as_ref()?.waiting
}

fn failed(model: &ModelDeployment) -> LastFailed {
    model.status.as_ref().unwrap().last_failed.clone().unwrap()
}

/// Events of this reason.
fn told(now: &Now, reason: Reason) -> usize {
    now.all("Event").filter(|event| event["reason"] == reason.as_str()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_for_a_node_goes_on_counting_over_a_restart() {
    let world = World::start().await;
    world.serve("v1").await;
    let pods = world.pods("v1");
    world.kubelet.script(&image("v2"), Behaviour::Unschedulable);
    let deadlines = Deadlines { unschedulable_seconds: 20, ..Deadlines::default() };
    world.apply(&with("v2", 10, deadlines)).await;
    let model = world.until_model(NAME, "it waits for a node", 20, |m| waiting(m).is_some()).await;
    let begun = waiting(&model).unwrap();
    assert_eq!(begun.reason, WaitingReason::Unschedulable);
    let message = model.message(Type::Progressing);
    assert!(
        message.contains("0/1 nodes are available") && message.contains("add or free nodes"),
        "{message}"
    );
    assert!(message.contains("rollout.deadlines.unschedulableSeconds"), "{message}");

    // Longer than the time that it has to start once it has a node. Nothing is written meanwhile.
    world.settled(Duration::from_secs(1)).await;
    let mark = world.proxy.calls().mark();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let cost = world.cost_since(mark);
    world.assert(cost.writes.is_empty() && cost.events == 0, &format!("a wait writes nothing: {cost}"));
    world.operator().kill();
    world.operator().spawn();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(waiting(&world.model(NAME)), Some(begun), "what was begun goes on");

    let model = world.until_model(NAME, "v2 is rejected", 30, |m| m.rejected("v2")).await;
    let end = failed(&model);
    assert_eq!(end.reason, Reason::Unschedulable.as_str());
    let waited = (end.at - begun.since).num_seconds();
    assert!((20..=24).contains(&waited), "given up after {waited} s");
    let said = "no place on a node within 20 s (rollout.deadlines.unschedulableSeconds): no node takes its pods: 0/1";
    assert!(end.message.starts_with(said), "{}", end.message);
    world.until("an Event tells of it", 10, |now| told(now, Reason::Unschedulable) > 0).await;
    assert_eq!(model.condition(Type::Stalled), ("True".to_owned(), Reason::Rejected.as_str().to_owned()));
    assert_eq!(world.pods("v1"), pods, "the stable version's pods are the same");
    world.assert(world.steps(NAME).is_empty(), &format!("{:?}", world.steps(NAME)));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_that_passed_for_want_of_a_node_is_given_back() {
    let world = World::start().await;
    world.serve("v1").await;
    world.kubelet.script(&image("v2"), Behaviour::Unschedulable);
    world.apply(&with("v2", 10, Deadlines::default())).await;
    world.until_model(NAME, "it waits for a node", 20, |m| waiting(m).is_some()).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    world.kubelet.script(&image("v2"), Behaviour::Ready(Duration::from_secs(4)));
    let starts = |m: &ModelDeployment| m.tries("v2").is_some_and(|c| c.waiting.is_none());
    let model = world.until_model(NAME, "there is a node", 20, starts).await;
    let waited = model.tries("v2").unwrap().waited_seconds;
    assert!((11..=15).contains(&waited), "{waited} s");
    world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn image_and_crashes_have_limits_of_their_own() {
    let world = World::start().await;
    world.serve("v1").await;
    world.kubelet.script(&image("v2"), Behaviour::ImagePull);
    let deadlines = Deadlines { image_pull_seconds: 10, crash_loop_restarts: 6, ..Deadlines::default() };
    world.apply(&with("v2", 60, deadlines)).await;
    let begun = Utc::now();
    let model = world.until_model(NAME, "v2 is rejected", 30, |m| m.rejected("v2")).await;
    let end = failed(&model);
    assert_eq!(end.reason, Reason::ImagePull.as_str());
    assert!(
        end.message.starts_with("no image within 10 s (rollout.deadlines.imagePullSeconds)"),
        "{}",
        end.message
    );
    assert!((end.at - begun).num_seconds() < 20, "long before its time to start is over: {end:?}");

    world.kubelet.script(&image("v3"), Behaviour::CrashLoop(5));
    world.apply(&with("v3", 60, deadlines)).await;
    world.until_model(NAME, "v3 starts", 20, |m| m.tries("v3").is_some()).await;
    world.until("its pods crash", 20, |_| !world.pods("v3").is_empty()).await;
    world.settled(Duration::from_secs(3)).await;
    world.assert(world.model(NAME).tries("v3").is_some(), "five crashes are borne");
    world.kubelet.script(&image("v3"), Behaviour::CrashLoop(1));
    let model = world.until_model(NAME, "v3 is rejected", 20, |m| m.rejected("v3")).await;
    assert_eq!(failed(&model).reason, Reason::CrashLoop.as_str());
    assert!(failed(&model).message.contains("crashed 6 times"), "{}", failed(&model).message);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_version_without_a_node_says_so_and_serves_when_there_is_one() {
    let world = World::start().await;
    world.kubelet.script(&image("v1"), Behaviour::Unschedulable);
    let deadlines = Deadlines { unschedulable_seconds: 10, ..Deadlines::default() };
    world.apply(&with("v1", 10, deadlines)).await;
    let stuck = ("True".to_owned(), Reason::Unschedulable.as_str().to_owned());
    let model = world.until_model(NAME, "it is stuck", 30, |m| m.condition(Type::Stalled) == stuck).await;
    let message = model.message(Type::Stalled);
    assert!(message.contains("add or free nodes") && message.contains("it is tried on"), "{message}");
    world.until("an Event tells of it", 10, |now| told(now, Reason::Unschedulable) > 0).await;
    world.settled(Duration::from_secs(2)).await;
    world.kubelet.script(&image("v1"), Behaviour::Ready(Duration::ZERO));
    let model = world.until_model(NAME, "v1 serves", 30, |m| m.serves("v1")).await;
    assert_eq!(model.condition(Type::Stalled).0, "False");
    world.check_invariants();
}
