//! Shadows: how their stories end, and what they get on the way.

use rstest::rstest;
use serin_api::{Outcome, Phase, Verdict};

use crate::sim::{
    Sim,
    end::{End, is_at_rest},
    script,
};

/// Where v2 stands after a story.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    Serves,
    Refused(String),
    Gone,
    Waits(Phase),
}

fn refused(reason: &str) -> Then {
    Then::Refused(reason.to_owned())
}

fn then(sim: &Sim) -> Then {
    let end = End::of(sim);
    match (end.candidate, end.failed) {
        _ if end.stable == "v2" => Then::Serves,
        (Some((_, phase, _)), _) => Then::Waits(phase),
        (None, Some((_, reason))) => Then::Refused(reason),
        (None, None) => Then::Gone,
    }
}

#[rstest]
#[case("shadow", Then::Waits(Phase::Canary))]
#[case("shadow, promoted by hand", Then::Serves)]
#[case("shadow, promoted by hand before its copies", Then::Serves)]
#[case("shadow, left to the evidence", Then::Serves)]
#[case("shadow, left to the evidence too soon", Then::Serves)]
#[case("shadow, bad", refused("AnalysisFailed"))]
#[case("shadow, bad, promoted by hand", Then::Serves)]
#[case("shadow, aborted", refused("Aborted"))]
#[case("shadow, reverted", Then::Gone)]
#[case("shadow, reverted before its copies", Then::Gone)]
#[case("shadow, the stable version breaks", Then::Serves)]
#[case("shadow on evidence", Then::Serves)]
#[case("shadow on evidence, bad", refused("AnalysisFailed"))]
#[case("shadow on evidence, unclear", Then::Waits(Phase::Canary))]
#[case("shadow on evidence, suspicious at first", Then::Serves)]
#[case("shadow on evidence, misrouted", Then::Waits(Phase::Canary))]
#[case("shadow on evidence, misrouted at first", Then::Serves)]
#[case("shadow on evidence, silent", Then::Waits(Phase::Canary))]
#[case("shadow on evidence, silent, back", refused("NoData"))]
#[case("shadow on evidence, no Prometheus at first", Then::Serves)]
#[case("shadow on evidence, no Prometheus in between", Then::Serves)]
#[case("shadow on evidence with one pod", Then::Serves)]
#[case("shadow on evidence with one pod, bad", refused("AnalysisFailed"))]
#[case("shadow on evidence without draining", Then::Serves)]
#[case("shadow on evidence without draining, bad", refused("AnalysisFailed"))]
#[case("shadow on evidence with testers", Then::Serves)]
#[case("shadow on evidence with testers, bad", refused("AnalysisFailed"))]
#[case("shadow on evidence within the window", Then::Gone)]
#[case("shadow on evidence, crashing", refused("CrashLoop"))]
#[case("shadow on evidence, never ready", refused("ProgressDeadlineExceeded"))]
#[case("shadow on evidence, losing its pods", Then::Serves)]
#[case("shadow on evidence, losing its pods for good", refused("ProgressDeadlineExceeded"))]
#[case("shadow on evidence, crashing later", refused("CrashLoop"))]
#[case("shadow on evidence, lost", Then::Serves)]
#[case("shadow on evidence, the stable version lost", Then::Serves)]
#[case("shadow on evidence, the stable version away", Then::Serves)]
#[case("shadow on evidence, the stable version broken", Then::Serves)]
#[case("shadow on evidence, there and back", Then::Serves)]
#[case("shadow on evidence, scaled", Then::Serves)]
#[case("shadow on evidence, put to sleep", Then::Serves)]
#[case("shadow on evidence, paused", Then::Serves)]
#[case("shadow on evidence, paused before its copies", Then::Serves)]
#[case("shadow on evidence, route edited", Then::Serves)]
#[case("shadow on evidence, route lost", Then::Serves)]
#[case("shadow on evidence, route refused", Then::Serves)]
#[case("shadow on evidence, retried", Then::Serves)]
#[case("shadow on evidence, then a canary", Then::Serves)]
#[case("shadow on evidence, then all at once", Then::Serves)]
#[case("shadow on evidence, then in place", Then::Serves)]
#[case("shadow on evidence, then in place before its copies", Then::Serves)]
#[case("a canary, then a shadow", Then::Serves)]
#[case("a canary, then a shadow before its traffic", Then::Serves)]
#[case("by pods, then a shadow", Then::Serves)]
#[case("shadow, by a gateway that can later", Then::Serves)]
#[case("shadow, by a gateway that cannot, then a canary", Then::Serves)]
#[case("shadow, by a gateway that cannot, in an outage", Then::Serves)]
#[case("shadow, by a gateway that cannot, and back", Then::Gone)]
#[case("shadow, by a gateway that can no longer", Then::Waits(Phase::Starting))]
#[case("shadow, by a gateway that can no longer for a while", Then::Serves)]
#[case("shadow, by a gateway that can no longer, bad", Then::Waits(Phase::Starting))]
#[case("shadow of a channel", Then::Serves)]
#[case("shadow of a channel, bad", refused("AnalysisFailed"))]
fn ends_well(#[case] name: &str, #[case] expected: Then) {
    let mut sim = script::named(name).run();
    assert_eq!(then(&sim), expected, "{}", sim.log());
    if !matches!(expected, Then::Waits(_)) {
        let end = End::of(&sim);
        assert_eq!(end.deployments, [(end.stable, sim.spec.replicas)], "{}", sim.log());
        assert_eq!((end.weight, end.copied), (100, 0), "{}", sim.log());
        assert_eq!(sim.condition("Ready"), ("True", "Complete"));
    }
    is_at_rest(&mut sim);
}

