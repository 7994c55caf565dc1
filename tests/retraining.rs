//! Policies that train again, on a real control plane: what starts a run, on which data, and what does not.

use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use serin_api::conditions::{self, Type};
use serin_api::{PolicyPhase, RetrainPolicy, RunResult, TrainingRun, TriggerState, labels};
use serin_tests::history::Now;
use serin_tests::kubelet::{content_digest, image};
use serin_tests::runs::{MOVING, POLICY, policy};
use serin_tests::{Fate, Load, Trouble, World};

fn reason(policy: &RetrainPolicy) -> String {
    let ready = policy.status.as_ref().and_then(|s| conditions::get(&s.conditions, Type::Ready));
    ready.map(|c| c.reason.clone()).unwrap_or_default()
}

fn runs(now: &Now) -> Vec<TrainingRun> {
    let mut runs: Vec<TrainingRun> =
        now.all("TrainingRun").map(|run| serde_json::from_value(run.clone()).unwrap()).collect();
    runs.sort_by_key(|run| run.labels()[labels::RETRAIN_NUMBER].parse::<i32>().unwrap());
    runs
}

/// Waits for something about the policy.
async fn until(
    world: &World,
    what: &str,
    seconds: u64,
    holds: impl Fn(&RetrainPolicy) -> bool,
) -> RetrainPolicy {
    world.until(what, seconds, |now| now.policy(POLICY).filter(|policy| holds(policy))).await
}

/// So many runs have ended, and the policy says so.
fn ended(count: usize) -> impl Fn(&RetrainPolicy) -> bool {
    move |policy| {
        let records = policy.status.as_ref().map(|s| s.runs.clone()).unwrap_or_default();
        records.len() == count && records.iter().all(|r| r.ended_at.is_some())
    }
}

