//! TrainingRun and ModelVersion.

use rstest::rstest;
use serde_json::{Value, json};
use serin_api::{ModelVersion, TrainingRun, validate};

use crate::support::{changed, full_of, read, with_of};

const DIGEST: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

fn run(object: Value) -> Result<(), String> {
    let run: TrainingRun = read(object);
    validate::training_run(run.metadata.name.as_deref().unwrap(), &run.spec)
}

fn version(object: Value) -> Result<(), String> {
    let version: ModelVersion = read(object);
    validate::model_version(version.metadata.name.as_deref().unwrap(), &version.spec)
}

fn line(result: Result<(), String>) -> String {
    let message = result.unwrap_err();
    assert!(!message.contains('\n') && message.len() < 600, "one line: {message}");
    message
}

#[test]
fn the_full_examples_are_taken() {
    assert_eq!(run(full_of("TrainingRun")), Ok(()));
    assert_eq!(version(full_of("ModelVersion")), Ok(()));
}

#[rstest]
#[case("/metadata/name", json!("a".repeat(52)))]
#[case("/spec/source", Value::Null)]
#[case("/spec/datasets", json!([]))]
#[case("/spec/output/uri", json!("s3://models/wine/"))]
#[case("/spec/parameters", json!({ "a.b": "1", "a-c": "2" }))]
#[case("/spec/trainer/minNodes", json!(4))]
#[case("/spec/evaluation/gate/metrics/0/minImprovement", json!("-0.01"))]
fn takes(#[case] pointer: &str, #[case] value: Value) {
    let unpinned = with_of("TrainingRun", "/spec/evaluation/gate/requireLevel", None);
    assert_eq!(run(changed(unpinned, pointer, Some(value))), Ok(()));
}

