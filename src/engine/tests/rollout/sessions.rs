//! Sessions that the gateway keeps: while two versions have traffic, and where the cluster's HTTPRoute can say so.

use crate::sim::{Sim, script};

/// The world at one moment of a story.
fn at(name: &str, seconds: i64) -> Sim {
    let mut sim = script::named(name).sim();
    sim.run_until(seconds);
    sim
}

#[test]
fn sessions_are_kept_while_two_versions_have_traffic() {
    let kept = |name, seconds| {
        let sim = at(name, seconds);
        (sim.cluster.route.as_ref().unwrap().sessions, sim.condition("SessionsKept").1.to_owned())
    };
    let asked = |kept| (kept, "SessionPersistenceAsked".to_owned());
    assert_eq!(kept("sessions", 50), asked(false));
    assert_eq!(kept("sessions", 300), asked(true));
    assert_eq!(kept("sessions", 2000), asked(false));
    assert_eq!(kept("sessions of a bad one", 2000), asked(false), "nobody is left behind at it");
    let never = (false, String::new());
    assert_eq!(kept("sessions by and by", 140), never);
    assert_eq!(kept("sessions by and by", 300), asked(true));
    assert_eq!(kept("sessions by and by", 410), never, "a condition about nothing is removed");
}

#[test]
fn a_cluster_that_cannot_keep_sessions_is_said_to_and_rolls_out_all_the_same() {
    let name = "sessions that cannot be kept, and then can";
    let sim = at(name, 199);
    assert_eq!(sim.condition("SessionsKept"), ("False", "SessionPersistenceUnsupported"), "{}", sim.log());
    assert!(sim.weight("v2") > 0 && !sim.cluster.route.as_ref().unwrap().sessions, "{}", sim.log());
    let sim = at(name, 250);
    assert_eq!(sim.condition("SessionsKept"), ("True", "SessionPersistenceAsked"), "{}", sim.log());
    assert!(sim.cluster.route.as_ref().unwrap().sessions, "{}", sim.log());
}
