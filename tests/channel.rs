//! Deployments that name a channel: the newest version that may be served is, the spec stays what it is, and what was
//! rolled back stays barred.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use serin_api::conditions::Type;
use serin_api::{ChannelStatus, ModelDeployment, Outcome, Unserved, labels};
use serin_tests::runs::imported;
use serin_tests::{
    Behaviour, Call, Change as _, Fault, Load, NAME, RunTold as _, Told as _, Vary as _, World, run, wine,
};

/// `wine` with its model from a channel. All versions have the same server: their models' addresses tell them apart.
fn channel(approval: &str) -> ModelDeployment {
    let mut wanted = wine("v1").steps(&[(25, 1), (60, 1)]);
    wanted.spec.model =
        serde_json::from_value(json!({"channel": {"model": "wine", "approval": approval}})).unwrap();
    wanted
}

/// A version that passed its evaluation. The names of those that are made in the same second decide.
async fn judged(world: &World, name: &str) {
    world.record(&imported(name)).await;
    let condition = json!({
        "type": "Evaluated", "status": "True", "reason": "GatePassed", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let patch = Patch::Merge(json!({"status": {"conditions": [condition]}}));
    world.versions().patch_status(name, &PatchParams::default(), &patch).await.unwrap();
}

async fn revoke(world: &World, name: &str) {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {labels::REVOKED: "leaked labels"}}}));
    world.versions().patch(name, &PatchParams::default(), &patch).await.unwrap();
}

fn led(model: &ModelDeployment) -> ChannelStatus {
    model.status.as_ref().and_then(|status| status.channel.clone()).unwrap_or_default()
}

/// Whether the channel leads past this version for this reason.
fn past(model: &ModelDeployment, version: &str, reason: Unserved) -> bool {
    led(model).passed_over.iter().any(|passed| passed.version == version && passed.reason == reason)
}

/// Names of the deployments that a version says have rolled it back.
fn bars(world: &World, version: &str) -> Vec<String> {
    let version = world.history.now().version(version);
    let bars = version.and_then(|version| version.status).map(|status| status.bars).unwrap_or_default();
    bars.into_iter().map(|bar| bar.deployment).collect()
}

/// How many Deployments with this version's model there ever were.
fn made(world: &World, version: &str) -> usize {
    let uri = format!("models.example/{version}");
    let all = world.history.all();
    let of_version = all.iter().filter(|c| c.kind == "Deployment" && c.object.to_string().contains(&uri));
    let uids = of_version.map(|change| change.object["metadata"]["uid"].to_string());
    uids.collect::<std::collections::BTreeSet<_>>().len()
}

/// The spec is the user's: nothing has ever changed it.
fn spec_is_untouched(world: &World) {
    let generation = world.model(NAME).metadata.generation;
    world.assert(generation == Some(1), &format!("the spec was changed: generation {generation:?}"));
}

