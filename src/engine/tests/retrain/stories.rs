//! What happens to a policy, and what it does.

use chrono::TimeDelta;
use serde_json::json;
use serin_api::{Live, PolicyPhase, Reason, TriggerState};
use serin_engine::retrain::{Served, Share};

use super::sim::{Fate, Sim, digest, policy, quality};

#[test]
fn quality_that_stays_bad_starts_one_run_on_the_data_of_that_moment() {
    let mut sim = Sim::new(policy(&quality()));
    sim.hours(1);
    assert_eq!((sim.runs.len(), sim.reason().as_str()), (0, "Armed"));
    sim.bad(400.0);
    sim.data = Some((7, 2000));
    sim.minutes(9);
    assert_eq!(sim.runs.len(), 0, "it has to stay bad for ten minutes");
    sim.deployed_by_itself = true;
    sim.minutes(9);
    assert_eq!(sim.runs.len(), 1);
    assert_eq!(sim.trained_on()[0].0, digest(7));
    let record = &sim.status.runs[0];
    assert_eq!((record.trigger.as_str(), record.number), ("mistakes", 1));
    assert!(record.message.contains("400 permille"), "{}", record.message);
    sim.bad(100.0);
    sim.hours(48);
    assert_eq!(sim.runs.len(), 1);
    assert_eq!(sim.status.runs[0].live, Some(Live::Promoted));
    assert_eq!(sim.status.runs[0].version.as_deref(), Some("wine-v1"));
    assert!(sim.looks.is_empty(), "Jobs of looks are cleared away");
}

#[test]
fn a_dip_starts_nothing() {
    let mut sim = Sim::new(policy(&quality()));
    for _ in 0..20 {
        sim.bad(400.0);
        sim.minutes(8);
        sim.bad(100.0);
        sim.minutes(8);
    }
    assert_eq!(sim.runs.len(), 0);
}

#[test]
fn what_is_not_known_is_no_reason_to_train_and_none_to_be_calm() {
    let mut sim = Sim::new(policy(&quality()));
    sim.bad(400.0);
    sim.minutes(5);
    sim.share = Share::Unknown("Prometheus cannot be reached".into());
    sim.hours(5);
    assert_eq!(sim.runs.len(), 0);
    assert_eq!(sim.status.triggers[0].state, TriggerState::Unknown);
    sim.bad(400.0);
    sim.minutes(9);
    assert_eq!(sim.runs.len(), 0, "the ten minutes begin anew");
    sim.minutes(5);
    assert_eq!(sim.runs.len(), 1);
}

#[test]
fn bad_quality_without_new_data_trains_once() {
    let mut sim = Sim::new(policy(&quality()));
    sim.bad(400.0);
    sim.deployed_by_itself = true;
    sim.hours(72);
    assert_eq!(sim.runs.len(), 1);
    assert_eq!(sim.reason(), "NothingNew");
    sim.data = Some((2, 5000));
    sim.hours(5);
    assert_eq!(sim.runs.len(), 2);
    assert_eq!(sim.trained_on()[1].0, digest(2));
}

#[test]
fn a_version_that_waits_to_be_served_is_the_answer_already() {
    let mut sim = Sim::new(policy(&quality()));
    sim.bad(400.0);
    sim.minutes(30);
    assert_eq!(sim.runs.len(), 1);
    sim.data = Some((2, 5000));
    sim.hours(72);
    assert_eq!((sim.runs.len(), sim.reason().as_str()), (1, "AwaitingRollout"));
    sim.lives.insert("wine-v1".into(), Live::RolledBack);
    sim.hours(5);
    assert_eq!(sim.runs.len(), 2, "it was sent back: another try, with the new data");
}

#[test]
fn nothing_is_started_within_a_rollout_nor_right_after_it() {
    let mut sim = Sim::new(policy(&quality()));
    sim.bad(400.0);
    sim.served.as_mut().unwrap().changing = true;
    sim.hours(3);
    assert_eq!((sim.runs.len(), sim.reason().as_str()), (0, "RolloutInProgress"));
    let now = sim.now;
    sim.served.as_mut().unwrap().changing = false;
    sim.served.as_mut().unwrap().changed_at = Some(now);
    sim.minutes(9);
    assert_eq!((sim.runs.len(), sim.reason().as_str()), (0, "Settling"));
    sim.minutes(3);
    assert_eq!(sim.runs.len(), 1);
}