async fn say(world: &World, word: &str) {
    let patch = json!({"metadata": {"annotations": {labels::RETRAIN_NOW: word}}});
    world.policies().patch(POLICY, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
}

/// A change of no consequence: the policy is looked at now instead of within a minute.
async fn nudge(world: &World) {
    let word = chrono::Utc::now().timestamp_millis().to_string();
    let patch = json!({"metadata": {"labels": {"nudge": word}}});
    world.policies().patch(POLICY, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
}

fn stale() -> Value {
    json!([{"name": "stale", "maxAge": {"seconds": 86_400}}])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_answers_start_one_run_on_the_data_of_that_moment() {
    let world = World::start().await;
    world.serve("v1").await;
    world.kubelet.data("before");
    let mut wanted = policy(&json!([{"name": "mistakes", "quality": {
        "bad": {"series": "answers_rejected_total"}, "all": {"series": "answers_total"},
        "maxBadPermille": 100, "windowSeconds": 60, "forSeconds": 2, "minCount": 100,
    }}]));
    wanted.spec.deployment_ref = Some("wine".to_owned());
    world.retrain(&wanted).await;
    let state =
        |policy: &RetrainPolicy| policy.status.as_ref().and_then(|s| s.triggers.first().map(|t| t.state));
    until(&world, "all is well", 30, |p| state(p) == Some(TriggerState::Quiet)).await;
    world.settled(Duration::from_secs(2)).await;

    let mark = world.proxy.calls().mark();
    for _ in 0..3 {
        nudge(&world).await;
        world.settled(Duration::from_secs(1)).await;
    }
    let cost = world.cost_since(mark);
    world.assert(
        cost.writes.is_empty() && cost.events == 0,
        &format!("nothing is written while all is well: {cost}"),
    );

    world.prometheus.trouble(Trouble::ServerError);
    nudge(&world).await;
    until(&world, "nobody knows", 20, |p| state(p) == Some(TriggerState::Unknown)).await;
    world.prometheus.trouble(Trouble::None);
    world.prometheus.load("wine:v1", Load::BAD);
    world.kubelet.data("after");
    world.kubelet.fate(image("trainer"), Fate::Runs);
    for _ in 0..40 {
        nudge(&world).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        if world.history.now().policy(POLICY).and_then(|p| p.status?.active).is_some() {
            break;
        }
    }
    let training = until(&world, "a run goes on", 30, |p| reason(p) == "Retraining").await;
    let made = runs(&world.history.now());
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].spec.datasets[0].digest.0, content_digest(MOVING, "after"));
    assert_eq!(made[0].labels()[labels::TRIGGER], "mistakes");
    assert_eq!(training.status.unwrap().active.as_deref(), Some(made[0].name_any().as_str()));

    world.kubelet.fate(image("trainer"), Fate::WELL);
    let policy = until(&world, "it has ended", 60, ended(1)).await;
    let record = policy.status.unwrap().runs.remove(0);
    assert_eq!(record.result, Some(RunResult::Succeeded));
    assert!(record.message.contains("permille"), "{}", record.message);
    assert!(world.history.now().version(record.version.as_deref().unwrap()).is_some());
    // Still bad, and nothing new to learn from.
    for _ in 0..20 {
        nudge(&world).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    until(&world, "it says that nothing is new", 30, |p| reason(p) == "NothingNew").await;
    assert_eq!(runs(&world.history.now()).len(), 1);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_version_is_made_at_once_and_a_person_can_ask_for_more() {
    let world = World::start().await;
    world.kubelet.data("one");
    world.retrain(&policy(&stale())).await;
    let first = until(&world, "the first run has ended", 60, ended(1)).await;
    let status = first.status.unwrap();
    assert_eq!((status.runs[0].trigger.as_str(), status.data[0].bytes), ("stale", 3));
    until(&world, "it waits", 20, |p| reason(p) == "Armed").await;
    world.settled(Duration::from_secs(2)).await;

    // As Git does every few minutes; and after a restart.
    let mark = world.proxy.calls().mark();
    for _ in 0..3 {
        world.retrain(&policy(&stale())).await;
    }
    world.operator().kill();
    world.operator().spawn();
    world.until("its watches are open again", 20, |_| world.cost_since(mark).watches >= 5).await;
    world.settled(Duration::from_secs(3)).await;
    let cost = world.cost_since(mark);
    world.assert(cost.writes.is_empty() && cost.events == 0, &format!("nothing is written: {cost}"));

    say(&world, "please").await;
    let second = until(&world, "the second run has ended", 60, ended(2)).await;
    let status = second.status.unwrap();
    assert_eq!(
        (status.runs[1].trigger.as_str(), status.handled_retrain.as_deref()),
        ("by-hand", Some("please"))
    );
    let made = runs(&world.history.now());
    assert_eq!(made[1].spec.rerun_token.as_deref(), Some("please"));
    assert_eq!(made[0].spec.datasets, made[1].spec.datasets, "the same data, because a person wants it");
    let no_looks =
        |now: &Now| now.all("Job").all(|job| job["metadata"]["labels"][labels::RETRAIN_UID].is_null());
    world.until("the Jobs of looks are cleared away", 30, no_looks).await;

    // Runs go with their policy; versions do not.
    let versions = world.history.now().versions().len();
    world.policies().delete(POLICY, &DeleteParams::background()).await.unwrap();
    world.until("the runs are collected", 60, |now| now.all("TrainingRun").next().is_none()).await;
    world.settled(Duration::from_secs(2)).await;
    assert_eq!(world.history.now().versions().len(), versions);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_data_starts_a_run_and_runs_that_fail_stop_the_policy() {
    let world = World::start().await;
    world.kubelet.data("one");
    world.kubelet.fate(image("trainer"), Fate::exits(40));
    let mut wanted = policy(&json!([{"name": "data", "newData": {"everySeconds": 60}}]));
    wanted.spec.stop_after_ineffective = 1;
    world.retrain(&wanted).await;
    until(&world, "the first run has failed", 60, ended(1)).await;
    let is_stopped = |p: &RetrainPolicy| reason(p) == "Ineffective";
    let stopped = until(&world, "a person has to look", 30, is_stopped).await;
    let status = stopped.status.unwrap();
    assert_eq!(status.phase, Some(PolicyPhase::Stopped));
    assert!(conditions::is_true(&status.conditions, Type::Stalled));
    let stops = |now: &Now| now.all("Event").filter(|e| e["reason"] == "Ineffective").count();
    world.until("it is said once", 20, |now| stops(now) == 1).await;
    // A person's word is a look, and what fails once more stops it once more.
    say(&world, "again").await;
    let stopped = until(&world, "the second run has failed, too", 60, |p| ended(2)(p) && is_stopped(p)).await;
    assert_eq!(stopped.status.unwrap().runs[1].trigger, "by-hand");

    // A change of the policy is a look.
    world.kubelet.fate(image("trainer"), Fate::WELL);
    world.kubelet.data("two");
    wanted.spec.triggers = serde_json::from_value(stale()).unwrap();
    world.retrain(&wanted).await;
    let policy = until(&world, "the third run has ended", 60, ended(3)).await;
    assert_eq!(policy.status.unwrap().runs[2].result, Some(RunResult::Succeeded));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_cannot_be_read_is_said_with_the_words_of_the_look() {
    let world = World::start().await;
    let lost = Fate::ends(serin_tests::End::Exit(50, "s3://data/latest.csv: not found"));
    world.kubelet.fate(image("agent:test"), lost);
    world.retrain(&policy(&stale())).await;
    let held = until(&world, "it says so", 120, |p| reason(p) == "DataUnreadable").await;
    let ready = conditions::get(&held.status.as_ref().unwrap().conditions, Type::Ready).unwrap();
    assert!(ready.message.contains("latest.csv: not found"), "{}", ready.message);
    assert!(runs(&world.history.now()).is_empty());
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_acted_on_is_said_in_one_line_and_starts_nothing() {
    let world = World::start().await;
    world.retrain(&policy(&json!([{"name": "never", "schedule": {"cron": "0 0 30 2 *"}}]))).await;
    let invalid = until(&world, "it is invalid", 20, |p| reason(p) == "InvalidSpec").await;
    let stalled = conditions::get(&invalid.status.as_ref().unwrap().conditions, Type::Stalled).unwrap();
    assert!(stalled.message.contains("never comes"), "{}", stalled.message);

    let mut object = serde_json::to_value(policy(&stale())).unwrap();
    object["spec"]["template"]["suspend"] = json!(true);
    let refused = world.try_apply_raw(&object).await.unwrap_err().to_string();
    assert!(refused.contains("use suspend of the policy"), "{refused}");

    // A template may change, unlike a run.
    let mut wanted = policy(&json!([{"name": "yearly", "schedule": {"cron": "0 0 1 1 *"}}]));
    world.retrain(&wanted).await;
    until(&world, "a good spec goes on", 20, |p| reason(p) == "Armed").await;
    wanted.spec.template.trainer.image = "serin.dev/trainer:2".to_owned();
    world.retrain(&wanted).await;
    world.settled(Duration::from_secs(1)).await;
    assert!(runs(&world.history.now()).is_empty());
    world.check_invariants();
}