async fn first_serves(world: &World, approval: &str) {
    judged(world, "wine-1").await;
    world.apply(&channel(approval)).await;
    world.until_model(NAME, "the first serves", 60, |m| m.serves("wine-1")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_trained_is_served_and_so_is_the_next_one() {
    let world = World::start().await;
    world.apply(&channel("Auto")).await;
    let waits = |m: &ModelDeployment| m.condition(Type::Progressing).1 == "NoVersion";
    world.until_model(NAME, "it waits for a version", 20, waits).await;
    world.settled(Duration::from_secs(1)).await;
    world.assert(world.history.now().all("Deployment").next().is_none(), "nothing is made");
    world.assert(world.history.now().all("Service").next().is_none(), "nothing at all");
    let first = world.trained(&run()).await.version().unwrap().to_owned();
    world.until_model(NAME, "the first serves", 60, |m| m.serves(&first)).await;
    let better =
        json!({"metrics": [{"name": "accuracy", "minImprovement": "0.05"}], "whenNoChampion": "Reject"});
    let second = world.trained(&run().called("next").seed("8").gate(better)).await;
    let second = second.version().unwrap().to_owned();
    let model = world.until_model(NAME, "the second serves", 60, |m| m.serves(&second)).await;
    assert_eq!(model.outcomes()[0], (second.clone(), Outcome::Promoted));
    assert_eq!(led(&model).version, Some(second));
    spec_is_untouched(&world);

    // At rest, and after a restart, nothing is written.
    world.settled(Duration::from_secs(3)).await;
    world.operator().kill();
    let mark = world.proxy.calls().mark();
    world.operator().spawn();
    world.until("its watches are open again", 20, |_| world.cost_since(mark).watches >= 5).await;
    world.settled(Duration::from_secs(3)).await;
    let cost = world.cost_since(mark);
    world.assert(cost.writes.is_empty(), &format!("nothing is written again: {cost}"));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_judged_is_never_served() {
    let world = World::start().await;
    world.record(&imported("wine-1")).await;
    world.apply(&channel("Auto")).await;
    let passed = |m: &ModelDeployment| past(m, "wine-1", Unserved::NotEvaluated);
    world.until_model(NAME, "it says why not", 20, passed).await;
    let error = world.kubectl_serin(&["approve", "wine-1"]).await.unwrap_err();
    assert!(error.contains("wine-1 has passed no evaluation"), "{error}");
    world.settled(Duration::from_secs(1)).await;
    assert_eq!(made(&world, "wine-1"), 0);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_waits_for_a_persons_approval() {
    let world = World::start().await;
    judged(&world, "wine-1").await;
    world.apply(&channel("Manual")).await;
    let waits = |m: &ModelDeployment| past(m, "wine-1", Unserved::NotApproved);
    world.until_model(NAME, "the first waits", 20, waits).await;
    assert_eq!(made(&world, "wine-1"), 0);
    let said = world.kubectl_serin(&["approve", "wine-1", "--reason", "tasted"]).await.unwrap();
    assert!(said.starts_with("modelversion wine-1: approved"), "{said}");
    world.until_model(NAME, "the first serves", 60, |m| m.serves("wine-1")).await;

    judged(&world, "wine-2").await;
    let waits = |m: &ModelDeployment| past(m, "wine-2", Unserved::NotApproved);
    world.until_model(NAME, "the second waits", 20, waits).await;
    world.settled(Duration::from_secs(1)).await;
    assert_eq!(made(&world, "wine-2"), 0);
    let told = world.kubectl_serin(&["get", NAME]).await.unwrap();
    assert!(told.contains("channel wine leads to wine-1\npast wine-2 (NotApproved)"), "{told}");
    world.kubectl_serin(&["approve", "wine-2"]).await.unwrap();
    world.until_model(NAME, "the second serves", 60, |m| m.serves("wine-2")).await;
    world.kubectl_serin(&["approve", "wine-2", "--withdraw"]).await.unwrap();
    world.until_model(NAME, "the first serves again", 60, |m| m.serves("wine-1")).await;
    assert!(bars(&world, "wine-2").is_empty());
    spec_is_untouched(&world);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_is_replaced_and_the_last_one_stays() {
    let world = World::start().await;
    first_serves(&world, "Auto").await;
    judged(&world, "wine-2").await;
    world.until_model(NAME, "the second serves", 60, |m| m.serves("wine-2")).await;
    revoke(&world, "wine-2").await;
    world.until_model(NAME, "the first serves again", 60, |m| m.serves("wine-1")).await;
    world.assert(past(&world.model(NAME), "wine-2", Unserved::Revoked), "it says why");
    revoke(&world, "wine-1").await;
    let says =
        |m: &ModelDeployment| m.condition(Type::Stalled) == ("True".to_owned(), "NoVersion".to_owned());
    let model = world.until_model(NAME, "it says that nothing remains", 20, says).await;
    assert_eq!((model.stable(), model.condition(Type::Ready).0.as_str()), (Some("wine-1"), "True"));
    assert_eq!(model.condition(Type::Revoked).0, "True");
    judged(&world, "wine-3").await;
    world.until_model(NAME, "the next one takes over", 60, |m| m.serves("wine-3")).await;
    spec_is_untouched(&world);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_rolled_back_is_barred_also_when_the_deployment_is_made_again() {
    let world = World::start().await;
    first_serves(&world, "Auto").await;
    let pods = world.pods("v1");
    world.prometheus.load("models.example/wine-2", Load::BAD);
    judged(&world, "wine-2").await;
    let model = world.until_model(NAME, "the first serves, past the second", 60, |m| {
        m.serves("wine-1") && past(m, "wine-2", Unserved::Barred)
    });
    let model = model.await;
    assert_eq!(model.outcomes()[0], ("wine-2".to_owned(), Outcome::RolledBack));
    assert_eq!(model.condition(Type::Stalled).0, "False");
    assert_eq!(bars(&world, "wine-2"), [NAME]);
    world.until("its pods are removed", 20, |_| world.pods("v1") == pods).await;

    world.delete(NAME).await;
    world.until("everything is collected", 60, |now| now.all("Deployment").next().is_none()).await;
    let before = made(&world, "wine-2");
    world.apply(&channel("Auto")).await;
    let model = world.until_model(NAME, "the first serves again", 60, |m| m.serves("wine-1")).await;
    assert!(past(&model, "wine-2", Unserved::Barred), "{:?}", led(&model));
    world.settled(Duration::from_secs(2)).await;
    assert_eq!(made(&world, "wine-2"), before, "it is not tried");

    // Another deployment has to find out for itself; a person may ask for another try.
    world.prometheus.load("models.example/wine-2", Load::GOOD);
    let said = world.kubectl_serin(&["retry", NAME]).await.unwrap();
    assert!(said.contains("wine-2 (r1-") && said.contains("is to be tried again"), "{said}");
    world.until_model(NAME, "the second serves", 60, |m| m.serves("wine-2")).await;
    world.until("the bar is lifted", 20, |_| bars(&world, "wine-2").is_empty()).await;
    world.assert(led(&world.model(NAME)).bars.is_empty(), "here, too");
    spec_is_untouched(&world);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_loop_is_barred_and_a_newer_version_is_not() {
    let world = World::start().await;
    first_serves(&world, "Auto").await;
    world.kubelet.script("models.example/wine-2", Behaviour::CrashLoop(5));
    judged(&world, "wine-2").await;
    let barred = |m: &ModelDeployment| m.serves("wine-1") && past(m, "wine-2", Unserved::Barred);
    world.until_model(NAME, "the second is barred", 60, barred).await;
    judged(&world, "wine-3").await;
    world.until_model(NAME, "the third serves", 60, |m| m.serves("wine-3")).await;
    assert_eq!(bars(&world, "wine-2"), [NAME]);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bar_is_recorded_also_across_a_kill_at_each_write_of_the_rollback() {
    for nth in 1..=4 {
        let world = World::start().await;
        first_serves(&world, "Auto").await;
        world.prometheus.load("models.example/wine-2", Load::BAD);
        let wanted = channel("Auto").steps(&[(25, 60)]);
        world.apply(&wanted).await;
        judged(&world, "wine-2").await;
        let tried = |m: &ModelDeployment| m.tries("wine-2").is_some_and(|c| c.weight == 25);
        world.until_model(NAME, "the second has traffic", 60, tried).await;
        let kill = Fault::Kill(world.operator().killer());
        let ours = |call: &Call| call.is_write() && call.resource != "events";
        world.proxy.faults.arm(nth, kill, ours);
        world.proxy.faults.fired().await;
        world.operator().reap().await;
        world.operator().spawn();
        let barred = |m: &ModelDeployment| m.serves("wine-1") && past(m, "wine-2", Unserved::Barred);
        world.until_model(NAME, "the second is barred", 90, barred).await;
        assert_eq!(bars(&world, "wine-2"), [NAME], "killed at write {nth}");
        assert_eq!(made(&world, "wine-2"), 1, "killed at write {nth}");
        world.check_invariants();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newest_is_the_one_that_was_recorded_last() {
    let world = World::start().await;
    judged(&world, "wine-z").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    judged(&world, "wine-a").await;
    world.apply(&channel("Auto")).await;
    world.until_model(NAME, "the last one serves", 60, |m| m.serves("wine-a")).await;
    assert_eq!(made(&world, "wine-z"), 0);
    // Its record is no reason to go back.
    world.versions().delete("wine-a", &kube::api::DeleteParams::default()).await.unwrap();
    world.until("it is deleted", 10, |now| now.version("wine-a").is_none()).await;
    world.settled(Duration::from_secs(2)).await;
    world.assert(world.model(NAME).serves("wine-a"), "what serves goes on serving");
    assert_eq!(made(&world, "wine-z"), 0);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newer_version_in_mid_canary_takes_the_place_of_the_candidate() {
    let world = World::start().await;
    judged(&world, "wine-1").await;
    world.apply(&channel("Auto").steps(&[(25, 5)])).await;
    world.until_model(NAME, "the first serves", 60, |m| m.serves("wine-1")).await;
    judged(&world, "wine-2").await;
    let tried = |m: &ModelDeployment| m.tries("wine-2").is_some_and(|c| c.weight == 25);
    world.until_model(NAME, "the second has traffic", 60, tried).await;
    judged(&world, "wine-3").await;
    let model = world.until_model(NAME, "the third serves", 90, |m| m.serves("wine-3")).await;
    let told: Vec<(String, Outcome)> = model.outcomes().into_iter().take(2).collect();
    let expected = [("wine-3", Outcome::Promoted), ("wine-2", Outcome::Superseded)];
    assert_eq!(told, expected.map(|(name, outcome)| (name.to_owned(), outcome)));
    assert!(bars(&world, "wine-2").is_empty() && led(&model).bars.is_empty());
    spec_is_untouched(&world);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn model_has_one_source() {
    let world = World::without_operator().await;
    let mut both: Value = serde_json::to_value(channel("Auto")).unwrap();
    both["spec"]["model"]["versionRef"] = json!("wine-1");
    let Err(kube::Error::Api(status)) = world.try_apply_raw(&both).await else { panic!("both were taken") };
    assert!(status.message.contains("exactly one of artifact, versionRef and channel"), "{}", status.message);
    let mut wrong = serde_json::to_value(channel("Auto")).unwrap();
    wrong["spec"]["model"]["channel"]["approval"] = json!("Dice");
    assert!(world.try_apply_raw(&wrong).await.is_err());
    world.try_apply_raw(&serde_json::to_value(channel("Manual")).unwrap()).await.unwrap();
}
