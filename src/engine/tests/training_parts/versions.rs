//! Inputs, their digest, and the record of a version.

use rstest::rstest;
use serde_json::{Value, json};
use serin_api::{Attempt, AttemptEnd, BaseInput, Inputs, Layout, Level, ModelFiles, Origin};
use serin_engine::training::{
    inputs,
    version::{self, Trained},
};

use crate::support::{DATA, MODEL, OTHER, UID, digest, spec};

/// The digest is part of the product: if this fails, an upgrade of the operator trains every model again.
#[test]
fn digest_hash_and_name_of_a_known_spec_never_change() {
    let spec = spec(&[]);
    let inputs = inputs::of(&spec, None);
    assert_eq!(
        inputs::digest(&inputs).0,
        "sha256:2f171250c8ecc6ad618324fa71ee85c3af92cc1dcb8665bbf2875e9983ed966d"
    );
    assert_eq!(inputs::run_hash(&spec), "t1-ed5aa4a52c9a71af50ffb138a46704c8");
    assert_eq!(version::name("wine", &digest(MODEL), &digest(DATA)), "wine-9befc2576d");
}

#[rstest]
#[case("/model", json!("beer"))]
#[case("/output/uri", json!("s3://elsewhere/x"))]
#[case("/evaluation", Value::Null)]
#[case("/storage", json!({"region": "eu-1"}))]
#[case("/retries", json!({"crashes": 9}))]
#[case("/deadlineSeconds", json!(9))]
#[case("/trainer/resources", json!({"limits": {"cpu": "9"}}))]
#[case("/rerunToken", json!("again"))]
#[case("/trainer/command", json!(["python3"]))]
fn what_is_no_input_does_not_count(#[case] pointer: &str, #[case] value: Value) {
    let mut changes = vec![(pointer, value)];
    if pointer == "/trainer/command" {
        // Program and arguments are one list: where it is cut does not matter.
        changes.push(("/trainer/args", json!(["train.py", "--fast"])));
    }
    let of = |changes: &[(&str, Value)]| inputs::digest(&inputs::of(&spec(changes), None));
    assert_eq!(of(&changes), of(&[]));
}

#[rstest]
#[case("/source/commit", json!("f123456789abcdef0123456789abcdef01234567"))]
#[case("/source/dirty", json!(true))]
#[case("/trainer/image", json!("registry.example/train:2"))]
#[case("/trainer/args", json!(["--slow"]))]
#[case("/trainer/env", json!([{"name": "LOG_LEVEL", "value": "debug"}]))]
#[case("/trainer/nodes", json!(2))]
#[case("/trainer/processesPerNode", json!(2))]
#[case("/trainer/launcher", json!("Env"))]
#[case("/parameters/learning_rate", json!("0.10"))]
#[case("/seed", json!("8"))]
#[case("/datasets", json!([]))]
#[case("/baseModel", json!({"artifact": {"uri": "s3://models/base/m", "digest": OTHER}}))]
fn every_input_counts(#[case] pointer: &str, #[case] value: Value) {
    let of = |changes: &[(&str, Value)]| inputs::digest(&inputs::of(&spec(changes), None));
    assert_ne!(of(&[(pointer, value)]), of(&[]));
}

#[test]
fn the_order_of_data_sets_does_not_count() {
    let a = json!({"name": "a", "uri": "s3://d/a", "digest": DATA});
    let b = json!({"name": "b", "uri": "s3://d/b", "digest": OTHER});
    let of = |sets: Value| inputs::digest(&inputs::of(&spec(&[("/datasets", sets)]), None));
    assert_eq!(of(json!([a, b])), of(json!([b, a])));
}

#[test]
fn a_reference_and_a_value_that_looks_like_one_differ() {
    let of = |entry: Value| inputs::of(&spec(&[("/trainer/env", json!([entry]))]), None).env["X"].clone();
    let reference = of(json!({"name": "X", "secretKeyRef": {"name": "a", "key": "b"}}));
    assert_eq!(reference, "secret/a/b");
    assert_eq!(of(json!({"name": "X", "value": "secret/a/b"})), "value/secret/a/b");
    assert_eq!(of(json!({"name": "X", "value": "value/secret/a/b"})), "value/value/secret/a/b");
    assert_eq!(of(json!({"name": "X", "configMapKeyRef": {"name": "a", "key": "b"}})), "configmap/a/b");
}

#[test]
fn a_base_model_counts_by_content() {
    let base = BaseInput { version: Some("wine-1".to_owned()), digest: digest(OTHER) };
    let known = inputs::of(&spec(&[("/baseModel", json!({"versionRef": "wine-1"}))]), Some(&base));
    assert_eq!(known.base_model, Some(base));
}

#[test]
fn a_run_is_what_it_is_but_for_suspend_and_retention() {
    let of = |changes: &[(&str, Value)]| inputs::run_hash(&spec(changes));
    assert_eq!(of(&[("/suspend", json!(true)), ("/retention", json!({"jobsSeconds": 1}))]), of(&[]));
    for (pointer, value) in [
        ("/model", json!("beer")),
        ("/rerunToken", json!("again")),
        ("/retries", json!({"crashes": 9})),
        ("/evaluation/gate/metrics", json!([{"name": "accuracy", "min": "0.6"}])),
        ("/trainer/resources", json!({"limits": {"cpu": "9"}})),
    ] {
        assert_ne!(of(&[(pointer, value)]), of(&[]), "{pointer}");
    }
}