#[rstest]
#[case::long_name("/metadata/name", json!("a".repeat(53)), "longer than 52")]
#[case::dotted_name("/metadata/name", json!("wine.7"), "no DNS label")]
#[case::digit_first("/metadata/name", json!("7wine"), "no DNS label")]
#[case::long_model("/spec/model", json!("m".repeat(41)), "model")]
#[case::branch("/spec/source/commit", json!("main"), "source.commit \"main\" must be a full commit")]
#[case::relative_commit("/spec/source/commit", json!("HEAD~1"), "source.commit")]
#[case::short_commit("/spec/source/commit", json!("3f78685"), "source.commit")]
#[case::repo_by_http("/spec/source/repo", json!("http://git.example/x"), "source.repo")]
#[case::no_image("/spec/trainer/image", json!(""), "trainer.image")]
#[case::image_with_a_blank("/spec/trainer/image", json!("a b"), "trainer.image")]
#[case::no_command("/spec/trainer/command", json!([]), "trainer.command must name a program")]
#[case::ours("/spec/trainer/env/0/name", json!("SERIN_TASK"), "trainer.env: SERIN_TASK is reserved")]
#[case::torchruns("/spec/trainer/env/0/name", json!("PET_NNODES"), "trainer.env: PET_NNODES is reserved")]
#[case::elastics("/spec/trainer/env/0/name", json!("TORCHELASTIC_X"), "trainer.env: TORCHELASTIC_X is reserved")]
#[case::the_masters("/spec/trainer/env/0/name", json!("MASTER_ADDR"), "trainer.env: MASTER_ADDR is reserved")]
#[case::the_world("/spec/trainer/env/0/name", json!("WORLD_SIZE"), "trainer.env: WORLD_SIZE is reserved")]
#[case::env_twice("/spec/trainer/env/1/name", json!("OMP_NUM_THREADS"), "stands twice")]
#[case::no_nodes("/spec/trainer/nodes", json!(0), "trainer.nodes")]
#[case::many_processes("/spec/trainer/processesPerNode", json!(65), "trainer.processesPerNode")]
#[case::plain_gang("/spec/trainer/launcher", json!("Plain"), "Plain runs one pod")]
#[case::env_with_processes("/spec/trainer/launcher", json!("Env"), "one process a node")]
#[case::more_than_all("/spec/trainer/minNodes", json!(5), "trainer.minNodes")]
#[case::less_than_one("/spec/trainer/minNodes", json!(0), "trainer.minNodes")]
#[case::no_memory("/spec/trainer/sharedMemory", json!("0"), "trainer.sharedMemory")]
#[case::long_grace("/spec/trainer/terminationGracePeriodSeconds", json!(7201), "terminationGracePeriodSeconds")]
#[case::blank_parameter("/spec/parameters", json!({ "a b": "1" }), "parameters: \"a b\" is no name")]
#[case::long_parameter("/spec/parameters", json!({ "a".repeat(64): "1" }), "is no name")]
#[case::one_variable("/spec/parameters", json!({ "a-b": "1", "a.b": "2" }), "both SERIN_PARAM_A_B")]
#[case::large("/spec/parameters", json!((0..100).map(|i| (format!("p{i}"), json!("x".repeat(1000)))).collect::<serde_json::Map<_, _>>()), "give the rest as a dataset")]
#[case::long_seed("/spec/seed", json!("7".repeat(65)), "seed")]
#[case::dataset_twice("/spec/datasets/1/name", json!("train"), "datasets: train stands twice")]
#[case::dataset_as_path("/spec/datasets/0/name", json!("../x"), "datasets: \"../x\" is no name")]
#[case::dataset_with_parent("/spec/datasets/0/uri", json!("s3://data/../x"), "datasets train: uri")]
#[case::dataset_folder("/spec/datasets/0/uri", json!("s3://data/wine/"), "must name a file")]
#[case::dataset_elsewhere("/spec/datasets/0/uri", json!("ftp://data/wine"), "datasets train: uri")]
#[case::short_digest("/spec/datasets/0/digest", json!("sha256:2c26"), "datasets train: digest \"sha256:2c26\" must be sha256:")]
#[case::other_digest("/spec/datasets/0/digest", json!("md5:2c26"), "datasets train: digest")]
#[case::no_base("/spec/baseModel", json!({}), "baseModel must have exactly one")]
#[case::two_bases("/spec/baseModel/artifact", json!({ "uri": "s3://m/b", "digest": DIGEST }), "baseModel must have exactly one")]
#[case::base_digest("/spec/baseModel", json!({ "artifact": { "uri": "s3://m/b", "digest": "x" } }), "baseModel.artifact.digest")]
#[case::output_by_http("/spec/output/uri", json!("https://models/wine"), "nothing is written over HTTP")]
#[case::whole_bucket("/spec/output/uri", json!("s3://models"), "output.uri")]
#[case::output_with_parent("/spec/output/uri", json!("pvc://models/.."), "output.uri")]
#[case::checkpoints("/spec/checkpoints/uri", json!("s3://"), "checkpoints.uri")]
#[case::endpoint("/spec/storage/endpoint", json!("minio:9000"), "storage.endpoint")]
#[case::crashes("/spec/retries/crashes", json!(21), "retries.crashes")]
#[case::disruptions("/spec/retries/disruptions", json!(-1), "retries.disruptions")]
#[case::deadline("/spec/deadlineSeconds", json!(0), "deadlineSeconds")]
#[case::start("/spec/preRunningDeadlineSeconds", json!(9), "preRunningDeadlineSeconds")]
#[case::retention("/spec/retention/jobsSeconds", json!(-1), "retention.jobsSeconds")]
#[case::queue("/spec/queueName", json!("Gpus"), "queueName")]
#[case::replay("/spec/replayOf", json!("-x"), "replayOf")]
#[case::token("/spec/rerunToken", json!(""), "rerunToken")]
#[case::judge_without_command("/spec/evaluation/command", json!([]), "evaluation.command")]
#[case::judge_env("/spec/evaluation/env/0/name", json!("SERIN_RESULT"), "evaluation.env: SERIN_RESULT")]
#[case::judge_digest("/spec/evaluation/dataset/digest", json!("sha256:"), "evaluation.dataset.digest")]
#[case::judge_deadline("/spec/evaluation/deadlineSeconds", json!(9), "evaluation.deadlineSeconds")]
#[case::empty_gate("/spec/evaluation/gate/metrics", json!([]), "evaluation.gate.metrics is empty")]
#[case::metric_without_bound("/spec/evaluation/gate/metrics/0", json!({ "name": "acc" }), "metric acc must say what it has to reach")]
#[case::metric_twice("/spec/evaluation/gate/metrics/1/name", json!("accuracy"), "metric accuracy stands twice")]
#[case::no_decimal("/spec/evaluation/gate/metrics/0/min", json!("NaN"), "min \"NaN\" is no decimal number")]
#[case::exponent("/spec/evaluation/gate/metrics/0/min", json!("1e3"), "is no decimal number")]
#[case::half_a_decimal("/spec/evaluation/gate/metrics/0/minImprovement", json!("."), "is no decimal number")]
#[case::min_above_max("/spec/evaluation/gate/metrics/0/max", json!("0.5"), "no value can be at least 0.55 and at most 0.5")]
#[case::negative_regression("/spec/evaluation/gate/metrics/1/maxRegression", json!("-0.1"), "below zero")]
#[case::slice_without_bound("/spec/evaluation/gate/slices/0", json!({ "slice": "a", "metric": "b" }), "slice a, metric b must say")]
#[case::slice_twice("/spec/evaluation/gate/slices/1", json!({ "slice": "colour = red", "metric": "accuracy", "min": "0" }), "stands twice")]
#[case::nothing_absolute("/spec/evaluation/gate", json!({ "metrics": [{ "name": "acc", "minImprovement": "0" }] }), "RequireAbsolute needs a min or a max")]
#[case::unreachable_level("/spec/evaluation/gate/requireLevel", json!("Replayed"), "cannot be reached by a new version")]
#[case::pinned_by_tag("/spec/trainer/image", json!("wine-train:7"), "the tag in \"wine-train:7\" can move")]
#[case::pinned_without_code("/spec/source", Value::Null, "asks for source")]
#[case::pinned_and_dirty("/spec/source/dirty", json!(true), "asks for a clean source")]
#[case::pinned_by_config_map("/spec/trainer/env/0", json!({ "name": "X", "configMapKeyRef": { "name": "a", "key": "b" } }), "the one of X can change")]
fn refuses(#[case] pointer: &str, #[case] value: Value, #[case] says: &str) {
    let message = line(run(with_of("TrainingRun", pointer, Some(value))));
    assert!(message.contains(says), "{message}");
}

