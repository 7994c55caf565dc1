//! A result is taken only if it is this run's, this attempt's, and sane.

use rstest::rstest;
use serde_json::{Value, json};
use serin_engine::training::envelope::{self, Expected};
use serin_wire::{EvaluationResult, TrainingResult};

use crate::support::{DATA, MODEL, OTHER, digest};

const OUTPUT: &str = "s3://models/wine/";

fn hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap()
}

fn trained() -> Value {
    json!({
        "schema": TrainingResult::SCHEMA,
        "runUid": "u1",
        "attempt": 2,
        "output": {
            "uri": format!("s3://models/wine/{}/model.json", hex(MODEL)),
            "digest": MODEL, "layout": "File", "sizeBytes": 12, "files": 1,
        },
        "resumedFrom": "a1/step-200",
    })
}

fn changed(mut value: Value, pointer: &str, new: Value) -> String {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = value.pointer_mut(parent).unwrap();
    match (parent, new) {
        (Value::Array(items), new) => items[key.parse::<usize>().unwrap()] = new,
        (parent, new) => parent[key] = new,
    }
    value.to_string()
}

fn read(text: &str) -> Result<TrainingResult, String> {
    envelope::training(text, "u1", 2, OUTPUT)
}

#[test]
fn a_training_of_ours_is_taken() {
    let taken = read(&trained().to_string()).unwrap();
    assert_eq!(taken.output.digest, MODEL);
    // With and without a slash at the end of the folder.
    assert!(envelope::training(&trained().to_string(), "u1", 2, "s3://models/wine").is_ok());
    let folder = json!({
        "uri": format!("s3://models/wine/{}/manifest.json", hex(MODEL)),
        "digest": MODEL, "layout": "Directory", "sizeBytes": 1, "files": 10_000,
    });
    assert!(read(&changed(trained(), "/output", folder)).is_ok());
}

#[rstest]
#[case::of_another_run("/runUid", json!("u2"), "another run UID")]
#[case::of_an_earlier_attempt("/attempt", json!(1), "another attempt: 1, not 2")]
#[case::other_schema("/schema", json!("serin.dev/training-result/v2"), "schema")]
#[case::unknown_field("/more", json!(1), "unknown field")]
#[case::short_digest("/output/digest", json!("sha256:2c26"), "no SHA-256")]
#[case::capitals("/output/digest", json!(MODEL.to_uppercase()), "no SHA-256")]
#[case::other_folder("/output/uri", json!(format!("s3://models/beer/{}/model.json", hex(MODEL))), "which is not s3://models/wine/")]
#[case::folder_with_the_same_beginning("/output/uri", json!(format!("s3://models/winery/{}/m", hex(MODEL))), "which is not")]
#[case::out_of_the_folder("/output/uri", json!(format!("s3://models/wine/../x/{}/m", hex(MODEL))), "which is not")]
#[case::not_named_by_content("/output/uri", json!("s3://models/wine/latest/model.json"), "which is not")]
#[case::content_of_another("/output/uri", json!(format!("s3://models/wine/{}/model.json", hex(DATA))), "which is not")]
#[case::blank("/output/uri", json!(format!("s3://models/wine/{}/a b", hex(MODEL))), "which is not")]
#[case::nameless("/output/uri", json!(format!("s3://models/wine/{}/", hex(MODEL))), "which is not")]
#[case::deeper_file("/output/uri", json!(format!("s3://models/wine/{}/a/b", hex(MODEL))), "layout File")]
#[case::folder_without_manifest("/output/layout", json!("Directory"), "layout Directory")]
#[case::many_files_in_one("/output/files", json!(2), "with 2 files")]
#[case::no_files("/output/files", json!(0), "with 0 files")]
#[case::empty("/output/sizeBytes", json!(0), "0 bytes")]
#[case::absurd_size("/output/sizeBytes", json!(u64::MAX), "bytes")]
#[case::negative_size("/output/sizeBytes", json!(-1), "cannot be read")]
#[case::checkpoint_of_two_lines("/resumedFrom", json!("a\nb"), "resumedFrom")]
fn a_training_that_is_not_ours_is_refused(#[case] pointer: &str, #[case] new: Value, #[case] says: &str) {
    let refused = read(&changed(trained(), pointer, new)).unwrap_err();
    assert!(refused.contains(says), "{refused}");
    assert!(!refused.contains('\n') && refused.len() < 500, "{refused}");
}

#[test]
fn what_may_have_been_cut_or_is_followed_by_something_is_refused() {
    assert!(read("").unwrap_err().contains("no result"));
    assert!(read(&" ".repeat(4096)).is_err());
    assert!(read(&format!("{}{}", trained(), " ".repeat(2048))).unwrap_err().contains("at most 2048"));
    assert!(read(&format!("{}{}", trained(), trained())).unwrap_err().contains("cannot be read"));
    assert!(read(&trained().to_string()[..100]).unwrap_err().contains("cannot be read"));
    let double = trained().to_string().replacen('{', "{\"attempt\":2,", 1);
    assert!(read(&double).unwrap_err().contains("duplicate field"), "{double}");
}

