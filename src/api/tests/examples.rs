//! What people write is read, and nothing of it is lost.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

mod support;

use serde_json::{Value, json};
use serin_api::{
    Launcher, Level, ModelDeployment, ModelVersion, Origin, Retention, RetrainPolicy, Retries, Rollout,
    Traffic, TrainingRun, WhenNoChampion, validate,
};

#[test]
fn the_full_example_loses_nothing() {
    let written = support::full();
    let typed = support::typed(written.clone());
    assert_eq!(validate::spec(&typed.spec), Ok(()));
    assert_eq!(serde_json::to_value(&typed).unwrap(), written);
}

#[test]
fn the_smallest_example_gets_its_defaults() {
    let typed: ModelDeployment = serde_json::from_value(json!({
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": { "name": "wine" },
        "spec": {
            "model": { "artifact": {
                "uri": "pvc://models/v1",
                "digest": "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
            } },
            "server": { "image": "wine-server" },
        },
    }))
    .unwrap();
    assert_eq!(validate::spec(&typed.spec), Ok(()));
    assert_eq!(typed.spec.replicas, 1);
    assert_eq!(typed.spec.traffic, Traffic::default());
    assert_eq!(typed.spec.rollout, Rollout::default());
    assert_eq!(typed.spec.availability.drain_seconds, 30);
    assert_eq!(typed.spec.server.http_port(), 8080);
}

#[test]
fn an_explicit_null_is_an_absent_field() {
    // A CRD from before this one may have stored it.
    let typed = support::typed(support::with("/spec/model/version", Some(Value::Null)));
    assert_eq!(typed.spec.model.version, None);
}

#[test]
fn a_field_of_a_later_version_is_no_obstacle() {
    let typed = support::typed(support::with("/spec/fromTheFuture", Some(json!({ "x": 1 }))));
    assert_eq!(validate::spec(&typed.spec), Ok(()));
}

#[test]
fn the_full_run_policy_and_version_lose_nothing() {
    let written = support::full_of("TrainingRun");
    let run: TrainingRun = support::read(written.clone());
    assert_eq!(serde_json::to_value(&run).unwrap(), written);
    let written = support::full_of("RetrainPolicy");
    let policy: RetrainPolicy = support::read(written.clone());
    assert_eq!(serde_json::to_value(&policy).unwrap(), written);
    let written = support::full_of("ModelVersion");
    let version: ModelVersion = support::read(written.clone());
    assert_eq!(serde_json::to_value(&version).unwrap(), written);
}

const DIGEST: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

#[test]
fn the_smallest_run_gets_its_defaults() {
    let run: TrainingRun = support::read(json!({
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": { "name": "wine-1" },
        "spec": {
            "model": "wine",
            "trainer": { "image": "python", "command": ["python3", "-c", "print()"] },
            "output": { "uri": "pvc://models/wine" },
            "evaluation": {
                "image": "judge",
                "command": ["judge"],
                "dataset": { "name": "exam", "uri": "s3://data/exam.csv", "digest": DIGEST },
                "gate": { "metrics": [{ "name": "accuracy", "min": "0.5" }] },
            },
        },
    }));
    assert_eq!(validate::training_run("wine-1", &run.spec), Ok(()));
    assert_eq!((run.spec.trainer.nodes, run.spec.trainer.processes_per_node), (1, 1));
    assert_eq!(run.spec.trainer.launcher, Launcher::Plain);
    assert_eq!(run.spec.trainer.termination_grace_period_seconds, 120);
    assert_eq!((run.spec.retries, run.spec.retention), (Retries::default(), Retention::default()));
    assert_eq!((run.spec.retries.crashes, run.spec.retries.disruptions), (2, 10));
    assert_eq!((run.spec.deadline_seconds, run.spec.pre_running_deadline_seconds), (None, 1800));
    let evaluation = run.spec.evaluation.unwrap();
    assert_eq!(evaluation.deadline_seconds, 3600);
    assert_eq!(evaluation.gate.when_no_champion, WhenNoChampion::RequireAbsolute);
    assert_eq!(evaluation.gate.require_level, None);
}

#[test]
fn the_smallest_version_is_an_imported_one() {
    let version: ModelVersion = support::read(json!({
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": { "name": "wine-bought" },
        "spec": { "model": "wine", "origin": "Imported", "artifact": { "uri": "s3://models/wine/x", "digest": DIGEST } },
    }));
    assert_eq!(validate::model_version("wine-bought", &version.spec), Ok(()));
    assert_eq!(version.spec.origin, Origin::Imported);
    assert!(version.spec.artifact.layout.is_file());
}

#[test]
fn levels_are_in_order() {
    assert!(
        Level::Traceable < Level::Pinned
            && Level::Pinned < Level::Replayed
            && Level::Replayed < Level::Identical
    );
}
