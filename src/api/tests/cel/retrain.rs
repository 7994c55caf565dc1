//! RetrainPolicy.

use serde_json::{Value, json};

use crate::support::{broken, broken_by_change, changed, full_of, rules, schema};

const KIND: &str = "RetrainPolicy";

fn full() -> Value {
    full_of(KIND)
}

/// What is taken: pointer, value.
fn taken() -> Vec<(&'static str, Option<Value>)> {
    vec![
        ("/metadata/name", Some(json!("a".repeat(40)))),
        ("/spec/suspend", None),
        ("/spec/data/1", None),
        ("/spec/data/0/uri", Some(json!("pvc://data/wine/train.csv"))),
        ("/spec/triggers", Some(json!([{"name": "stale", "maxAge": {"seconds": 60}}]))),
        ("/spec/triggers/0/quality/bad", Some(json!({"series": "x"}))),
        ("/spec/budget", None),
    ]
}

/// What is refused: pointer, value, words of the message.
fn refused() -> Vec<(&'static str, Option<Value>, &'static str)> {
    vec![
        ("/metadata/name", Some(json!("a".repeat(41))), "at most 40"),
        ("/metadata/name", Some(json!("7wine")), "DNS label"),
        ("/spec/deploymentRef", None, "needs deploymentRef"),
        ("/spec/data", None, "a trigger on new data needs data"),
        ("/spec/data/0/use", Some(json!("Evaluation")), "at most one entry with use Evaluation"),
        ("/spec/template/evaluation", None, "needs template.evaluation"),
        ("/spec/data/0/name", Some(json!("train")), "not in both"),
        ("/spec/data/0/uri", Some(json!("ftp://data/x")), "uri must start with https://"),
        ("/spec/data/0/uri", Some(json!("s3://data/../x")), "'..'"),
        ("/spec/data/0/uri", Some(json!("s3://data/wine/")), "names a file"),
        ("/spec/template/suspend", Some(json!(true)), "use suspend of the policy"),
        ("/spec/template/replayOf", Some(json!("wine-1")), "neither replayOf nor rerunToken"),
        ("/spec/template/rerunToken", Some(json!("x")), "neither replayOf nor rerunToken"),
        ("/spec/triggers/1/maxAge", Some(json!({"seconds": 60})), "exactly one of quality, schedule"),
        ("/spec/triggers/1/schedule", None, "exactly one of quality, schedule"),
        ("/spec/triggers/1/name", Some(json!("by-hand")), "a person's word"),
        ("/spec/triggers/0/quality/good", Some(json!({"series": "x"})), "exactly one of bad, good"),
        ("/spec/triggers/0/quality/bad", None, "exactly one of bad, good"),
    ]
}

#[test]
fn the_full_example_is_taken() {
    assert_eq!(broken(&full()), Vec::<String>::new());
}

#[test]
fn takes() {
    for (pointer, value) in taken() {
        assert_eq!(broken(&changed(full(), pointer, value)), Vec::<String>::new(), "{pointer}");
    }
}

#[test]
fn refuses() {
    for (pointer, value, says) in refused() {
        let broken = broken(&changed(full(), pointer, value.clone()));
        assert!(broken.iter().any(|m| m.contains(says)), "{pointer}: {value:?}: {broken:?}");
    }
}

/// A run is what it is; the next one may be another.
#[test]
fn the_template_may_change() {
    let old = full();
    for (pointer, value) in [
        ("/spec/template/model", json!("beer")),
        ("/spec/template/trainer/args", json!([])),
        ("/spec/template/evaluation/gate/metrics/0/min", json!("0.1")),
    ] {
        let new = changed(old.clone(), pointer, Some(value));
        assert_eq!(broken_by_change(&new, Some(&old)), Vec::<String>::new(), "{pointer}");
    }
}

/// The template's own rules are tried where runs are.
#[test]
fn every_rule_refuses_something_here() {
    let of_runs: Vec<String> =
        rules(&schema("TrainingRun")).into_iter().map(|(message, _)| message).collect();
    let said: Vec<String> = refused()
        .into_iter()
        .flat_map(|(pointer, value, _)| broken(&changed(full(), pointer, value)))
        .collect();
    for (message, about_changes) in rules(&schema(KIND)) {
        assert!(!about_changes, "{message}");
        let tried = of_runs.contains(&message) || said.iter().any(|m| m.contains(&message));
        assert!(tried, "nothing above is refused with {message:?}");
    }
}
