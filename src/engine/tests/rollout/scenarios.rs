//! The stories, each with what it is about.

use rstest::rstest;
use serin_api::{Outcome, Phase, Reason, Verdict};

use crate::sim::{
    Sim,
    end::{End, is_at_rest},
    script,
};

/// Where v2 stands after a story, and whether v1 was ever touched.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    Serves,
    Refused(&'static str),
    Gone,
    Waits(Phase),
}

fn then(sim: &Sim) -> Then {
    let end = End::of(sim);
    match (end.candidate, end.failed) {
        _ if end.stable == "v2" => Then::Serves,
        (Some((_, phase, _)), _) => Then::Waits(phase),
        (None, Some((_, reason))) => {
            let all = [
                Reason::AnalysisFailed,
                Reason::Aborted,
                Reason::CrashLoop,
                Reason::ProgressDeadlineExceeded,
                Reason::ImagePull,
                Reason::Unschedulable,
                Reason::NoData,
                Reason::MetricsUnavailable,
                Reason::HorizonReached,
                Reason::VersionRevoked,
            ];
            Then::Refused(all.iter().find(|r| r.as_str() == reason).map_or("", |r| r.as_str()))
        }
        (None, None) => Then::Gone,
    }
}

#[rstest]
#[case("good", Then::Serves)]
#[case("good with one pod", Then::Serves)]
#[case("good without draining", Then::Serves)]
#[case("good by an adaptive ramp", Then::Serves)]
#[case("good by replica ratio", Then::Serves)]
#[case("bad", Then::Refused("AnalysisFailed"))]
#[case("bad with one pod", Then::Refused("AnalysisFailed"))]
#[case("bad without draining", Then::Refused("AnalysisFailed"))]
#[case("bad by replica ratio", Then::Refused("AnalysisFailed"))]
#[case("suspicious", Then::Serves)]
#[case("crash loop", Then::Refused("CrashLoop"))]
#[case("never ready", Then::Refused("ProgressDeadlineExceeded"))]
#[case("no image", Then::Refused("ImagePull"))]
#[case("no room", Then::Refused("Unschedulable"))]
#[case("no room for a while", Then::Serves)]
#[case("no room for long", Then::Serves)]
#[case("no room in a hurry", Then::Refused("Unschedulable"))]
#[case("no room, then no image", Then::Refused("ImagePull"))]
#[case("no room, then never ready", Then::Refused("ProgressDeadlineExceeded"))]
#[case("no image at first", Then::Serves)]
#[case("no image in a hurry", Then::Refused("ImagePull"))]
#[case("crashes that are borne", Then::Refused("CrashLoop"))]
#[case("crashes in a hurry", Then::Refused("CrashLoop"))]
#[case("no room for a promotion by hand", Then::Refused("Unschedulable"))]
#[case("no room, sleeping", Then::Refused("Unschedulable"))]
#[case("no room, aborted", Then::Refused("Aborted"))]
#[case("recreated without room", Then::Refused("Unschedulable"))]
#[case("room for one", Then::Waits(Phase::Canary))]
#[case("by a user's route", Then::Serves)]
#[case("bad by a user's route", Then::Refused("AnalysisFailed"))]
#[case("a user's route that is lost", Then::Serves)]
#[case("a user's route edited", Then::Serves)]
#[case("a user's route that is refused", Then::Serves)]
#[case("reverted", Then::Gone)]
#[case("reverted before traffic", Then::Gone)]
#[case("there and back", Then::Serves)]
#[case("scaled", Then::Serves)]
#[case("scaled at the end", Then::Serves)]
#[case("no Prometheus at first", Then::Serves)]
#[case("no Prometheus, then an eviction", Then::Serves)]
#[case("no Prometheus, then more pods", Then::Serves)]
#[case("Prometheus away in between", Then::Serves)]
#[case("a blip after a long start", Then::Serves)]
#[case("silent", Then::Waits(Phase::Canary))]
#[case("silent, then good", Then::Serves)]
#[case("silent, back", Then::Refused("NoData"))]
#[case("away, back", Then::Refused("MetricsUnavailable"))]
#[case("unclear, held", Then::Waits(Phase::Canary))]
#[case("unclear, promoted", Then::Serves)]
#[case("unclear, back", Then::Refused("HorizonReached"))]
#[case("candidate loses its pods", Then::Serves)]
#[case("candidate loses its pods for good", Then::Refused("ProgressDeadlineExceeded"))]
#[case("candidate loses its pods and crashes", Then::Refused("CrashLoop"))]
#[case("failing without pods", Then::Refused("AnalysisFailed"))]
#[case("stable loses its pods for a while", Then::Serves)]
#[case("nowhere to go back to", Then::Refused("AnalysisFailed"))]
#[case("rejected and asked for again", Then::Refused("AnalysisFailed"))]
#[case("retried", Then::Serves)]
#[case("retried in vain", Then::Refused("AnalysisFailed"))]
#[case("retry of another", Then::Refused("AnalysisFailed"))]
#[case("promoted by hand", Then::Serves)]
#[case("promoted by hand before its traffic", Then::Serves)]
#[case("promoted by hand while failing", Then::Serves)]
#[case("promoted by hand on its way back", Then::Serves)]
#[case("promoted by hand with nowhere to go back to", Then::Serves)]
#[case("another one promoted by hand", Then::Serves)]
#[case("promoted by hand, and crashing", Then::Refused("CrashLoop"))]
#[case("aborted", Then::Refused("Aborted"))]
#[case("aborted before its traffic", Then::Refused("Aborted"))]
#[case("aborted, and tried again", Then::Serves)]
#[case("another one aborted", Then::Serves)]
#[case("misrouted", Then::Waits(Phase::Canary))]
#[case("misrouted, then right", Then::Serves)]
#[case("a step for a person", Then::Waits(Phase::Canary))]
#[case("a step for a person, passed", Then::Serves)]
#[case("a step for a person, failing", Then::Refused("AnalysisFailed"))]
#[case("a suspicious step skipped", Then::Serves)]
#[case("another step skipped", Then::Serves)]
#[case("back within the window", Then::Gone)]
#[case("back within the window, and crashing", Then::Serves)]
#[case("back from beyond the window", Then::Gone)]
#[case("testers", Then::Serves)]
#[case("testers of a bad one", Then::Refused("AnalysisFailed"))]
#[case("testers of one that loses its pods", Then::Refused("ProgressDeadlineExceeded"))]
#[case("testers by and by", Then::Serves)]
#[case("testers of the third", Then::Gone)]
#[case("blue with testers", Then::Serves)]
#[case("blue", Then::Serves)]
#[case("blue by replica ratio", Then::Serves)]
#[case("blue, waiting for a person", Then::Waits(Phase::Canary))]
#[case("blue, passed by a person", Then::Serves)]
#[case("blue, bad for its testers", Then::Refused("AnalysisFailed"))]
#[case("blue, without testers", Then::Serves)]
#[case("blue, without Prometheus", Then::Serves)]
#[case("blue, losing its pods", Then::Serves)]
#[case("blue, reverted", Then::Gone)]
#[case("blue, crashing", Then::Refused("CrashLoop"))]
#[case("blue, paused", Then::Serves)]
#[case("recreated", Then::Serves)]
#[case("recreated, crashing", Then::Refused("CrashLoop"))]
#[case("recreated, never ready", Then::Refused("ProgressDeadlineExceeded"))]
#[case("recreated, reverted", Then::Gone)]
#[case("recreated, aborted", Then::Refused("Aborted"))]
#[case("recreated, paused", Then::Serves)]
#[case("paused", Then::Waits(Phase::Canary))]
#[case("paused, and on", Then::Serves)]
#[case("paused before its traffic", Then::Serves)]
#[case("paused and failing", Then::Refused("AnalysisFailed"))]
#[case("asleep", Then::Serves)]
#[case("put to sleep", Then::Serves)]
#[case("put to sleep while failing", Then::Refused("AnalysisFailed"))]
#[case("put to sleep before traffic", Then::Serves)]
#[case("invalid in between", Then::Serves)]
#[case("route edited", Then::Serves)]
#[case("route lost", Then::Serves)]
#[case("stable lost", Then::Serves)]
#[case("candidate lost", Then::Serves)]
#[case("gateway refuses", Then::Serves)]
#[case("first one broken", Then::Serves)]
#[case("stable broken", Then::Serves)]
#[case("stable breaks", Then::Serves)]
#[case("stable dies as the first weight is written", Then::Serves)]
#[case("stable dies before the first weight", Then::Serves)]
#[case("stable dies before the first weight, for a while", Then::Serves)]
#[case("both die", Then::Serves)]
#[case("route edited while stable is away", Then::Serves)]
#[case("a version", Then::Serves)]
#[case("a version that appears", Then::Serves)]
#[case("a version that never appears", Then::Gone)]
#[case("a version revoked while it is tried", Then::Refused("VersionRevoked"))]
#[case("a version revoked before its traffic", Then::Refused("VersionRevoked"))]
#[case("a revoked version", Then::Gone)]
#[case("a refused version", Then::Gone)]
#[case("a version refused while it is tried", Then::Serves)]
#[case("a version deleted while it is tried", Then::Serves)]
#[case("a version revoked while it serves", Then::Serves)]
#[case("a bad version", Then::Refused("AnalysisFailed"))]
#[case("a version and back", Then::Gone)]
fn ends_well(#[case] name: &str, #[case] expected: Then) {
    let mut sim = script::named(name).run();
    assert_eq!(then(&sim), expected, "{}", sim.log());
    if !matches!(expected, Then::Waits(_)) {
        // One version, with all its pods and all the traffic.
        let end = End::of(&sim);
        assert_eq!(end.deployments, [(end.stable, sim.spec.replicas)], "{}", sim.log());
        assert_eq!(end.weight, 100);
        assert_eq!(sim.condition("Ready"), ("True", "Complete"));
    }
    is_at_rest(&mut sim);
}

