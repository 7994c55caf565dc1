//! RetrainPolicy.

use rstest::rstest;
use serde_json::{Value, json};
use serin_api::{RetrainPolicy, validate};

use crate::support::{changed, full_of, read};

fn check(object: Value) -> Result<(), String> {
    let policy: RetrainPolicy = read(object);
    validate::retrain_policy(policy.metadata.name.as_deref().unwrap(), &policy.spec)
}

#[test]
fn the_full_example_is_taken() {
    assert_eq!(check(full_of("RetrainPolicy")), Ok(()));
}

#[rstest]
#[case::long_name("/metadata/name", json!("a".repeat(41)), "longer than 40")]
#[case::nobody("/spec/deploymentRef", Value::Null, "trigger mistakes: quality needs deploymentRef")]
#[case::deployment("/spec/deploymentRef", json!("Wine"), "deploymentRef")]
#[case::no_trigger("/spec/triggers", json!([]), "triggers must name at least one")]
#[case::twice("/spec/triggers/1/name", json!("mistakes"), "mistakes stands twice")]
#[case::by_hand("/spec/triggers/1/name", json!("by-hand"), "a person's word")]
#[case::two_kinds("/spec/triggers/1/maxAge", json!({"seconds": 60}), "trigger weekly: must have exactly one")]
#[case::no_kind("/spec/triggers/1/schedule", Value::Null, "trigger weekly: must have exactly one")]
#[case::series("/spec/triggers/0/quality/all/series", json!("a b"), "is not the name of a series")]
#[case::same("/spec/triggers/0/quality/bad", json!({"series": "labelled_total"}), "the same series")]
#[case::permille("/spec/triggers/0/quality/maxBadPermille", json!(1000), "maxBadPermille 1000")]
#[case::window("/spec/triggers/0/quality/windowSeconds", json!(1), "windowSeconds 1")]
#[case::often("/spec/triggers/2/newData/everySeconds", json!(1), "everySeconds 1")]
#[case::no_data("/spec/data", json!([]), "trigger data: newData needs data")]
#[case::data_twice("/spec/data/1/name", json!("fresh"), "fresh stands twice")]
#[case::data_in_both("/spec/data/0/name", json!("train"), "stands in template.datasets, too")]
#[case::data_folder("/spec/data/0/uri", json!("s3://data/wine/"), "data fresh: uri")]
#[case::evaluation("/spec/template/evaluation", Value::Null, "template.evaluation is missing")]
#[case::template("/spec/template/output/uri", json!("https://x/y"), "template.output.uri")]
#[case::suspended("/spec/template/suspend", json!(true), "use suspend of the policy")]
#[case::again("/spec/template/rerunToken", json!("x"), "neither replayOf nor rerunToken")]
#[case::cooldown("/spec/cooldownSeconds", json!(-1), "cooldownSeconds -1")]
#[case::budget("/spec/budget/runs", json!(21), "budget.runs 21")]
#[case::stop("/spec/stopAfterIneffective", json!(0), "stopAfterIneffective 0")]
fn refuses(#[case] pointer: &str, #[case] value: Value, #[case] says: &str) {
    let message = check(changed(full_of("RetrainPolicy"), pointer, Some(value))).unwrap_err();
    assert!(!message.contains('\n') && message.len() < 600, "one line: {message}");
    assert!(message.contains(says), "{message}");
}
