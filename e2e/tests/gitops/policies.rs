//! Likewise of policies, through months in which anything may happen.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde_json::json;
use serin_api::{Live, PolicyPhase, RetrainPolicyStatus, labels};
use serin_engine::retrain::Share;

use crate::{
    engines,
    retrain_sim::{Fate, Sim, policy},
};

/// A policy does what it is for, also while a run of it goes on or has failed.
fn stand(generation: i64, status: &RetrainPolicyStatus) -> (&'static str, &'static str) {
    if status.observed_generation != Some(generation) {
        return ("InProgress", "Progressing");
    }
    match status.phase {
        Some(PolicyPhase::Stopped | PolicyPhase::Invalid) => ("Failed", "Degraded"),
        Some(PolicyPhase::Suspended) => ("Current", "Suspended"),
        _ => ("Current", "Healthy"),
    }
}

/// The same numbers each time, one much like another.
struct Dice(u64);
impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn happen(sim: &mut Sim, dice: &mut Dice) {
    match dice.throw(10) {
        0 => sim.bad(f64::from(u32::try_from(dice.throw(1000)).unwrap())),
        1 => sim.share = Share::Unknown("away".into()),
        2 => sim.data = Some((u8::try_from(dice.throw(4)).unwrap(), 1000)),
        3 => sim.data = None,
        4 => {
            sim.fate = [Fate::Version, Fate::Refused, Fate::Crashed][usize::try_from(dice.throw(3)).unwrap()];
        }
        5 => {
            let last = sim.status.runs.last().and_then(|r| r.version.clone());
            sim.lives.extend(last.map(|version| (version, Live::RolledBack)));
        }
        6 => {
            sim.spec.suspend = !sim.spec.suspend;
            sim.generation += 1;
        }
        7 => sim.by_hand = Some(format!("word-{}", dice.throw(3))),
        8 => {
            let now = sim.now;
            let served = sim.served.as_mut().unwrap();
            served.changing = !served.changing;
            served.changed_at = Some(now);
        }
        _ => sim.over(TimeDelta::minutes(i64::try_from(dice.throw(600)).unwrap())),
    }
}

#[test]
fn they_see_in_every_status_what_serin_means() {
    let triggers = json!([
        {"name": "mistakes", "quality": {
            "bad": {"series": "wrong_total"}, "all": {"series": "labelled_total"},
            "maxBadPermille": 200, "forSeconds": 600,
        }},
        {"name": "nightly", "schedule": {"cron": "0 3 * * *"}},
        {"name": "data", "newData": {"everySeconds": 1800}},
        {"name": "stale", "maxAge": {"seconds": 172_800}},
    ]);
    let mut never = triggers.clone();
    never[1]["schedule"]["cron"] = json!("0 3 30 2 *");
    let mut told = Vec::new();
    for seed in 0..20 {
        let mut dice = Dice(seed);
        let mut sim = Sim::new(policy(if seed % 10 == 9 { &never } else { &triggers }));
        for _ in 0..60 {
            happen(&mut sim, &mut dice);
            told.push(sim.clone());
            sim.settle();
            told.push(sim.clone());
        }
    }
    let mut known = BTreeSet::new();
    told.retain(|sim| known.insert(json!([sim.generation, sim.spec, sim.status]).to_string()));
    let object =
        |sim: &Sim| engines::object("RetrainPolicy", sim.generation, &json!(sim.spec), &json!(sim.status));
    let seen = engines::ask(&told.iter().map(object).collect::<Vec<_>>());
    let (mut counts, mut started) = (BTreeMap::new(), 0);
    let total = told.len();
    for (mut sim, seen) in told.into_iter().zip(seen) {
        let place = json!(sim.status).to_string();
        let wanted = stand(sim.generation, &sim.status);
        assert_eq!((seen.kstatus.as_str(), seen.health.as_str()), wanted, "{place}");
        *counts.entry(wanted).or_insert(0) += 1;
        assert_eq!(seen.actions.contains_key("suspend"), !sim.spec.suspend, "{place}");
        assert_eq!(seen.actions.contains_key("resume"), sim.spec.suspend, "{place}");
        // What is offered is done when it is asked for.
        let word = seen.order("retrain", labels::RETRAIN_NOW).map(str::to_owned);
        let is_valid = !matches!(sim.status.phase, Some(PolicyPhase::Invalid));
        if let Some(word) = word.filter(|_| is_valid && sim.status.phase.is_some()) {
            sim.by_hand = Some(word.clone());
            let plan = sim.plan();
            assert_eq!(plan.status.handled_retrain.as_ref(), Some(&word), "{place}");
            started += 1;
        }
    }
    eprintln!("{total} statuses of policies: {counts:?}; {started} words were heard");
    assert!(total > 300 && started > 100, "{total} {started}");
    let seen: BTreeSet<_> = counts.keys().map(|(_, health)| *health).collect();
    assert_eq!(seen.len(), 4, "{counts:?}");
}