#[test]
fn another_version_is_measured_anew() {
    let mut sim = Sim::new(policy(&quality()));
    sim.bad(400.0);
    sim.minutes(8);
    sim.served = Some(Served { revision: Some("r1-2".into()), ..sim.served.clone().unwrap() });
    sim.minutes(8);
    assert_eq!(sim.runs.len(), 0);
}

#[test]
fn runs_that_bring_nothing_come_later_each_time_and_then_not_at_all() {
    let mut sim = Sim::new(policy(&quality()));
    sim.fate = Fate::Crashed;
    sim.bad(400.0);
    sim.hours(200);
    assert_eq!((sim.runs.len(), sim.reason().as_str()), (3, "Ineffective"));
    assert_eq!(sim.status.phase, Some(PolicyPhase::Stopped));
    assert_eq!(sim.count(Reason::Ineffective), 1);
    let gap = |i: usize| sim.runs[i].created_at - sim.runs[i - 1].end.as_ref().unwrap().at;
    assert!(gap(1) >= TimeDelta::hours(2) && gap(2) >= TimeDelta::hours(4), "{} {}", gap(1), gap(2));
    // A changed policy is a person's look.
    sim.generation += 1;
    sim.fate = Fate::Version;
    sim.minutes(30);
    assert_eq!(sim.runs.len(), 4);
}

#[test]
fn inputs_that_the_gate_refused_are_not_trained_again() {
    let mut sim = Sim::new(policy(&json!([{"name": "stale", "maxAge": {"seconds": 3600}}])));
    sim.fate = Fate::Refused;
    sim.hours(100);
    assert_eq!((sim.runs.len(), sim.reason().as_str()), (1, "NothingNew"));
}

#[test]
fn a_persons_word_is_held_by_nothing_and_trains_even_on_the_same() {
    let mut sim = Sim::new(policy(&quality()));
    sim.fate = Fate::Crashed;
    sim.bad(400.0);
    sim.hours(200);
    assert_eq!(sim.reason(), "Ineffective");
    sim.fate = Fate::Version;
    sim.by_hand = Some("monday".into());
    sim.minutes(10);
    assert_eq!(sim.runs.len(), 4);
    assert_eq!(sim.status.runs[3].trigger, "by-hand");
    assert_eq!(sim.specs[3].rerun_token.as_deref(), Some("monday"));
    sim.bad(100.0);
    sim.hours(48);
    assert_eq!(sim.runs.len(), 4, "a word counts once");
    sim.by_hand = Some("tuesday".into());
    sim.minutes(10);
    assert_eq!(sim.runs.len(), 5, "the same data again, because a person wants it");
}

#[test]
fn the_clock_counts_once_whatever_was_missed() {
    let times = json!([{"name": "nightly", "schedule": {"cron": "0 3 * * *", "timeZone": "Europe/Berlin"}}]);
    let mut sim = Sim::new(policy(&times));
    sim.look(None);
    // Nobody looks for a week.
    sim.pass(TimeDelta::days(7));
    sim.data = Some((2, 1));
    sim.hours(2);
    assert_eq!(sim.runs.len(), 1);
    for day in 0..3 {
        sim.data = Some((10 + day, 1));
        sim.hours(24);
    }
    assert_eq!(sim.runs.len(), 4);
    let at = sim.runs[3].created_at.format("%H:%M").to_string();
    assert!(at.starts_with("02:0"), "three in Berlin, in winter, and the time of a look: {at}");
    sim.hours(72);
    assert_eq!(sim.runs.len(), 4, "no new data, no training");
    assert_eq!(sim.count(Reason::NothingNew), 3);
}

#[test]
fn times_while_suspended_are_not_made_up_for() {
    let mut sim = Sim::new(policy(&json!([{"name": "hourly", "schedule": {"cron": "0 * * * *"}}])));
    sim.spec.suspend = true;
    sim.hours(30);
    assert_eq!((sim.runs.len(), sim.status.phase), (0, Some(PolicyPhase::Suspended)));
    sim.spec.suspend = false;
    sim.generation += 1;
    sim.minutes(50);
    assert_eq!(sim.runs.len(), 0);
    sim.minutes(15);
    assert_eq!(sim.runs.len(), 1);
}

