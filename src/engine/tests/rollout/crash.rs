//! Each story, with the operator dead after each single effect: what is left in the cluster and in the status is enough
//! to come to the same end. Every invariant of `sim::check` holds on the way.

use rstest::rstest;

use crate::sim::{
    Sim,
    end::{End, is_at_rest},
    script::{self, Script},
};

/// Where a run ends, and that nothing is left to do there.
fn end_of(mut sim: Sim, script: &Script) -> (End, Sim) {
    sim.run_until(script.end);
    let told = sim.clone();
    is_at_rest(&mut sim);
    (End::of(&told), told)
}

fn compare(script: &Script, how: &str, expected: &End, sim: Sim) {
    let missed = sim.crash.is_some_and(|(_, away)| away > 0);
    let (mut end, told) = end_of(sim, script);
    let mut expected = expected.clone();
    if missed {
        // What people did while nobody looked can make another story of it; its end is the same.
        end.history.clear();
        expected.history.clear();
    }
    assert_eq!(end, expected, "{}: {how}\n{}", script.name, told.log());
}

#[rstest]
#[case::back_at_once(0)]
#[case::back_after_a_while(7)]
fn death_after_each_effect(#[case] away: i64) {
    for script in script::all() {
        let (expected, undisturbed) = end_of(script.sim(), &script);
        for n in 1..=undisturbed.done() {
            let mut sim = script.sim();
            sim.crash = Some((n, away));
            compare(&script, &format!("dead for {away} s after effect {n}"), &expected, sim);
        }
    }
}

#[test]
fn death_after_every_effect() {
    for script in script::all() {
        let (expected, _) = end_of(script.sim(), &script);
        let mut sim = script.sim();
        sim.crash_always = true;
        compare(&script, "dead after every effect", &expected, sim);
    }
}

#[test]
fn one_look_at_an_old_cache_after_each_plan() {
    for script in script::all() {
        let (expected, undisturbed) = end_of(script.sim(), &script);
        for n in undisturbed.busy_looks {
            let mut sim = script.sim();
            sim.stale_look = Some(n + 1);
            compare(&script, &format!("an old cache at look {}", n + 1), &expected, sim);
        }
    }
}
