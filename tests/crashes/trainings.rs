//! Trainings: killed after any write, refused, lied to or late, there is one Job an attempt, one version, and the same end.

use std::time::Duration;

use serde_json::json;
use serin_api::{RunPhase, RunResult, TrainingRun};
use serin_tests::kubelet::image;
use serin_tests::operator::Operator;
use serin_tests::{End, Fate, RUN, RunTold as _, Vary as _, World, crowd, run, run_end_state};

use super::harm::{self, Harm, Life, compare};

/// A run with all there is: a gang, a disruption, another attempt, an evaluation, a version, and what is left removed.
fn whole() -> TrainingRun {
    run().nodes(2).retries(0, 1, 0, 1).with("/retention", json!({"jobsSeconds": 3}))
}

async fn life(harm: Option<(usize, Harm)>) -> Life {
    let _place = crowd::place().await;
    let mut world = World::without_operator().await;
    world.start_operator();
    let hurt = harm::suffer(&world, harm, course(&world)).await;
    world.check_invariants();
    (run_end_state::told(&world.history.now()), hurt)
}

async fn course(world: &World) {
    let disrupted = Fate::Ends(Duration::from_secs(1), End::Disrupted);
    world.kubelet.fate(image("trainer").number(1).index(1), disrupted);
    world.kubelet.fate(image("trainer").number(1).index(0), Fate::Runs);
    world.train(&whole()).await;
    let run = world.until_run(RUN, "it has ended", 90, |run| run.end().is_some()).await;
    world.assert(run.ended(RunResult::Succeeded), &format!("{:?}", run.end()));
    world.until("its children are removed", 60, |now| now.jobs_of(RUN).is_empty()).await;
    world.until("and its Services", 60, |now| now.all("Service").next().is_none()).await;
    // Longer than a retry takes, so that nothing is still to come.
    world.settled(Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_each_write_of_a_training_it_ends_the_same() {
    harm::every_write(12, |_| Harm::Kill, life).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_of_a_training_lost_it_ends_the_same() {
    harm::every_write(12, |_| Harm::LoseAnswer, life).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_write_of_a_training_refused_or_denied_afterwards_it_ends_the_same() {
    let harms = [Harm::Refuse(429), Harm::AnswerAfterCommit(504), Harm::Refuse(503), Harm::Refuse(500)];
    harm::every_write(12, |nth| harms[nth % harms.len()], life).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_operators_at_once_train_once() {
    let (expected, _) = life(None).await;
    let _place = crowd::place().await;
    let world = World::start().await;
    let mut launch = world.launch();
    launch.log.set_extension("second");
    let _second = Operator::start(launch);
    course(&world).await;
    compare(&expected, &run_end_state::told(&world.history.now()), "two operators");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_watches_train_nothing_twice() {
    let (expected, _) = life(None).await;
    let _place = crowd::place().await;
    let world = World::start().await;
    world.proxy.link.lag(Duration::from_millis(1500));
    course(&world).await;
    compare(&expected, &run_end_state::told(&world.history.now()), "late watches");
    let cost = world.cost_since(0);
    let twice = cost.writes.iter().find(|call| call.status == 409);
    world.assert(twice.is_none(), &format!("nothing is written on an older world than its own: {twice:?}"));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_in_the_middle_of_a_training_changes_nothing() {
    let world = World::start().await;
    world.kubelet.fate(image("trainer"), Fate::Runs);
    world.train(&run()).await;
    let runs = |run: &TrainingRun| run.phase() == Some(RunPhase::Running);
    let before = world.until_run(RUN, "it runs", 30, runs).await;
    world.settled(Duration::from_secs(2)).await;
    world.operator().kill();
    let mark = world.proxy.calls().mark();
    world.operator().spawn();
    world.until("its watches are open again", 20, |_| world.cost_since(mark).watches >= 5).await;
    world.settled(Duration::from_secs(3)).await;
    let cost = world.cost_since(mark);
    world.assert(cost.writes.is_empty() && cost.events == 0, &format!("a restart writes nothing: {cost}"));
    assert_eq!(world.history.now().run(RUN).unwrap().status, before.status);
    world.kubelet.fate(image("trainer"), Fate::WELL);
    let run = world.until_run(RUN, "it has ended", 60, |run| run.end().is_some()).await;
    assert_eq!(run.attempts().len(), 1);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apiserver_away_in_the_middle_of_a_training_is_survived() {
    let world = World::start().await;
    world.kubelet.fate(image("trainer"), Fate::Runs);
    world.train(&run()).await;
    world.until_run(RUN, "it runs", 30, |run| run.phase() == Some(RunPhase::Running)).await;
    world.proxy.link.cut(true);
    // It ends while nobody can see it.
    world.kubelet.fate(image("trainer"), Fate::WELL);
    let complete = |now: &serin_tests::history::Now| {
        now.get("Job", "fit-a1").is_some_and(|job| job["status"]["succeeded"] == 1)
    };
    world.until("its Job is complete", 30, complete).await;
    world.assert(world.operator().is_running(), "the operator does not end for it");
    world.proxy.link.cut(false);
    let run = world.until_run(RUN, "it has ended", 90, |run| run.end().is_some()).await;
    assert!(run.ended(RunResult::Succeeded), "{:?}", run.end());
    assert_eq!(run.attempts().len(), 1);
    world.check_invariants();
}