#[test]
fn new_data_above_a_volume_starts_a_run() {
    let grown = json!([{"name": "data", "newData": {"everySeconds": 600, "minBytes": 500}}]);
    let mut sim = Sim::new(policy(&grown));
    sim.hours(2);
    assert_eq!(sim.runs.len(), 1, "nothing was trained before");
    sim.hours(10);
    sim.data = Some((2, 1400));
    sim.hours(10);
    assert_eq!(sim.runs.len(), 1, "400 bytes are too few");
    sim.data = Some((3, 1500));
    sim.hours(2);
    assert_eq!(sim.runs.len(), 2);
    assert_eq!(sim.status.data[0].bytes, 1500);
}

#[test]
fn the_first_version_is_made_at_once_and_the_next_when_it_is_old() {
    let mut spec = policy(&json!([{"name": "stale", "maxAge": {"seconds": 86400}}]));
    spec.deployment_ref = None;
    let mut sim = Sim::new(spec);
    (sim.newest, sim.served) = (None, Some(Served::default()));
    sim.hours(1);
    assert_eq!(sim.runs.len(), 1);
    sim.data = Some((2, 1));
    sim.hours(20);
    assert_eq!(sim.runs.len(), 1);
    sim.hours(6);
    assert_eq!(sim.runs.len(), 2);
}

#[test]
fn the_budget_holds_whatever_asks() {
    let mut spec = policy(&json!([{"name": "data", "newData": {"everySeconds": 60}}]));
    (spec.cooldown_seconds, spec.budget.runs, spec.budget.per_seconds) = (0, 3, 86_400);
    let mut sim = Sim::new(spec);
    for content in 0..100 {
        sim.data = Some((content, 1));
        sim.minutes(10);
    }
    assert_eq!((sim.runs.len(), sim.reason().as_str()), (3, "BudgetExhausted"));
    sim.hours(12);
    assert_eq!(sim.runs.len(), 4, "one has left the day");
}

#[test]
fn data_that_cannot_be_read_is_said_and_tried_again_later() {
    let mut sim = Sim::new(policy(&quality()));
    sim.bad(400.0);
    sim.data = None;
    sim.hours(10);
    assert_eq!((sim.runs.len(), sim.reason().as_str()), (0, "DataUnreadable"));
    let looks = sim.status.looks;
    assert!((5..=20).contains(&looks), "{looks} looks in ten hours");
    sim.data = Some((1, 1));
    sim.hours(2);
    assert_eq!(sim.runs.len(), 1);
}

#[test]
fn a_run_that_somebody_deletes_is_over() {
    let mut sim = Sim::new(policy(&quality()));
    sim.fate = Fate::Goes;
    sim.bad(400.0);
    sim.minutes(30);
    assert_eq!((sim.runs.len(), sim.status.active.is_some()), (1, true));
    sim.runs.clear();
    sim.minutes(1);
    assert_eq!(sim.status.active, None);
    assert!(sim.status.runs[0].ended_at.is_some() && sim.status.runs[0].result.is_none());
    sim.minutes(60);
    assert_eq!(sim.runs.len(), 0, "the cooldown is twice as long");
    sim.hours(3);
    assert_eq!(sim.runs.len(), 1);
}

#[test]
fn a_spec_that_cannot_be_acted_on_is_said_in_one_line_and_a_good_one_goes_on() {
    let mut sim = Sim::new(policy(&json!([{"name": "x", "schedule": {"cron": "0 0 30 2 *"}}])));
    sim.hours(1);
    assert_eq!((sim.reason().as_str(), sim.status.phase), ("InvalidSpec", Some(PolicyPhase::Invalid)));
    let stalled = sim.status.conditions.iter().find(|c| c.type_ == "Stalled").unwrap();
    assert!(
        stalled.message.contains("never comes") && !stalled.message.contains('\n'),
        "{}",
        stalled.message
    );
    sim.spec = policy(&quality());
    sim.generation += 1;
    sim.minutes(1);
    assert_eq!(sim.reason(), "Armed");
}

#[test]
fn nothing_is_written_while_nothing_changes() {
    let mut sim = Sim::new(policy(&quality()));
    sim.minutes(5);
    let before = sim.writes;
    for permille in [90.0, 110.0, 105.0] {
        sim.bad(permille);
        sim.hours(5);
    }
    assert_eq!(sim.writes, before);
}

#[test]
fn a_deployment_that_is_not_there_holds_and_is_named() {
    let mut sim = Sim::new(policy(&json!([{"name": "stale", "maxAge": {"seconds": 60}}])));
    sim.served = None;
    sim.hours(1);
    assert_eq!((sim.runs.len(), sim.reason().as_str()), (0, "DeploymentNotFound"));
}
