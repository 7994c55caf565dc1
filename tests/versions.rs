//! Deployments that name a ModelVersion: what serves is what was recorded, and what came of it is recorded there, once.

use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use serin_api::conditions::Type;
use serin_api::{ModelDeployment, ModelVersion, Outcome, Role, conditions, labels};
use serin_tests::runs::imported;
use serin_tests::{
    Call, Change as _, Fault, Load, NAME, RunTold as _, Told as _, Vary as _, World, run, wine,
};

/// `wine` with the server image of `version`, which is how the kubelet and Prometheus tell versions apart, and its model
/// from a ModelVersion.
fn named(server: &str, version: &str) -> ModelDeployment {
    let mut wanted = wine(server).steps(&[(25, 1), (60, 1)]);
    wanted.spec.model.artifact = None;
    wanted.spec.model.version = None;
    wanted.spec.model.version_ref = Some(version.to_owned());
    wanted
}

/// What a version says about who serves it.
fn roles(version: &ModelVersion) -> Vec<(String, Role)> {
    let serving = version.status.iter().flat_map(|status| &status.deployments);
    serving.map(|serving| (serving.name.clone(), serving.role)).collect()
}

/// What a version says came of it.
fn outcomes(version: &ModelVersion) -> Vec<(Outcome, String)> {
    let all = version.status.iter().flat_map(|status| &status.outcomes);
    all.map(|outcome| (outcome.result, outcome.reason.clone())).collect()
}

fn has(version: &ModelVersion, kind: Type) -> bool {
    version.status.as_ref().is_some_and(|status| conditions::is_true(&status.conditions, kind))
}

async fn until_version(
    world: &World,
    name: &str,
    what: &str,
    holds: impl Fn(&ModelVersion) -> bool,
) -> ModelVersion {
    world.until(what, 30, |now| now.version(name).filter(|version| holds(version))).await
}