#[rstest]
#[case("a third")]
#[case("a third before traffic")]
#[case("blue, and a third")]
#[case("recreated, and a third")]
#[case("a third while failing")]
#[case("a revoked version replaced")]
#[case("rejected, then a third")]
#[case("first one replaced twice")]
#[case("a third while taking over")]
#[case("a third while stable is broken")]
#[case("stable broken, candidate failing, a third")]
fn the_third_serves_in_the_end(#[case] name: &str) {
    let mut sim = script::named(name).run();
    assert_eq!(sim.stable(), "v3", "{}", sim.log());
    is_at_rest(&mut sim);
}

/// A budget of writes: each is one more moment to die in, and one more object for every watcher.
#[rstest]
#[case("first", 0, 6)]
#[case("good with one pod", 100, 12)]
#[case("good", 100, 16)]
#[case("good by an adaptive ramp", 100, 16)]
#[case("good by replica ratio", 100, 15)]
#[case("bad with one pod", 150, 4)]
#[case("bad", 150, 4)]
#[case("crash loop", 100, 4)]
#[case("reverted", 200, 4)]
#[case("Prometheus away in between", 150, 15)]
#[case("rejected and asked for again", 400, 2)]
fn writes_are_counted(#[case] name: &str, #[case] since: i64, #[case] most: usize) {
    let sim = script::named(name).run();
    let writes = sim.since(since);
    let lines: Vec<_> = writes.iter().map(|e| format!("{:>5} s  {}", e.at, e.text)).collect();
    println!("{name}: {} writes, {} of status", writes.len(), writes.iter().filter(|e| e.status).count());
    println!("{}", lines.join("\n"));
    assert!(writes.len() <= most, "{} > {most}\n{}", writes.len(), lines.join("\n"));
}

