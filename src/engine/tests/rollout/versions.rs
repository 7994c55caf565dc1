//! Serving by the name of a ModelVersion: what is missing, revoked or unfit is said, and what serves goes on serving.

use serin_api::Phase;

use crate::sim::{Sim, end::is_at_rest, script};

fn at(name: &str, seconds: i64) -> Sim {
    let mut sim = script::named(name).sim();
    sim.run_until(seconds);
    sim
}

#[test]
fn a_version_that_is_not_there_is_waited_for_and_said_once() {
    let sim = at("a version that appears", 399);
    assert_eq!(sim.reason(), "VersionNotFound");
    assert_eq!(sim.condition("Stalled").0, "False");
    assert_eq!(sim.condition("Ready"), ("True", "Complete"));
    assert_eq!(sim.since(100).len(), 1, "{}", sim.log());
    assert!(!sim.cluster.made.contains_key("v2"));
    let sim = at("a version that appears", 401);
    assert_eq!(sim.candidate().version, "v2", "{}", sim.log());
    let mut never = script::named("a version that never appears").run();
    assert_eq!((never.reason(), never.stable()), ("VersionNotFound", "v1"));
    is_at_rest(&mut never);
}

#[test]
fn a_revoked_or_refused_version_starts_nothing() {
    for (name, reason) in [("a revoked version", "VersionRevoked"), ("a refused version", "VersionUnfit")] {
        let sim = script::named(name).run();
        assert_eq!(sim.condition("Stalled"), ("True", reason), "{}", sim.log());
        assert_eq!(sim.condition("Ready"), ("True", "Complete"));
        assert_eq!(sim.since(100).len(), 1, "{}", sim.log());
        assert!(!sim.cluster.made.contains_key("v2"));
    }
}

#[test]
fn a_version_that_is_revoked_loses_its_traffic_at_once() {
    let sim = at("a version revoked while it is tried", 199);
    assert!(sim.weight("v2") > 0, "{}", sim.log());
    let sim = at("a version revoked while it is tried", 203);
    assert_eq!(sim.weight("v2"), 0, "{}", sim.log());
    let sim = script::named("a version revoked while it is tried").run();
    let failed = sim.status.last_failed.as_ref().unwrap();
    assert!(failed.message.contains("trained on bad data"), "{}", failed.message);
    assert_eq!(sim.condition("Stalled"), ("True", "VersionRevoked"));
}

#[test]
fn a_version_that_is_deleted_keeps_the_rollout_where_it_is() {
    let before = at("a version deleted while it is tried", 199);
    let sim = at("a version deleted while it is tried", 899);
    assert_eq!(sim.reason(), "VersionNotFound");
    assert_eq!(sim.candidate().phase, Phase::Canary);
    assert_eq!(sim.weight("v2"), before.weight("v2"));
    assert_eq!(sim.since(200).len(), 1, "{}", sim.log());
}

#[test]
fn what_serves_goes_on_serving_and_says_that_it_was_revoked() {
    let sim = at("a version revoked while it serves", 999);
    assert_eq!(sim.condition("Revoked"), ("", ""));
    let mut sim = script::named("a version revoked while it serves").run();
    assert_eq!(sim.stable(), "v2");
    assert_eq!(sim.condition("Ready"), ("True", "Complete"));
    assert_eq!(sim.condition("Revoked"), ("True", "VersionRevoked"), "{}", sim.log());
    assert_eq!(sim.since(1000).len(), 1, "{}", sim.log());
    assert!(sim.notes.iter().any(|note| note.contains("/Revoked")), "{:?}", sim.notes);
    // Deleted after that, it is still what it was.
    sim.play(crate::sim::Event::Version("v2", false));
    sim.run_until(2100);
    assert_eq!(sim.condition("Revoked").0, "True");
    let sim = script::named("a revoked version replaced").run();
    assert_eq!((sim.stable(), sim.condition("Revoked")), ("v3", ("", "")), "{}", sim.log());
}
