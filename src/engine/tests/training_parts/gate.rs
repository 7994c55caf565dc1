//! The gate passes what reached everything, and nothing else.

use rstest::rstest;
use serde_json::{Value, json};
use serin_api::{Gate, Level};
use serin_engine::training::gate::{self, Verdict};
use serin_wire::EvaluationResult;

fn result(metrics: &Value) -> EvaluationResult {
    serde_json::from_value(json!({
        "schema": EvaluationResult::SCHEMA, "runUid": "u", "number": 1, "nonce": "n",
        "modelDigest": "m", "evalSetDigest": "e", "metrics": metrics,
    }))
    .unwrap()
}

fn judge(gate: &Value, metrics: &Value, champion: bool) -> Verdict {
    let gate: Gate = serde_json::from_value(gate.clone()).unwrap();
    gate::judge(&gate, &result(metrics), champion)
}

fn one(condition: &Value) -> Value {
    let mut metric = json!({"name": "acc"});
    metric.as_object_mut().unwrap().extend(condition.as_object().unwrap().clone());
    json!({"metrics": [metric]})
}

fn pair(candidate: f64, champion: f64) -> Value {
    json!([{"name": "acc", "value": candidate}, {"name": "acc", "arm": "champion", "value": champion}])
}

#[rstest]
#[case::floor_reached(json!({"min": "0.9"}), 0.9, true)]
#[case::floor_missed(json!({"min": "0.9"}), 0.899_999, false)]
#[case::ceiling_reached(json!({"max": "0.9", "direction": "Lower"}), 0.9, true)]
#[case::ceiling_missed(json!({"max": "0.9", "direction": "Lower"}), 0.900_001, false)]
#[case::better(json!({"minImprovement": "0"}), 0.81, true)]
#[case::equal_is_not_better(json!({"minImprovement": "0"}), 0.8, false)]
#[case::by_exactly_the_least(json!({"minImprovement": "0.02"}), 0.82, false)]
#[case::by_more_than_the_least(json!({"minImprovement": "0.02"}), 0.820_001, true)]
#[case::lower_is_better(json!({"minImprovement": "0", "direction": "Lower"}), 0.79, true)]
#[case::higher_is_worse(json!({"minImprovement": "0", "direction": "Lower"}), 0.81, false)]
#[case::worse_by_exactly_the_most(json!({"maxRegression": "0.1"}), 0.7, true)]
#[case::worse_by_more(json!({"maxRegression": "0.1"}), 0.699, false)]
#[case::worse_by_more_where_lower_is_better(json!({"maxRegression": "0.1", "direction": "Lower"}), 0.901, false)]
#[case::no_number_in_the_gate(json!({"min": "much"}), 0.9, false)]
#[case::infinity_in_the_gate(json!({"min": "-inf"}), 0.9, false)]
#[case::nothing_to_reach(json!({}), 0.9, false)]
fn a_condition(#[case] condition: Value, #[case] candidate: f64, #[case] passes: bool) {
    let verdict = judge(&one(&condition), &pair(candidate, 0.8), true);
    assert_eq!(verdict.passed, passes, "{}", verdict.message);
    assert!(!verdict.message.is_empty() && !verdict.message.contains('\n'));
}

#[test]
fn the_near_ends_of_intervals_are_compared() {
    let with = |candidate: (f64, f64, f64), champion: (f64, f64, f64)| {
        json!([
            {"name": "acc", "value": candidate.1, "ciLow": candidate.0, "ciHigh": candidate.2},
            {"name": "acc", "arm": "champion", "value": champion.1, "ciLow": champion.0, "ciHigh": champion.2},
        ])
    };
    let higher = one(&json!({"minImprovement": "0"}));
    assert!(judge(&higher, &with((0.86, 0.9, 0.94), (0.8, 0.82, 0.85)), true).passed);
    let touching = judge(&higher, &with((0.84, 0.9, 0.94), (0.8, 0.82, 0.85)), true);
    assert!(!touching.passed);
    assert_eq!(
        touching.message,
        "acc 0.9, champion 0.82: surely better by -0.01, not by more than minImprovement 0"
    );
    let lower = one(&json!({"minImprovement": "0", "direction": "Lower"}));
    assert!(judge(&lower, &with((0.1, 0.2, 0.3), (0.31, 0.4, 0.5)), true).passed);
    assert!(!judge(&lower, &with((0.1, 0.2, 0.32), (0.31, 0.4, 0.5)), true).passed);
}