/// The world at one moment of a story.
fn at(name: &str, seconds: i64) -> Sim {
    let mut sim = script::named(name).sim();
    sim.run_until(seconds);
    sim
}

#[test]
fn a_crashing_candidate_never_gets_traffic() {
    for name in ["crash loop", "never ready", "no image"] {
        let sim = script::named(name).run();
        let b = sim.since(100).iter().filter(|e| e.text.starts_with("weights")).count();
        assert_eq!(b, 0, "{}", sim.log());
    }
}

#[test]
fn the_weight_stays_at_zero_while_prometheus_is_away() {
    let sim = at("no Prometheus at first", 799);
    assert_eq!(sim.candidate().phase, Phase::Starting);
    assert_eq!(sim.weight("v2"), 0);
    assert_eq!(sim.reason(), "MetricsUnavailable");
    assert_eq!(sim.condition("MetricsAvailable").0, "False");
    assert_eq!(sim.since(106).len(), 0, "{}", sim.log());
}

#[test]
fn the_weight_is_held_while_prometheus_is_away() {
    let sim = at("Prometheus away in between", 999);
    assert_eq!(sim.weight("v2"), 10);
    assert_eq!(sim.status.verdict, Some(Verdict::ProviderError));
    assert_eq!(sim.condition("MetricsAvailable"), ("False", "MetricsUnavailable"));
    assert_eq!(sim.since(151).len(), 1, "{}", sim.log());
}