#[rstest]
#[case("shadow, and a third")]
#[case("shadow on evidence, a third while failing")]
fn the_third_serves_in_the_end(#[case] name: &str) {
    let mut sim = script::named(name).run();
    assert_eq!(sim.stable(), "v3", "{}", sim.log());
    is_at_rest(&mut sim);
}

/// The world at one moment of a story.
fn at(name: &str, seconds: i64) -> Sim {
    let mut sim = script::named(name).sim();
    sim.run_until(seconds);
    sim
}

fn copied(sim: &Sim) -> i32 {
    sim.cluster.mirror().map_or(0, |mirror| mirror.percent)
}

#[test]
fn a_shadow_answers_nobody_until_it_takes_over_with_its_own_pods() {
    for (name, percent, until) in [("shadow, promoted by hand", 100, 899), ("shadow on evidence", 50, 160)] {
        let sim = at(name, until);
        assert_eq!((sim.weight("v1"), sim.weight("v2"), copied(&sim)), (100, 0, percent), "{}", sim.log());
        let told = sim.since(100).iter().filter(|e| e.text.starts_with("weights")).count();
        assert_eq!(told, 1, "{}", sim.log());
        let sim = script::named(name).run();
        assert_eq!(sim.cluster.made["v2"], 1, "no pod is made again");
        assert_eq!(sim.status.history[0].outcome, Outcome::Promoted);
        let weights = &sim.status.history[0].trial.as_ref().unwrap().weights;
        assert_eq!(weights.iter().map(|w| (w.weight, w.mirror_percent)).collect::<Vec<_>>(), [(0, percent)]);
    }
}

#[test]
fn copies_of_a_part_need_a_part_of_the_pods() {
    let pods = |name, seconds| at(name, seconds).cluster.of_version("v2").map(|d| d.replicas);
    assert_eq!(pods("shadow", 300), Some(3));
    assert_eq!(pods("shadow on evidence", 150), Some(2));
}

#[test]
fn whoever_promotes_by_hand_is_told_once_that_it_is_good() {
    let sim = at("shadow", 2000);
    assert_eq!((sim.status.verdict, sim.reason()), (Some(Verdict::Pass), "Paused"), "{}", sim.log());
    assert!(!sim.candidate().evidence.is_empty());
    assert_eq!(sim.notes.iter().filter(|note| note.starts_with("Paused/Pass")).count(), 1, "{:?}", sim.notes);
    assert_eq!(sim.since(200).len(), 0, "{}", sim.log());
}

#[test]
fn a_bad_shadow_loses_its_copies_before_its_pods() {
    let sim = script::named("shadow on evidence, bad").run();
    let last = |what: &str| sim.effects.iter().rposition(|e| e.text.starts_with(what)).unwrap();
    assert!(last("weights 100/0 for") < last("delete"), "{}", sim.log());
    assert_eq!(sim.status.verdict, Some(Verdict::RolledBack));
}

#[test]
fn a_gateway_that_cannot_is_said_before_anything_is_started() {
    let mut sim = script::named("shadow, by a gateway that cannot").run();
    assert_eq!(sim.condition("Stalled"), ("True", "MirrorUnsupported"), "{}", sim.log());
    assert_eq!((sim.condition("Ready").0, sim.cluster.made.get("v2")), ("True", None));
    assert_eq!(sim.notes.iter().filter(|note| note.starts_with("MirrorUnsupported/Stuck")).count(), 1);
    assert_eq!(sim.since(100).len(), 1, "one status: {}", sim.log());
    is_at_rest(&mut sim);
}

#[test]
fn a_gateway_that_can_no_longer_makes_no_more_copies() {
    let sim = at("shadow, by a gateway that can no longer", 400);
    assert_eq!((copied(&sim), sim.weight("v1"), sim.weight("v2")), (0, 100, 0), "{}", sim.log());
    assert_eq!(sim.condition("Stalled"), ("True", "MirrorUnsupported"), "{}", sim.log());
    assert_eq!(sim.candidate().phase, Phase::Starting);
}

#[test]
fn an_edited_route_gets_its_copies_back() {
    let sim = at("shadow on evidence, route edited", 135);
    assert_eq!((copied(&sim), sim.weight("v1")), (50, 100), "{}", sim.log());
    let sim = at("shadow on evidence, route lost", 135);
    assert_eq!((copied(&sim), sim.weight("v1")), (50, 100), "{}", sim.log());
}

#[test]
fn a_candidate_without_traffic_becomes_a_shadow_and_one_with_traffic_stays_a_canary() {
    let sim = at("a canary, then a shadow before its traffic", 130);
    assert_eq!((copied(&sim), sim.weight("v2")), (50, 0), "{}", sim.log());
    let sim = at("a canary, then a shadow", 160);
    assert_eq!((copied(&sim), sim.weight("v2")), (0, 10), "{}", sim.log());
    let sim = at("by pods, then a shadow", 299);
    assert_eq!(sim.condition("Stalled"), ("True", "InvalidSpec"), "{}", sim.log());
}

#[test]
fn nobody_is_asked_about_copies_at_rest() {
    for (name, asked) in [("shadow on evidence", false), ("shadow on evidence, bad", false), ("shadow", true)]
    {
        let sim = script::named(name).run();
        assert_eq!(sim.asks_the_gateway(), asked, "{name}");
    }
}