#[test]
fn a_hundred_and_twenty_nine_parameters_are_one_too_many() {
    let parameters =
        |n: usize| json!((0..n).map(|i| (format!("p{i}"), json!("1"))).collect::<serde_json::Map<_, _>>());
    assert_eq!(run(with_of("TrainingRun", "/spec/parameters", Some(parameters(128)))), Ok(()));
    assert!(
        line(run(with_of("TrainingRun", "/spec/parameters", Some(parameters(129))))).contains("129 entries")
    );
}

#[rstest]
#[case("/metadata/name", json!("v".repeat(64)), "the name")]
#[case("/metadata/name", json!("V1"), "the name")]
#[case("/spec/model", json!("Wine"), "model")]
#[case("/spec/artifact/uri", json!("s3://models/../x"), "artifact.uri")]
#[case("/spec/artifact/digest", json!("sha256:1"), "artifact.digest")]
#[case("/spec/artifact/sizeBytes", json!(-1), "artifact.sizeBytes")]
#[case("/spec/storage/endpoint", json!("x"), "storage.endpoint")]
#[case("/spec/inputsDigest", json!("x"), "inputsDigest")]
#[case("/spec/inputsDigest", Value::Null, "are missing")]
#[case("/spec/build", Value::Null, "are missing")]
#[case("/spec/origin", json!("Imported"), "Serin did not make it")]
#[case("/spec/parent", json!(""), "parent")]
fn refuses_versions(#[case] pointer: &str, #[case] value: Value, #[case] says: &str) {
    let message = line(version(with_of("ModelVersion", pointer, Some(value))));
    assert!(message.contains(says), "{message}");
}