#[test]
fn silence_is_no_verdict() {
    let sim = at("silent", 2000);
    assert_eq!((sim.weight("v2"), sim.reason()), (10, "NoData"));
    let said = sim.notes.iter().filter(|n| n.contains("/Hold")).count();
    assert_eq!(said, 1, "{:?}", sim.notes);
}

#[test]
fn traffic_that_is_not_as_configured_decides_nothing() {
    let sim = at("misrouted", 2000);
    assert_eq!((sim.weight("v2"), sim.reason()), (10, "TrafficMismatch"));
    assert_eq!(sim.status.verdict, Some(Verdict::Inconclusive));
    assert_eq!(sim.notes.iter().filter(|n| n.contains("/Hold")).count(), 1, "{:?}", sim.notes);
    assert_eq!(sim.since(170).len(), 0, "{}", sim.log());
}

#[test]
fn what_crashes_after_it_had_traffic_is_said_to_have_had_it() {
    let sim = at("candidate loses its pods and crashes", 2000);
    let failed = sim.status.last_failed.as_ref().unwrap();
    assert!(!failed.message.contains("never had traffic"), "{}", failed.message);
    let trial = sim.status.history[0].trial.as_ref().expect("it was tried");
    assert!(trial.weights.iter().any(|w| w.weight > 0), "{trial:?}");
}

#[test]
fn testers_reach_the_candidate_while_it_is_tried() {
    let testers = |name, seconds| {
        let sim = at(name, seconds);
        let slot = sim.status.candidate.as_ref().map(|c| c.slot);
        (sim.cluster.route.as_ref().unwrap().weights.testers, slot)
    };
    assert_eq!(testers("testers", 90).0, None);
    let (to, slot) = testers("testers", 300);
    assert!(to.is_some() && to == slot);
    assert_eq!(testers("testers", 2000).0, None);
    assert_eq!(testers("testers of a bad one", 2000).0, None);
    let (to, slot) = testers("testers by and by", 300);
    assert!(to.is_some() && to == slot);
    assert_eq!(testers("testers by and by", 600).0, None);
    let (to, slot) = testers("blue with testers", 300);
    assert!(to.is_some() && to == slot, "a preview, with no other traffic");
}

