//! Channels: the newest version that may be served is, and what was rolled back stays barred, whatever becomes of the
//! object.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rstest::rstest;
use serin_api::{Approval, Outcome, Unserved};

use crate::sim::{
    Event::{self, *},
    Sim,
    channel::channel,
    cluster::Temper,
    end::is_at_rest,
    metrics::Quality,
    script, spec,
};

fn at(name: &str, seconds: i64) -> Sim {
    let mut sim = script::named(name).sim();
    sim.run_until(seconds);
    sim
}

/// Newer versions that are not asked for, and why.
fn passed_over(sim: &Sim) -> Vec<(&str, Unserved)> {
    let passed = sim.status.channel.iter().flat_map(|channel| &channel.passed_over);
    passed.map(|passed| (passed.version.as_str(), passed.reason)).collect()
}

/// Versions that are barred, by the status and by their own word.
fn barred(sim: &Sim) -> (Vec<&str>, Vec<&str>) {
    let own = sim.status.channel.iter().flat_map(|channel| &channel.bars);
    let versions = sim.cluster.versions.iter().filter(|(_, version)| version.bar.is_some());
    (own.map(|bar| bar.version.as_str()).collect(), versions.map(|(name, _)| name.as_str()).collect())
}

#[test]
fn without_a_version_nothing_is_made() {
    let mut sim = script::named("a channel without a version").run();
    assert_eq!(sim.reason(), "NoVersion");
    assert_eq!((sim.condition("Stalled").0, sim.condition("Reconciling").0), ("False", "True"));
    assert!(sim.cluster.deployments.is_empty() && sim.cluster.route.is_none(), "{}", sim.log());
    assert_eq!(sim.done(), 1, "{}", sim.log());
    is_at_rest(&mut sim);
}

/// What serves in the end, what is passed over, and how the last one ended.
#[rstest]
#[case("a channel", "v2", &[], Outcome::Promoted)]
#[case("a channel and a bad version", "v1", &[("v2", Unserved::Barred)], Outcome::RolledBack)]
#[case("a channel and a crash loop", "v1", &[("v2", Unserved::Barred)], Outcome::RolledBack)]
#[case("a channel and no image", "v1", &[("v2", Unserved::Barred)], Outcome::RolledBack)]
#[case("a channel, sent back by hand", "v1", &[("v2", Unserved::Barred)], Outcome::RolledBack)]
#[case("a channel and one that is not judged", "v1", &[("v2", Unserved::NotEvaluated)], Outcome::Deployed)]
#[case("a channel, revoked while it is tried", "v1", &[("v2", Unserved::Revoked)], Outcome::RolledBack)]
#[case("a channel, revoked while it serves", "v1", &[("v2", Unserved::Revoked)], Outcome::Promoted)]
#[case("a channel and a third in mid-canary", "v3", &[], Outcome::Promoted)]
#[case("a channel, a bad one, and a third", "v3", &[], Outcome::Promoted)]
#[case("a channel, its record deleted", "v2", &[], Outcome::Promoted)]
#[case("a channel, its record deleted, and a third", "v3", &[], Outcome::Promoted)]
#[case("a channel, a bad one, made again", "v1", &[("v2", Unserved::Barred)], Outcome::Deployed)]
#[case("a channel, retried", "v2", &[], Outcome::Promoted)]
#[case("a channel, retried on its way back", "v1", &[("v2", Unserved::Barred)], Outcome::RolledBack)]
#[case("a channel, retried in vain", "v1", &[("v2", Unserved::Barred)], Outcome::RolledBack)]
#[case("a channel, made again and retried", "v2", &[], Outcome::Promoted)]
#[case("a channel by hand", "v2", &[], Outcome::Promoted)]
#[case(
    "a channel by hand, withdrawn while it is tried", "v1", &[("v2", Unserved::NotApproved)], Outcome::Superseded
)]
fn the_newest_that_may_be_served_is(
    #[case] name: &str,
    #[case] serves: &str,
    #[case] passed: &[(&str, Unserved)],
    #[case] last: Outcome,
) {
    let sim = script::named(name).run();
    assert_eq!((sim.stable(), passed_over(&sim).as_slice()), (serves, passed), "{}", sim.log());
    assert_eq!(sim.status.history[0].outcome, last, "{}", sim.log());
    assert_eq!(sim.condition("Ready"), ("True", "Complete"));
    assert_eq!((sim.condition("Stalled").0, sim.reason()), ("False", "Complete"), "{}", sim.log());
    let bars: Vec<&str> = passed.iter().filter(|p| p.1 == Unserved::Barred).map(|p| p.0).collect();
    let (own, mut on_versions) = barred(&sim);
    if name == "a channel, a bad one, and a third" {
        assert_eq!((own.as_slice(), on_versions.as_slice()), (["v2"].as_slice(), ["v2"].as_slice()));
    } else {
        on_versions.dedup();
        assert_eq!((own, on_versions), (bars.clone(), bars), "{}", sim.log());
    }
}

