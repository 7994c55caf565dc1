//! Each story, with the operator dead after each single effect: what is left in the cluster and in the status is enough to
//! come to the same end. Every invariant of `sim::check` holds on the way: one Job an attempt, one version.

use rstest::rstest;

use crate::sim::{
    Sim,
    end::{End, is_at_rest},
    script::{self, Script},
};

fn end_of(mut sim: Sim, script: &Script) -> (End, Sim) {
    sim.run_until(script.end);
    let told = sim.clone();
    is_at_rest(&mut sim);
    (End::of(&told), told)
}

fn compare(script: &Script, how: &str, expected: &End, sim: Sim) {
    let (end, told) = end_of(sim, script);
    assert_eq!(end, *expected, "{}: {how}\n{}", script.name, told.log());
}

#[test]
fn death_after_each_effect() {
    for script in script::all() {
        let (expected, undisturbed) = end_of(script.sim(), &script);
        for n in 1..=undisturbed.done() {
            let mut sim = script.sim();
            sim.crash = Some((n, 0));
            compare(&script, &format!("dead after effect {n}"), &expected, sim);
        }
    }
}

/// Away for a while, it misses what people did meanwhile; what a cluster does is not missed.
#[rstest]
#[case("plain")]
#[case("gang")]
#[case("one crash")]
#[case("crashes")]
#[case("disruptions and crashes")]
#[case("image missing")]
#[case("no result")]
#[case("judge crashes")]
#[case("forged judgements")]
#[case("known inputs, judged again")]
#[case("replay, other bytes")]
fn away_for_a_while_after_each_effect(#[case] name: &str) {
    let script = script::named(name);
    let (expected, undisturbed) = end_of(script.sim(), &script);
    for away in [7, 100] {
        for n in 1..=undisturbed.done() {
            let mut sim = script.sim();
            sim.crash = Some((n, away));
            let how = format!("dead for {away} s after effect {n}");
            let (mut end, told) = end_of(sim, &script);
            // What ran and ended while nobody looked was never told.
            end.conditions.clone_from(&expected.conditions);
            assert_eq!(end, expected, "{name}: {how}\n{}", told.log());
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