fn evaluated() -> Value {
    json!({
        "schema": EvaluationResult::SCHEMA,
        "runUid": "u1",
        "number": 1,
        "nonce": "00112233445566778899aabbccddeeff",
        "modelDigest": MODEL,
        "championDigest": OTHER,
        "evalSetDigest": DATA,
        "metrics": [
            {"name": "acc", "value": 0.9, "ciLow": 0.85, "ciHigh": 0.95, "n": 100},
            {"name": "acc", "arm": "champion", "value": 0.8},
            {"name": "acc", "slice": "age >= 60", "value": 0.7},
        ],
        "report": {"uri": "s3://models/wine/reports/x/metrics.json", "digest": DATA},
    })
}

fn judged(text: &str, champion: bool) -> Result<EvaluationResult, String> {
    let (model, other, data) = (digest(MODEL), digest(OTHER), digest(DATA));
    let expected = Expected {
        run_uid: "u1",
        number: 1,
        nonce: "00112233445566778899aabbccddeeff",
        model_digest: &model,
        champion_digest: champion.then_some(&other),
        eval_set_digest: &data,
    };
    envelope::evaluation(text, &expected)
}

#[test]
fn an_evaluation_of_ours_is_taken() {
    assert_eq!(judged(&evaluated().to_string(), true).unwrap().metrics.len(), 3);
}

#[rstest]
#[case::of_another_run("/runUid", json!("u2"), "another run UID")]
#[case::of_an_earlier_one("/number", json!(0), "another number")]
#[case::guessed_nonce("/nonce", json!("ffeeddccbbaa99887766554433221100"), "another nonce")]
#[case::empty_nonce("/nonce", json!(""), "another nonce")]
#[case::of_another_model("/modelDigest", json!(DATA), "another model digest")]
#[case::of_another_champion("/championDigest", json!(DATA), "another champion's digest")]
#[case::no_champion("/championDigest", Value::Null, "nothing of the champion")]
#[case::on_other_data("/evalSetDigest", json!(OTHER), "another evaluation data's digest")]
#[case::nothing_measured("/metrics", json!([]), "0 metrics")]
#[case::twice("/metrics/2", json!({"name": "acc", "value": 0.99}), "acc twice")]
#[case::nameless("/metrics/2", json!({"name": "", "value": 0.9}), "metric")]
#[case::long_name("/metrics/2", json!({"name": "m".repeat(41), "value": 0.9}), "metric")]
#[case::slice_of_two_lines("/metrics/2", json!({"name": "f1", "slice": "a\nb", "value": 0.9}), "slice")]
#[case::outside_of_its_interval("/metrics/2", json!({"name": "f1", "value": 0.9, "ciLow": 0.91}), "outside of its own")]
#[case::interval_back_to_front("/metrics/2", json!({"name": "f1", "value": 0.9, "ciLow": 0.95, "ciHigh": 0.85}), "outside of its own")]
#[case::text_for_a_number("/metrics/2", json!({"name": "f1", "value": "0.9"}), "cannot be read")]
#[case::null_for_a_number("/metrics/2", json!({"name": "f1", "value": null}), "cannot be read")]
#[case::report_without_digest("/report/digest", json!("sha256:"), "report.digest")]
fn an_evaluation_that_is_not_ours_is_refused(#[case] pointer: &str, #[case] new: Value, #[case] says: &str) {
    let refused = judged(&changed(evaluated(), pointer, new), true).unwrap_err();
    assert!(refused.contains(says), "{refused}");
    assert!(!refused.contains('\n') && refused.len() < 500, "{refused}");
}

#[test]
fn numbers_beyond_numbers_are_refused() {
    for number in ["NaN", "Infinity", "1e999", "-1e999"] {
        let text = evaluated().to_string().replace("0.7", number);
        assert!(judged(&text, true).unwrap_err().contains("cannot be read"), "{number}");
    }
}

#[test]
fn a_champion_that_nobody_asked_for_is_refused() {
    assert!(judged(&evaluated().to_string(), false).unwrap_err().contains("there is none"));
    let mut silent = evaluated();
    silent.as_object_mut().unwrap().remove("championDigest");
    assert!(judged(&silent.to_string(), false).unwrap_err().contains("acc of a champion"));
    silent["metrics"].as_array_mut().unwrap().remove(1);
    assert!(judged(&silent.to_string(), false).is_ok());
}

#[test]
fn more_than_can_be_read_is_refused() {
    let many: Vec<Value> = (0..25).map(|i| json!({"name": format!("m{i}"), "value": 1})).collect();
    assert!(judged(&changed(evaluated(), "/metrics", json!(many)), true).unwrap_err().contains("25 metrics"));
    assert!(judged(&changed(evaluated(), "/metrics", json!(many[..24])), true).is_ok());
}