#[test]
fn a_step_waits_for_the_person_who_passes_it() {
    let sim = at("a step for a person, passed", 899);
    assert_eq!((sim.weight("v2"), sim.reason()), (10, "Paused"));
    assert!(at("a step for a person, passed", 910).weight("v2") > 10);
    // Long after the horizon as well: the time of a person is not the analysis'.
    let sim = at("a step for a person", 2000);
    assert_eq!((sim.weight("v2"), sim.reason()), (10, "Paused"));
}

#[test]
fn what_served_before_comes_back_without_steps() {
    let back = at("back within the window", 2000);
    let weights: Vec<_> = back.since(900).into_iter().filter(|e| e.text.starts_with("weights")).collect();
    assert_eq!(weights.len(), 1, "{}", back.log());
    assert_eq!(back.status.previous.as_ref().map(|p| p.version.as_str()), Some("v2"));
    let tried = at("back from beyond the window", 2200);
    let weights: Vec<_> = tried.since(1200).into_iter().filter(|e| e.text.starts_with("weights")).collect();
    assert!(weights.len() > 2, "{}", tried.log());
}

#[test]
fn an_analysis_tick_writes_nothing() {
    let quiet = at("suspicious", 899);
    assert_eq!(quiet.since(108).len(), 0, "{}", quiet.log());
    assert!(quiet.metrics.noise > 50, "it was looked at all the time");
}

#[test]
fn the_horizon_is_said() {
    let sim = at("unclear, held", 2000);
    assert_eq!(sim.condition("Stalled"), ("True", "HorizonReached"));
    assert_eq!(sim.condition("Progressing").0, "True");
}

#[test]
fn nothing_goes_back_to_a_version_that_is_not_there() {
    let sim = at("nowhere to go back to", 599);
    assert_eq!(sim.candidate().phase, Phase::Retreating);
    assert_eq!(sim.weight("v2"), 10);
    assert_eq!(sim.condition("Stalled"), ("True", "StableUnavailable"));
    assert_eq!(sim.since(166).len(), 0, "{}", sim.log());
}

#[test]
fn a_third_spec_waits_for_zero_and_leaves_the_stable_version_alone() {
    let sim = script::named("a third").run();
    let since: Vec<_> = sim.since(200).iter().map(|e| (e.at, e.text.clone())).collect();
    let when = |what: &str| since.iter().find(|(_, t)| t.starts_with(what)).map(|(at, _)| *at);
    let zero = when("weights 100/0").unwrap();
    assert!(when("create v3").unwrap() > zero + sim.cluster.gateway_delay, "{}", sim.log());
    assert_eq!(sim.cluster.made["v1"], 1);
}

#[test]
fn what_serves_is_never_made_again() {
    for script in script::all() {
        // Lost to somebody's hand, never there, or asked for again when it was long gone.
        let again = ["the window", "made again", "a channel, revoked while it serves", "without a version"];
        if script.name.ends_with("stable lost") || again.iter().any(|part| script.name.contains(part)) {
            continue;
        }
        let sim = script.run();
        assert_eq!(sim.cluster.made["v1"], 1, "{}\n{}", script.name, sim.log());
    }
}

#[test]
fn a_former_version_that_drains_keeps_its_pods() {
    let mut sim = script::named("back while draining").run();
    assert_eq!(sim.stable(), "v1");
    assert_eq!((sim.cluster.made["v1"], sim.cluster.made["v2"]), (1, 1));
    is_at_rest(&mut sim);
}

#[test]
fn a_lost_stable_deployment_comes_back_from_the_status() {
    let sim = at("stable lost", 160);
    assert_eq!(sim.cluster.made["v1"], 2);
    assert_eq!(sim.cluster.of_version("v1").unwrap().replicas, 3);
    assert_eq!(sim.candidate().version, "v2");
}