#[test]
fn a_third_in_mid_canary_supersedes_and_bars_nothing() {
    let sim = script::named("a channel and a third in mid-canary").run();
    let told: Vec<_> = sim.status.history.iter().map(|h| (h.version.as_str(), h.outcome)).collect();
    let expected = [("v3", Outcome::Promoted), ("v2", Outcome::Superseded), ("v1", Outcome::Deployed)];
    assert_eq!(told, expected, "{}", sim.log());
    assert_eq!(barred(&sim), (vec![], vec![]));
}

#[test]
fn a_person_is_waited_for_and_said_once() {
    let sim = at("a channel by hand", 399);
    assert_eq!((sim.stable(), passed_over(&sim)), ("v1", vec![("v2", Unserved::NotApproved)]));
    assert_eq!(sim.since(100).len(), 1, "{}", sim.log());
    let passed = &sim.status.channel.as_ref().unwrap().passed_over[0];
    assert_eq!(passed.message, "`kubectl serin approve v2` lets it in");
    assert_eq!(at("a channel by hand", 401).candidate().version, "v2");
}

#[test]
fn where_nothing_remains_what_serves_goes_on() {
    for (name, serves, pods) in
        [("a channel, all revoked", "v2", 2), ("a channel by hand, all withdrawn", "v1", 1)]
    {
        let mut sim = script::named(name).run();
        assert_eq!((sim.stable(), sim.condition("Ready")), (serves, ("True", "Complete")));
        assert_eq!((sim.reason(), sim.condition("Stalled")), ("NoVersion", ("True", "NoVersion")));
        assert_eq!(sim.cluster.made.values().sum::<i32>(), pods, "{}", sim.log());
        is_at_rest(&mut sim);
    }
    let sim = script::named("a channel, all revoked").run();
    assert_eq!(sim.condition("Revoked"), ("True", "VersionRevoked"));
    assert_eq!(sim.since(1000).len(), 1, "{}", sim.log());
}

#[test]
fn the_record_of_a_bar_holds_nothing_up() {
    let sim = script::named("a channel and a bad version").run();
    let told = |text: &str| {
        let found = sim.effects.iter().position(|e| e.text.contains(text));
        found.unwrap_or_else(|| panic!("no {text}\n{}", sim.log()))
    };
    assert!(told("v2 retreating") < told("bar v2"), "{}", sim.log());
    let back = sim.effects.iter().rposition(|e| e.text.starts_with("weights")).unwrap();
    assert!(back < told("bar v2"), "the weight first\n{}", sim.log());
    let end = sim.effects.iter().position(|e| e.text.contains("RolledBack")).unwrap();
    assert!(told("bar v2") < end, "before the end is told\n{}", sim.log());
}

#[test]
fn made_again_while_it_goes_back_it_stays_barred() {
    let mut sim = script::named("a channel and a bad version").sim();
    sim.run_until(99);
    let is_barred = |sim: &Sim| sim.cluster.versions.get("v2").is_some_and(|v| v.bar.is_some());
    while !is_barred(&sim) && sim.cluster.now < 300 {
        sim.run_until(sim.cluster.now + 1);
    }
    assert!(sim.status.candidate.is_some(), "its end is not told yet\n{}", sim.log());
    sim.play(MadeAgain);
    sim.run_until(2000);
    assert_eq!((sim.stable(), passed_over(&sim)), ("v1", vec![("v2", Unserved::Barred)]), "{}", sim.log());
    assert_eq!(barred(&sim), (vec!["v2"], vec!["v2"]));
}

#[test]
fn what_is_on_its_way_back_gets_there_before_it_is_tried_again() {
    let sim = script::named("a channel, retried on its way back").run();
    let told: Vec<_> = sim.status.history.iter().map(|h| h.outcome).collect();
    let expected = [Outcome::RolledBack, Outcome::RolledBack, Outcome::Deployed];
    assert_eq!(told, expected, "{}", sim.log());
}

#[test]
fn a_bad_server_bars_no_model() {
    let sim = script::named("a channel and a bad server").run();
    assert_eq!((sim.stable(), barred(&sim)), ("v2", (vec![], vec![])), "{}", sim.log());
    assert_eq!(sim.condition("Stalled"), ("True", "Rejected"), "{}", sim.log());
}

#[test]
fn what_was_rejected_before_stays_so() {
    let sim = script::named("a channel after a bad version").run();
    assert_eq!((sim.stable(), passed_over(&sim)), ("v1", vec![("v2", Unserved::Barred)]), "{}", sim.log());
    assert_eq!(barred(&sim), (vec!["v2"], vec!["v2"]));
    let sim = script::named("a channel left for a version").run();
    assert_eq!((sim.stable(), sim.reason()), ("v1", "Rejected"), "{}", sim.log());
    assert!(sim.status.channel.is_none());
}

