//! A route that the user owns: only its weights are written, a loss is said, and a fight about them is bounded.

use crate::sim::{
    Event::EditRoute,
    Sim,
    end::{End, is_at_rest},
    script,
};

/// The world at one moment of a story.
fn at(name: &str, seconds: i64) -> Sim {
    let mut sim = script::named(name).sim();
    sim.run_until(seconds);
    sim
}

#[test]
fn a_rollout_goes_as_by_our_own() {
    for (own, users) in [("good", "by a user's route"), ("bad", "bad by a user's route")] {
        assert_eq!(End::of(&script::named(own).run()), End::of(&script::named(users).run()));
    }
}

#[test]
fn a_lost_route_is_said_once_and_nothing_is_begun() {
    let sim = at("a user's route that is lost", 399);
    assert_eq!(sim.condition("Stalled"), ("True", "RouteUnusable"), "{}", sim.log());
    assert_eq!(sim.condition("Ready"), ("False", "RouteUnusable"));
    assert_eq!(sim.since(200).len(), 1, "{}", sim.log());
    let mut sim = script::named("a user's route that is lost").run();
    assert_eq!((sim.stable(), sim.condition("Ready")), ("v2", ("True", "Complete")), "{}", sim.log());
    is_at_rest(&mut sim);
}

#[test]
fn the_services_are_there_before_the_route_can_name_them() {
    let sim = at("a user's route that comes late", 299);
    assert_eq!((sim.cluster.services.len(), sim.cluster.deployments.len()), (2, 0), "{}", sim.log());
    assert_eq!(script::named("a user's route that comes late").run().stable(), "v1");
}

#[test]
fn weights_that_somebody_sets_back_are_written_ever_more_seldom() {
    let mut sim = script::named("by a user's route").sim();
    sim.run_until(1500);
    let fight: Vec<_> = (1500..2700).map(|second| (second, EditRoute(50, 50))).collect();
    sim.schedule(&fight);
    sim.run_until(2699);
    let weights = sim.since(1500).iter().filter(|e| e.text.starts_with("weights")).count();
    assert!((3..=9).contains(&weights), "{weights} writes in 1200 s\n{}", sim.log());
    assert_eq!(sim.condition("Progressing").1, "TrafficMismatch", "{}", sim.log());
    assert_eq!(sim.notes.iter().filter(|n| n.contains("/Contested")).count(), 1, "{:?}", sim.notes);
    // Peace: they are put right within five minutes, and it rests.
    sim.run_until(3100);
    assert_eq!((sim.weight("v2"), sim.condition("Progressing").1), (100, "Complete"), "{}", sim.log());
    is_at_rest(&mut sim);
}

#[test]
fn another_route_cannot_be_switched_to_while_something_serves() {
    let sim = at("a user's route, switched to", 299);
    assert_eq!(sim.condition("Stalled"), ("True", "InvalidSpec"), "{}", sim.log());
    assert_eq!(sim.weight("v1"), 100);
    assert_eq!(script::named("a user's route, switched to").run().condition("Ready"), ("True", "Complete"));
}