/// Two versions, the first of which serves.
async fn one_of_two_serves(world: &World) {
    world.record(&imported("wine-one")).await;
    world.record(&imported("wine-two")).await;
    world.apply(&named("v1", "wine-one")).await;
    world.until_model(NAME, "the first serves", 60, |m| m.serves("wine-one")).await;
    let stable = |v: &ModelVersion| roles(v) == [(NAME.to_owned(), Role::Stable)];
    until_version(world, "wine-one", "it says who serves it", stable).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_that_comes_later_is_waited_for_and_then_served() {
    let world = World::start().await;
    world.apply(&named("v1", "wine-one")).await;
    let missing = |m: &ModelDeployment| {
        m.status.iter().any(|status| status.conditions.iter().any(|c| c.reason == "VersionNotFound"))
    };
    world.until_model(NAME, "it says that there is no such version", 20, missing).await;
    world.settled(Duration::from_secs(1)).await;
    world.assert(world.history.now().all("Deployment").next().is_none(), "nothing is started");
    let version = world.record(&imported("wine-one")).await;
    world.until_model(NAME, "it serves", 60, |m| m.serves("wine-one")).await;
    let now = world.history.now();
    let deployment = now.all("Deployment").next().unwrap().to_string();
    assert!(
        deployment.contains(&version.spec.artifact.digest.0),
        "the digest of the version is what is fetched"
    );
    let stable = |v: &ModelVersion| roles(v) == [(NAME.to_owned(), Role::Stable)];
    let version = until_version(&world, "wine-one", "it says who serves it", stable).await;
    assert!(has(&version, Type::InUse));
    assert_eq!(outcomes(&version)[0].0, Outcome::Deployed);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promotion_is_recorded_once_with_both_versions() {
    let world = World::start().await;
    one_of_two_serves(&world).await;
    world.apply(&named("v2", "wine-two")).await;
    let candidate = |v: &ModelVersion| roles(v) == [(NAME.to_owned(), Role::Candidate)];
    until_version(&world, "wine-two", "it is being tried", candidate).await;
    world.until_model(NAME, "the second serves", 60, |m| m.serves("wine-two")).await;
    let stable = |v: &ModelVersion| roles(v) == [(NAME.to_owned(), Role::Stable)];
    let second = until_version(&world, "wine-two", "it serves", stable).await;
    assert_eq!(outcomes(&second), [(Outcome::Promoted, "Promoted".to_owned())]);
    let first = until_version(&world, "wine-one", "it is out of use", |v| roles(v).is_empty()).await;
    assert!(!has(&first, Type::InUse));

    // At rest, and after a restart, nothing is repeated.
    world.until("the first is removed after its drain time", 20, |_| world.pods("v1").is_empty()).await;
    world.settled(Duration::from_secs(2)).await;
    world.operator().kill();
    let mark = world.proxy.calls().mark();
    world.operator().spawn();
    world.until("its watches are open again", 20, |_| world.cost_since(mark).watches >= 5).await;
    world.settled(Duration::from_secs(3)).await;
    let cost = world.cost_since(mark);
    world.assert(cost.writes.is_empty() && cost.events == 0, &format!("nothing is written again: {cost}"));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollback_goes_back_to_the_digest_and_is_recorded_with_its_reason() {
    let world = World::start().await;
    one_of_two_serves(&world).await;
    let pods = world.pods("v1");
    world.prometheus.load("wine:v2", Load::BAD);
    world.apply(&named("v2", "wine-two").steps(&[(20, 60)])).await;
    world.until_model(NAME, "the second is rejected", 60, |m| m.rejected("wine-two")).await;
    let second =
        until_version(&world, "wine-two", "its outcome is recorded", |v| !outcomes(v).is_empty()).await;
    assert_eq!(outcomes(&second), [(Outcome::RolledBack, "AnalysisFailed".to_owned())]);
    let message = &second.status.as_ref().unwrap().outcomes[0].message;
    assert!(message.contains(char::is_numeric), "with numbers: {message}");
    until_version(&world, "wine-two", "nobody serves it", |v| roles(v).is_empty()).await;
    assert_eq!(world.pods("v1"), pods, "what served goes on, not one pod was restarted");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_revoked_in_mid_canary_is_taken_back_and_stays_revoked() {
    let world = World::start().await;
    one_of_two_serves(&world).await;
    world.apply(&named("v2", "wine-two").steps(&[(25, 600)])).await;
    let tried = |m: &ModelDeployment| m.tries("wine-two").is_some_and(|c| c.weight == 25);
    world.until_model(NAME, "the second has traffic", 60, tried).await;
    let revoke =
        |why: serde_json::Value| Patch::Merge(json!({"metadata": {"annotations": {labels::REVOKED: why}}}));
    let (versions, params) = (world.versions(), PatchParams::default());
    versions.patch("wine-two", &params, &revoke(json!("trained on leaked data"))).await.unwrap();

    world.until("its traffic is taken away", 20, |_| world.weights(NAME).get("b") == Some(&0)).await;
    world.until("its pods are removed", 30, |_| world.pods("v2").is_empty()).await;
    let second = until_version(&world, "wine-two", "it is revoked", |v| has(v, Type::Revoked)).await;
    let condition = conditions::get(&second.status.as_ref().unwrap().conditions, Type::Revoked).unwrap();
    assert!(condition.message.contains("leaked data"), "{}", condition.message);
    let told = |v: &ModelVersion| outcomes(v) == [(Outcome::RolledBack, "VersionRevoked".to_owned())];
    until_version(&world, "wine-two", "it says what came of it", told).await;

    // One way: the annotation alone does not bring it back.
    versions.patch("wine-two", &params, &revoke(json!(null))).await.unwrap();
    world.settled(Duration::from_secs(2)).await;
    assert!(has(&world.history.now().version("wine-two").unwrap(), Type::Revoked));
    world.apply(&named("v3", "wine-two")).await;
    let refused = |m: &ModelDeployment| {
        m.status.iter().any(|status| status.conditions.iter().any(|c| c.reason == "VersionRevoked"))
    };
    world.until_model(NAME, "another try is refused", 20, refused).await;
    world.settled(Duration::from_secs(1)).await;
    world.assert(world.pods("v3").is_empty(), "nothing of it starts");
    assert_eq!(world.weights(NAME)["a"], 100);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcome_is_recorded_once_also_across_a_kill_at_each_of_its_writes() {
    for nth in 1..=3 {
        let world = World::start().await;
        one_of_two_serves(&world).await;
        let kill = Fault::Kill(world.operator().killer());
        world.proxy.faults.arm(nth, kill, |call: &Call| call.is_write() && call.resource == "modelversions");
        world.apply(&named("v2", "wine-two")).await;
        world.proxy.faults.fired().await;
        world.operator().reap().await;
        world.operator().spawn();
        world.until_model(NAME, "the second serves", 90, |m| m.serves("wine-two")).await;
        let stable = |v: &ModelVersion| roles(v) == [(NAME.to_owned(), Role::Stable)];
        until_version(&world, "wine-two", "it serves", stable).await;
        until_version(&world, "wine-one", "it is out of use", |v| roles(v).is_empty()).await;
        world.settled(Duration::from_secs(2)).await;
        let now = world.history.now();
        let second = now.version("wine-two").unwrap();
        assert_eq!(outcomes(&second), [(Outcome::Promoted, "Promoted".to_owned())], "killed at write {nth}");
        assert_eq!(outcomes(&now.version("wine-one").unwrap()).len(), 1, "killed at write {nth}");
        world.check_invariants();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deployment_that_goes_is_no_longer_named() {
    let world = World::start().await;
    one_of_two_serves(&world).await;
    world.delete(NAME).await;
    let free = |v: &ModelVersion| roles(v).is_empty() && !has(v, Type::InUse);
    until_version(&world, "wine-one", "nobody serves it", free).await;
    world.settled(Duration::from_secs(1)).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_trained_is_served_and_is_the_next_ones_champion() {
    let world = World::start().await;
    let first = world.trained(&run()).await.version().unwrap().to_owned();
    world.apply(&named("v1", &first)).await;
    world.until_model(NAME, "the first serves", 60, |m| m.serves(&first)).await;
    until_version(&world, &first, "it serves", |v| !roles(v).is_empty()).await;
    let metrics = json!([{"name": "accuracy", "minImprovement": "0.05"}]);
    let better = json!({"metrics": metrics, "whenNoChampion": "Reject"});
    let second = world.trained(&run().called("next").seed("8").gate(better)).await;
    let champion = second.status.as_ref().unwrap().evaluation.as_ref().unwrap().champion.clone().unwrap();
    assert_eq!(champion.version, first);
    let second = second.version().unwrap().to_owned();
    world.apply(&named("v2", &second)).await;
    world.until_model(NAME, "the second serves", 60, |m| m.serves(&second)).await;
    let told = |v: &ModelVersion| outcomes(v) == [(Outcome::Promoted, "Promoted".to_owned())];
    let version = until_version(&world, &second, "its live outcome is recorded", told).await;
    assert_eq!(version.spec.parent.as_deref(), Some(first.as_str()));
    assert_eq!(version.name_any(), second);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spec_of_a_version_never_changes() {
    let world = World::without_operator().await;
    world.record(&imported("wine-one")).await;
    let mut other = imported("wine-one");
    other.spec.artifact = imported("wine-two").spec.artifact;
    let object = serde_json::to_value(&other).unwrap();
    let Err(kube::Error::Api(status)) = world.try_apply_raw(&object).await else { panic!("it was changed") };
    assert!(status.message.contains("never changes"), "{}", status.message);
    let mut trained = imported("wine-three");
    trained.spec.origin = serin_api::Origin::Trained;
    let object = serde_json::to_value(&trained).unwrap();
    assert!(world.try_apply_raw(&object).await.is_err(), "a trained version says how");
}