#[test]
fn the_list_of_those_passed_over_is_bounded() {
    let mut sim = script::named("a channel").sim();
    sim.run_until(10);
    let names: Vec<&'static str> = (0..30).map(|n| &*format!("x{n:02}").leak()).collect();
    for (second, name) in (11..).zip(&names) {
        sim.run_until(second);
        sim.play(Version(name, true));
        sim.play(Refuse(name));
    }
    sim.run_until(90);
    let passed = passed_over(&sim);
    assert_eq!((passed.len(), passed[0].0, passed[9].0), (10, "x29", "x20"), "{}", sim.log());
    assert_eq!(sim.stable(), "v1");
}

const VERSIONS: [&str; 4] = ["v1", "v2", "v3", "v4"];

fn version() -> impl Strategy<Value = &'static str> {
    prop::sample::select(VERSIONS.to_vec())
}

fn event() -> impl Strategy<Value = Event> {
    let word = || prop::sample::select(vec!["x", "y"]);
    prop_oneof![
        6 => version().prop_map(|v| Version(v, true)),
        3 => (version(), any::<bool>()).prop_map(|(v, yes)| Approve(v, yes)),
        1 => version().prop_map(Revoke),
        1 => version().prop_map(Refuse),
        1 => any::<bool>().prop_map(|auto| Channel(if auto { Approval::Auto } else { Approval::Manual })),
        2 => Just(MadeAgain),
        3 => (version(), prop::sample::select(vec![Quality::Good, Quality::Bad, Quality::Unclear]))
            .prop_map(|(v, q)| Quality(v, q)),
        2 => (version(), prop::sample::select(vec![Temper::Fine, Temper::CrashLoop, Temper::NeverReady]))
            .prop_map(|(v, t)| Temper(v, t)),
        1 => (version(), 1..90i64).prop_map(|(v, back)| Kill(v, Some(back))),
        2 => (version(), word()).prop_map(|(v, w)| Retry(v, w)),
        1 => (version(), word()).prop_map(|(v, w)| Promote(v, w)),
        1 => (version(), word()).prop_map(|(v, w)| Abort(v, w)),
        3 => (0..40i64).prop_map(Crash),
    ]
}

fn story() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let pause = prop_oneof![3 => 0..3i64, 3 => 3..20i64, 3 => 20..130i64, 1 => 130..1500i64];
    prop::collection::vec((pause, event()), 1..16).prop_map(|pairs| {
        let mut at = 10;
        let after = |(pause, event)| {
            at += pause;
            (at, event)
        };
        pairs.into_iter().map(after).collect()
    })
}

fn ends_well(events: &[(i64, Event)], mortal: bool) -> Result<(), TestCaseError> {
    let mut first = spec("v1");
    first.model = channel(Approval::Auto);
    let mut sim = Sim::new(first);
    sim.crash_always = mortal;
    sim.schedule(events);
    let last = events.last().map_or(0, |(at, _)| *at);
    sim.run_until(last + 1);
    for v in VERSIONS {
        if sim.metrics.qualities.get(v) == Some(&Quality::Unclear) {
            sim.play(Quality(v, Quality::Good));
        }
        let temper = sim.cluster.tempers.get(v).copied().unwrap_or_default();
        let dead = sim.cluster.of_version(v).is_some_and(|d| d.pods.contains(&None));
        if dead && temper == Temper::Fine {
            sim.play(Kill(v, Some(5)));
        }
    }
    sim.run_until(last + 6000);
    let stable = sim.stable().to_owned();
    let fine = |version: &str| sim.cluster.tempers.get(version).is_none_or(|t| *t == Temper::Fine);
    match sim.newest() {
        // One that cannot run is said: nothing else has ever served, or what serves cannot run either.
        Some(newest) if !fine(newest) || !fine(&stable) => {}
        Some(newest) => prop_assert_eq!(&stable, newest, "{}", sim.log()),
        // The first one goes on, as there is nothing else.
        None if stable.is_empty() && sim.status.candidate.is_some() => {}
        None => prop_assert_eq!(sim.reason(), "NoVersion", "{}", sim.log()),
    }
    let able = !stable.is_empty() && fine(&stable) && sim.newest().is_none_or(fine);
    prop_assert!(!able || sim.status.candidate.is_none(), "{}", sim.log());
    // Here and there it is the same that is barred.
    let (own, on_versions) = barred(&sim);
    let own: BTreeSet<&str> = own.into_iter().collect();
    prop_assert_eq!(own, on_versions.into_iter().collect::<BTreeSet<&str>>(), "{}", sim.log());
    is_at_rest(&mut sim);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_versions(events in story(), mortal in any::<bool>()) {
        ends_well(&events, mortal)?;
    }
}
