//! Scarce nodes: both versions together have no more pods than they may, and no pod carries more than it can.

use rstest::rstest;
use serin_api::{Outcome, Pace, Phase};

use crate::sim::{
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

/// Pods asked for, of v1 and of v2.
fn pods(sim: &Sim) -> (i32, i32) {
    let of = |version| sim.cluster.of_version(version).map_or(0, |d| d.replicas);
    (of("v1"), of("v2"))
}

#[rstest]
#[case("bounded", Outcome::Promoted)]
#[case("bounded, one pod", Outcome::Promoted)]
#[case("bounded by a percentage", Outcome::Promoted)]
#[case("bounded in one step", Outcome::Promoted)]
#[case("bounded, a step for a person", Outcome::Promoted)]
#[case("bounded by replica ratio", Outcome::Promoted)]
#[case("bounded by a user's route", Outcome::Promoted)]
#[case("bounded, bad", Outcome::RolledBack)]
#[case("bounded, bad at last", Outcome::RolledBack)]
#[case("bounded in one step, bad on the way", Outcome::RolledBack)]
#[case("bounded by replica ratio, bad at last", Outcome::RolledBack)]
#[case("bounded by a user's route, bad at last", Outcome::RolledBack)]
#[case("bounded, reverted at last", Outcome::Superseded)]
#[case("bounded, and a third at last", Outcome::Promoted)]
#[case("bounded, aborted at last", Outcome::RolledBack)]
#[case("bounded, promoted by hand", Outcome::Promoted)]
#[case("bounded, promoted by hand before its traffic", Outcome::Promoted)]
#[case("bounded by replica ratio, promoted by hand", Outcome::Promoted)]
#[case("bounded, promoted by hand on its way back", Outcome::Promoted)]
#[case("bounded, back within the window", Outcome::Promoted)]
#[case("bounded, paused on the way", Outcome::Promoted)]
#[case("bounded, no Prometheus on the way", Outcome::Promoted)]
#[case("bounded, losing its pods at last", Outcome::Promoted)]
#[case("bounded, losing its pods for good", Outcome::RolledBack)]
#[case("bounded, stable loses its pods", Outcome::Promoted)]
#[case("bounded, stable dies", Outcome::Promoted)]
#[case("bounded, crashing at last", Outcome::RolledBack)]
#[case("bounded, scaled", Outcome::Promoted)]
#[case("bounded, put to sleep", Outcome::Promoted)]
#[case("bounded, then not", Outcome::Promoted)]
#[case("bounded in mid-canary", Outcome::Promoted)]
#[case("bounded otherwise", Outcome::Promoted)]
#[case("bounded, route edited", Outcome::Promoted)]
#[case("bounded, route lost", Outcome::Promoted)]
#[case("bounded, gateway refuses", Outcome::Promoted)]
#[case("bounded, stable lost", Outcome::Promoted)]
#[case("bounded, route lost on its way", Outcome::Promoted)]
#[case("a shadow, then bounded", Outcome::Promoted)]
#[case("a shadow, then bounded, bad", Outcome::RolledBack)]
#[case("a shadow, bounded before its copies", Outcome::Promoted)]
#[case("bounded, then a shadow", Outcome::Promoted)]
#[case("bounded, a shadow before its traffic", Outcome::Promoted)]
#[case("previewed, then bounded", Outcome::Promoted)]
#[case("previewed, bounded before that", Outcome::Promoted)]
#[case("room is made", Outcome::Promoted)]
#[case("room is made by replica ratio", Outcome::Promoted)]
#[case("room is made, bounded", Outcome::Promoted)]
#[case("room for one more", Outcome::Promoted)]
#[case("room is made, bad", Outcome::RolledBack)]
#[case("room is made, bad at last", Outcome::RolledBack)]
#[case("room is made by replica ratio, bad at last", Outcome::RolledBack)]
#[case("room is made, reverted", Outcome::Superseded)]
#[case("room is made, reverted before traffic", Outcome::Superseded)]
#[case("room is made, and a third", Outcome::Promoted)]
#[case("room is made, aborted", Outcome::RolledBack)]
#[case("room is made, never ready", Outcome::RolledBack)]
#[case("room is made, crashing", Outcome::RolledBack)]
#[case("room is made, promoted by hand", Outcome::Promoted)]
#[case("room is made, and there is more", Outcome::Promoted)]
#[case("room that must not be made", Outcome::RolledBack)]
#[case("room that nobody can make", Outcome::RolledBack)]
#[case("room that would not help", Outcome::RolledBack)]
fn ends_well(#[case] name: &str, #[case] last: Outcome) {
    let mut sim = script::named(name).run();
    assert_eq!(sim.status.history[0].outcome, last, "{}", sim.log());
    // One version, with all its pods and all the traffic.
    let end = End::of(&sim);
    assert_eq!(end.candidate, None, "{}", sim.log());
    assert_eq!(end.deployments, [(end.stable.clone(), sim.spec.replicas)], "{}", sim.log());
    assert_eq!((end.weight, sim.condition("Ready")), (100, ("True", "Complete")), "{}", sim.log());
    is_at_rest(&mut sim);
}

/// Every second: the bound, and enough pods with traffic.
#[rstest]
#[case("bounded", 5)]
#[case("bounded in one step", 9)]
#[case("bounded by a percentage", 12)]
#[case("bounded by replica ratio", 5)]
#[case("bounded by a user's route", 5)]
#[case("bounded, bad at last", 5)]
#[case("bounded in one step, bad on the way", 9)]
#[case("bounded by replica ratio, bad at last", 5)]
#[case("bounded, reverted at last", 5)]
#[case("bounded, promoted by hand before its traffic", 5)]
fn there_are_never_more_pods_than_may_be_and_always_enough(#[case] name: &str, #[case] most: i32) {
    let script = script::named(name);
    let mut sim = script.sim();
    for second in 20..script.end {
        sim.run_until(second);
        let all: i32 = sim.cluster.deployments.iter().map(|d| d.replicas).sum();
        assert!(all <= most, "{all} pods at {second} s\n{}", sim.log());
        let serving = sim.cluster.deployments.iter().filter(|d| sim.cluster.weight(d.slot) > 0);
        let serving: i32 = serving.map(|d| sim.cluster.available(d)).sum();
        assert!(serving >= sim.spec.replicas, "{serving} pods serve at {second} s\n{}", sim.log());
        assert_eq!(sim.condition("Ready").0, "True", "at {second} s\n{}", sim.log());
    }
}

#[test]
fn pods_and_weights_take_turns() {
    let sim = script::named("bounded in one step").run();
    let told: Vec<&str> = sim
        .since(100)
        .iter()
        .filter(|e| e.text.starts_with("weights"))
        .filter_map(|e| e.text.split(' ').nth(1))
        .collect();
    // A pod of eight at a time, to 75 and then to 100.
    let shares = ["87/13", "75/25", "62/38", "50/50", "37/63", "25/75", "12/88", "0/100"];
    assert_eq!(told, shares, "{}", sim.log());
}

#[test]
fn the_time_of_a_step_begins_with_its_weight() {
    let sim = at("bounded in one step", 150);
    let c = sim.candidate();
    assert!(c.weight < 75 && c.since.is_none() && c.step_index == 1, "{c:?}\n{}", sim.log());
    assert!(c.weights.len() > 1, "what it had is known: {:?}", c.weights);
}

#[test]
fn a_pause_holds_the_weight_on_the_way() {
    let (before, after) = (at("bounded, paused on the way", 160), at("bounded, paused on the way", 899));
    assert_eq!(before.weight("v2"), after.weight("v2"), "{}", after.log());
    assert!((1..75).contains(&after.weight("v2")) && after.reason() == "Paused", "{}", after.log());
}

#[test]
fn nothing_is_given_up_before_it_has_to_be() {
    // 10 and 25 % of four pods are one.
    for seconds in [110, 180] {
        assert_eq!(pods(&at("bounded", seconds)), (4, 1));
    }
    assert_eq!(pods(&at("bounded", 280)), (3, 2));
}

#[test]
fn the_way_back_is_as_fast_as_the_pods() {
    let mut sim = at("bounded, bad at last", 330);
    while sim.candidate().phase != Phase::Retreating && sim.cluster.now < 350 {
        sim.run_until(sim.cluster.now + 1);
    }
    let retreat = sim.candidate().retreat.clone().unwrap();
    assert_eq!((retreat.pace, sim.candidate().phase), (Pace::AsPodsComeBack, Phase::Retreating));
    assert!(sim.weight("v2") > 0, "{}", sim.log());
    let sim = at("bounded, bad at last", 420);
    assert_eq!((sim.weight("v1"), sim.stable()), (100, "v1"), "{}", sim.log());
    // Nothing was given up: at once.
    let bad = script::named("bounded, bad").run();
    assert!(!bad.log().contains('@'), "{}", bad.log());
}

#[test]
fn a_bad_one_does_not_stay_for_want_of_pods() {
    let sim = at("bounded, bad, and stable does not come back", 900);
    assert!(sim.weight("v2") > 0, "{}", sim.log());
    let sim = script::named("bounded, bad, and stable does not come back").run();
    assert_eq!(sim.status.history[0].outcome, Outcome::RolledBack, "{}", sim.log());
    assert_eq!(sim.weight("v1"), 100, "{}", sim.log());
}

#[test]
fn what_pods_cannot_express_is_said_before_anything_is_begun() {
    let sim = at("bounded by replica ratio", 101);
    let resolved = sim.status.resolved.as_ref().unwrap();
    assert_eq!(resolved.steps.iter().map(|s| s.weight).collect::<Vec<_>>(), [10, 25, 70]);
    assert_eq!(resolved.reachable, [20, 25, 75], "{}", sim.log());
}

#[test]
fn room_is_made_after_its_time_and_not_below_what_is_to_be_left() {
    let before = at("room is made", 160);
    assert_eq!((pods(&before), before.reason()), ((4, 1), "Unschedulable"), "{}", before.log());
    let message = &before.status.conditions.iter().find(|c| c.type_ == "Progressing").unwrap().message;
    assert!(message.contains("room is made for it at"), "{message}");
    let after = at("room is made", 166);
    assert_eq!((pods(&after), after.candidate().fits), ((3, 1), Some(4)), "{}", after.log());
    assert_eq!(after.condition("Ready").0, "True", "{}", after.log());
    for name in ["room that must not be made", "room that nobody can make", "room that would not help"] {
        let sim = script::named(name).run();
        assert_eq!(sim.status.last_failed.as_ref().unwrap().reason, "Unschedulable", "{}", sim.log());
        let stable = sim.cluster.of_version("v1").unwrap();
        assert!(!sim.log().contains(&format!("scale {}", stable.name)), "{name}\n{}", sim.log());
    }
}

/// Every second: with one pod less in the cluster than a rollout wants, one pod less serves, and no two.
#[rstest]
#[case("room is made")]
#[case("room is made by replica ratio")]
#[case("room is made, bounded")]
#[case("room is made, bad at last")]
#[case("room is made by replica ratio, bad at last")]
#[case("room is made, reverted before traffic")]
#[case("room is made, never ready")]
fn one_pod_less_serves_while_room_is_made(#[case] name: &str) {
    let script = script::named(name);
    let mut sim = script.sim();
    for second in 20..script.end {
        sim.run_until(second);
        let serving = sim.cluster.deployments.iter().filter(|d| sim.cluster.weight(d.slot) > 0);
        let serving: i32 = serving.map(|d| sim.cluster.available(d)).sum();
        assert!(serving >= 3, "{serving} pods serve at {second} s\n{}", sim.log());
    }
}

#[test]
fn the_candidate_leaves_its_room_to_the_stable_version() {
    let sim = script::named("room is made, never ready").run();
    let scaled = |to: &str| {
        let found = sim.effects.iter().find(|e| e.text.starts_with("scale") && e.text.ends_with(to));
        found.unwrap_or_else(|| panic!("nothing is scaled {to}\n{}", sim.log())).at
    };
    // Long before its Deployment goes.
    assert_eq!(scaled("to 4"), scaled("to 0"), "{}", sim.log());
    assert_eq!(pods(&sim).0, 4);
}