#[test]
fn an_invalid_spec_touches_nothing() {
    let sim = at("invalid in between", 399);
    let writes: Vec<_> = sim.since(150).into_iter().map(|e| (e.status, e.at)).collect();
    assert_eq!(writes, [(true, 150)], "{}", sim.log());
    assert_eq!(sim.condition("Stalled"), ("True", "InvalidSpec"));
    assert_eq!(sim.weight("v2"), 10);
}

#[test]
fn a_refused_route_is_said_once_and_no_weight_rises() {
    let sim = at("gateway refuses", 399);
    assert_eq!(sim.since(150).len(), 1, "{}", sim.log());
    assert_eq!(sim.condition("Ready"), ("False", "RouteNotAccepted"));
    assert_eq!(sim.weight("v2"), 10);
}

#[test]
fn somebody_elses_weights_do_not_last() {
    let sim = at("route edited", 51);
    assert_eq!(sim.weight("v1"), 100);
    let sim = at("route edited", 153);
    assert_eq!(sim.weight("v2"), 10);
}

#[test]
fn an_adaptive_ramp_begins_where_the_traffic_says() {
    let sim = at("good by an adaptive ramp", 110);
    assert_eq!(sim.weight("v2"), 10);
    assert_eq!(sim.candidate().step, "1/3");
    let steps = &sim.status.resolved.as_ref().unwrap().steps;
    assert_eq!(steps.iter().map(|s| s.weight).collect::<Vec<_>>(), [10, 25, 50]);
}

#[test]
fn by_replica_ratio_the_pods_are_the_weight() {
    for (seconds, pods) in [(110, 1), (175, 3), (240, 9)] {
        let sim = at("good by replica ratio", seconds);
        assert_eq!(sim.cluster.of_version("v2").unwrap().replicas, pods, "{}", sim.log());
        assert_eq!(sim.cluster.of_version("v1").unwrap().replicas, 9);
    }
}

#[test]
fn a_retry_counts_once_a_value() {
    let sim = script::named("retried in vain").run();
    assert_eq!(sim.cluster.made["v2"], 2);
    let again = sim.status.handled_retry.as_deref().unwrap();
    assert!(again.ends_with(" again"));
    let outcomes: Vec<_> = sim.status.history.iter().map(|h| h.outcome).collect();
    assert_eq!(outcomes, [Outcome::RolledBack, Outcome::RolledBack, Outcome::Deployed]);
}

#[test]
fn a_hand_promotes_at_once_and_an_order_about_another_does_nothing() {
    let sim = at("promoted by hand", 160);
    assert_eq!((sim.stable(), sim.status.history[0].outcome), ("v2", Outcome::Promoted), "{}", sim.log());
    assert_eq!(sim.cluster.made["v2"], 1, "no pod is made again");
    let sim = at("another one promoted by hand", 160);
    assert_eq!((sim.stable(), sim.status.handled_promote.as_deref()), ("v1", None), "{}", sim.log());
}

#[test]
fn a_pause_holds_the_weight() {
    let sim = at("paused", 1900);
    assert_eq!(sim.status.candidate.as_ref().unwrap().step_index, 1, "{}", sim.log());
    let sim = at("paused before its traffic", 800);
    assert_eq!(sim.status.candidate.as_ref().unwrap().weight, 0, "{}", sim.log());
}

#[test]
fn a_word_for_people_rolls_nothing_and_is_shown() {
    let mut sim = at("good", 90);
    sim.spec.model.version = Some("red".to_owned());
    sim.generation += 1;
    sim.run_until(95);
    let writes: Vec<_> = sim.since(90).into_iter().map(|e| e.status).collect();
    assert_eq!((sim.stable(), writes), ("red", vec![true]));
}

#[test]
fn pods_that_cannot_be_scheduled_are_said() {
    let sim = at("room for one", 2000);
    assert_eq!((sim.weight("v2"), sim.reason()), (25, "Unschedulable"));
}