#[test]
fn what_was_not_measured_fails() {
    let gate = one(&json!({"min": "0"}));
    for metrics in [
        json!([]),
        json!([{"name": "other", "value": 1.0}]),
        json!([{"name": "acc", "arm": "champion", "value": 1.0}]),
        json!([{"name": "acc", "slice": "red", "value": 1.0}]),
    ] {
        let verdict = judge(&gate, &metrics, true);
        assert!(!verdict.passed);
        assert_eq!(verdict.message, "acc was not measured");
    }
    let no_champion =
        judge(&one(&json!({"minImprovement": "0"})), &json!([{"name": "acc", "value": 1.0}]), true);
    assert_eq!(
        (no_champion.passed, no_champion.message.as_str()),
        (false, "acc of the champion was not measured")
    );
}

#[test]
fn no_number_fails() {
    let mut nan = result(&pair(0.9, 0.8));
    let gate: Gate = serde_json::from_value(one(&json!({"min": "0.1"}))).unwrap();
    assert!(gate::judge(&gate, &nan, true).passed);
    for value in [f64::NAN, f64::INFINITY] {
        nan.metrics[0].value = value;
        assert!(!gate::judge(&gate, &nan, true).passed);
    }
    nan.metrics[0].value = 0.9;
    nan.metrics[0].ci_low = Some(f64::NAN);
    assert!(!gate::judge(&gate, &nan, true).passed);
}

#[test]
fn without_a_champion_only_floors_and_ceilings_count_and_there_must_be_one() {
    let metrics = json!([{"name": "acc", "value": 0.9}]);
    let both = one(&json!({"min": "0.5", "minImprovement": "0.5"}));
    assert!(judge(&both, &metrics, false).passed);
    let relative = judge(&one(&json!({"minImprovement": "0"})), &metrics, false);
    assert!(!relative.passed && relative.message.contains("no min and no max"), "{}", relative.message);
    let mut reject = both;
    reject["whenNoChampion"] = json!("Reject");
    let rejected = judge(&reject, &metrics, false);
    assert!(
        !rejected.passed && rejected.message.contains("whenNoChampion is Reject"),
        "{}",
        rejected.message
    );
    assert!(!judge(&reject, &pair(0.9, 0.8), true).passed, "not better by 0.5");
    // A condition that cannot be checked is still one whose metric must be there.
    let other = json!({"metrics": [{"name": "acc", "min": "0"}, {"name": "f1", "minImprovement": "0"}]});
    assert_eq!(judge(&other, &metrics, false).message, "f1 was not measured");
}

#[test]
fn each_slice_has_its_own_floor() {
    let mut gate = one(&json!({"min": "0.5"}));
    gate["slices"] = json!([{"slice": "age >= 60", "metric": "acc", "min": "0.8", "maxRegression": "0.05"}]);
    let metrics = |slice: f64| {
        json!([
            {"name": "acc", "value": 0.9},
            {"name": "acc", "slice": "age >= 60", "value": slice},
            {"name": "acc", "slice": "age >= 60", "arm": "champion", "value": 0.9},
        ])
    };
    assert!(judge(&gate, &metrics(0.86), true).passed);
    let below = judge(&gate, &metrics(0.7), true);
    assert_eq!(
        below.message,
        "acc of age >= 60 0.7 is below min 0.8; acc of age >= 60 0.7, champion 0.9: worse by 0.2, maxRegression 0.05"
    );
    assert_eq!(
        judge(&gate, &json!([{"name": "acc", "value": 0.9}]), true).message,
        "acc of age >= 60 was not measured"
    );
}

#[test]
fn values_are_kept_side_by_side() {
    let verdict = judge(&one(&json!({"min": "0.5"})), &pair(0.912_5, 1e-9), true);
    assert_eq!(verdict.message, "acc 0.9125 is at least 0.5");
    let kept = &verdict.metrics[0];
    assert_eq!((kept.candidate.as_str(), kept.champion.as_deref()), ("0.9125", Some("1e-9")));
    assert_eq!(verdict.metrics.len(), 1);
}

#[test]
fn a_long_story_is_cut() {
    let metrics: Vec<Value> =
        (0..12).map(|i| json!({"name": format!("{}{i}", "m".repeat(38)), "min": "1", "max": "0"})).collect();
    let slices: Vec<Value> =
        (0..12).map(|_| json!({"slice": "ü".repeat(40), "metric": "m".repeat(40), "min": "1"})).collect();
    let verdict = judge(&json!({"metrics": metrics, "slices": slices}), &json!([]), true);
    assert!(!verdict.passed);
    assert!(verdict.message.len() <= 904, "{}", verdict.message.len());
}

#[test]
fn a_level_may_be_asked_for() {
    let mut gate: Gate = serde_json::from_value(one(&json!({"min": "0"}))).unwrap();
    assert_eq!(gate::level(&gate, Level::Traceable), Ok(()));
    gate.require_level = Some(Level::Pinned);
    assert!(gate::level(&gate, Level::Traceable).unwrap_err().contains("asks for level Pinned"));
    assert_eq!(gate::level(&gate, Level::Pinned), Ok(()));
    assert_eq!(gate::level(&gate, Level::Identical), Ok(()));
}