fn image(digest: &str) -> String {
    format!("registry.example/train@{digest}")
}

#[rstest]
#[case::by_digest(&[], vec![], Level::Pinned)]
#[case::by_digest_and_seen(&[], vec![image(DATA)], Level::Pinned)]
#[case::by_digest_and_another_seen(&[], vec![image(DATA), image(OTHER)], Level::Traceable)]
#[case::by_tag(&[("/trainer/image", json!("train:1"))], vec![], Level::Traceable)]
#[case::by_tag_and_one_seen(&[("/trainer/image", json!("train:1"))], vec![image(DATA)], Level::Pinned)]
#[case::by_tag_and_a_bare_digest_seen(&[("/trainer/image", json!("train:1"))], vec![DATA.to_owned()], Level::Pinned)]
#[case::by_tag_and_a_tag_seen(&[("/trainer/image", json!("train:1"))], vec!["docker.io/train:1".to_owned()], Level::Traceable)]
#[case::by_tag_that_moved(&[("/trainer/image", json!("train:1"))], vec![image(DATA), image(OTHER)], Level::Traceable)]
#[case::one_content_under_two_names(&[], vec![image(DATA), format!("mirror.example/train@{DATA}")], Level::Pinned)]
#[case::no_code(&[("/source", Value::Null)], vec![], Level::Traceable)]
#[case::dirty(&[("/source/dirty", json!(true))], vec![], Level::Traceable)]
#[case::a_config_map(&[("/trainer/env", json!([{"name": "X", "configMapKeyRef": {"name": "a", "key": "b"}}]))], vec![], Level::Traceable)]
#[case::a_credential(&[("/trainer/env", json!([{"name": "X", "secretKeyRef": {"name": "a", "key": "b"}}]))], vec![], Level::Pinned)]
#[case::a_value_like_a_config_map(&[("/trainer/env", json!([{"name": "X", "value": "configmap/a/b"}]))], vec![], Level::Pinned)]
fn levels(#[case] changes: &[(&str, Value)], #[case] images: Vec<String>, #[case] level: Level) {
    let inputs = inputs::of(&spec(changes), None);
    assert_eq!(version::level(&inputs, &images), level);
    assert_eq!(version::can_be_pinned(&inputs, &images).is_ok(), level == Level::Pinned);
}

#[test]
fn a_name_is_one_for_one_content_from_one_set_of_inputs() {
    let name = |model, artifact, inputs| version::name(model, &digest(artifact), &digest(inputs));
    assert_eq!(name("wine", MODEL, DATA), name("wine", MODEL, DATA));
    assert_ne!(name("wine", MODEL, DATA), name("wine", MODEL, OTHER));
    assert_ne!(name("wine", MODEL, DATA), name("wine", OTHER, DATA));
    assert!(name(&"m".repeat(40), MODEL, DATA).len() <= 63);
}

#[test]
fn the_record_says_how_it_was_made() {
    let spec = spec(&[]);
    let inputs: Inputs = inputs::of(&spec, None);
    let at = |s| chrono::DateTime::from_timestamp(s, 0).unwrap();
    let attempt = Attempt {
        number: 3,
        job_uid: "j".to_owned(),
        created_at: at(100),
        running_at: Some(at(110)),
        ended_at: Some(at(200)),
        end: Some(AttemptEnd::Succeeded),
        message: None,
        images: vec![image(DATA)],
        resumed_from: Some("a2/step-5".to_owned()),
    };
    let artifact = ModelFiles {
        uri: "s3://m/x".to_owned(),
        digest: digest(MODEL),
        layout: Layout::File,
        size_bytes: 5,
        format: None,
    };
    let made = version::spec(Trained {
        run: "wine-7",
        uid: UID,
        model: "wine",
        storage: &spec.storage,
        inputs: inputs.clone(),
        artifact: artifact.clone(),
        attempt: &attempt,
        running_seconds: 250,
        builder: "https://serin.dev/operator@0.1.0",
        parent: Some("wine-1"),
    });
    assert_eq!((made.model.as_str(), made.origin, &made.artifact), ("wine", Origin::Trained, &artifact));
    assert_eq!(made.inputs_digest, Some(inputs::digest(&inputs)));
    assert_eq!(made.parent.as_deref(), Some("wine-1"));
    let build = made.build.unwrap();
    assert_eq!((build.build_type.as_str(), build.inputs), (version::BUILD_TYPE, inputs));
    assert_eq!((build.run.name.as_str(), build.run.attempt, build.run.running_seconds), ("wine-7", 3, 250));
    assert_eq!((build.run.started_at, build.run.finished_at), (at(110), at(200)));
    assert_eq!((build.run.images, build.run.resumed_from), (attempt.images, attempt.resumed_from));
}
