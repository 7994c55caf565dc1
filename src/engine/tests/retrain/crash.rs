//! The operator dies between any two writes, and goes on from what is there.

use serde_json::json;

use super::sim::{Fate, Sim, policy, quality};

/// The story of a policy in which the operator dies once, before the `n`th write of all; gives what was in the end, and
/// whether it died at all.
fn story(dies_at: usize) -> (Sim, bool) {
    let mut sim = Sim::new(policy(&quality()));
    sim.bad(400.0);
    sim.deployed_by_itself = true;
    let (mut written, mut died) = (0, false);
    for step in 0..200 {
        if step == 100 {
            sim.data = Some((2, 3000));
        }
        if step == 170 {
            sim.bad(100.0);
        }
        let plan = sim.plan();
        let writes = plan.writes.len() + usize::from(plan.status != sim.status);
        let dies_before =
            (!died && (written..written + writes).contains(&dies_at)).then(|| dies_at - written);
        sim.look(dies_before);
        died |= dies_before.is_some();
        written += writes;
        sim.pass(chrono::TimeDelta::seconds(120));
    }
    (sim, died)
}

#[test]
fn a_death_between_any_two_writes_changes_nothing() {
    let (whole, _) = story(usize::MAX);
    assert_eq!(whole.runs.len(), 2);
    let mut at = 0;
    loop {
        let (sim, died) = story(at);
        if !died {
            break;
        }
        assert_eq!(sim.specs, whole.specs, "before write {at}");
        assert_eq!(sim.status.started, 2, "before write {at}");
        assert_eq!(sim.status.runs.len(), 2, "before write {at}");
        assert!(sim.looks.is_empty(), "before write {at}: {:?}", sim.looks);
        at += 1;
    }
    assert!(at > 8, "only {at} writes");
}

/// Two operators at once, or one that decides on an older status: the same occasion is the same run.
#[test]
fn the_same_occasion_never_makes_two_runs() {
    let mut sim = Sim::new(policy(&json!([{"name": "stale", "maxAge": {"seconds": 60}}])));
    sim.fate = Fate::Goes;
    sim.minutes(1);
    let mut twin = sim.clone();
    sim.minutes(5);
    twin.minutes(5);
    assert_eq!(sim.runs.len(), 1);
    assert_eq!(sim.runs[0].name, twin.runs[0].name);
    // The status is lost, as after a restore: the run is found by its number.
    sim.status = serin_api::RetrainPolicyStatus::default();
    sim.minutes(5);
    assert_eq!((sim.runs.len(), sim.status.started), (1, 1));
    assert_eq!(sim.status.active.as_ref(), Some(&sim.runs[0].name));
}
