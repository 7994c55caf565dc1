//! TrainingRuns to start from: quick ones, so that a whole life takes seconds.

use serde_json::{Value, json};
use serin_api::{ModelVersion, RetrainPolicy, TrainingRun};

use crate::fixtures::digest;

/// Name of the TrainingRun in most tests.
pub const RUN: &str = "fit";
/// Name of the RetrainPolicy in most tests.
pub const POLICY: &str = "again";
/// Where its data lies.
pub const MOVING: &str = "s3://data/latest.csv";
/// Image of the program that trains.
pub const TRAINER: &str = "serin.dev/trainer:1";
/// Image of the program that judges.
pub const JUDGE: &str = "serin.dev/judge:1";
/// Where models are published.
pub const STORE: &str = "s3://models/wine";

/// A run that trains `wine` in one pod and has it judged: accuracy must reach 0.5.
pub fn run() -> TrainingRun {
    let judged = json!({
        "image": JUDGE, "command": ["judge"],
        "dataset": {"name": "test", "uri": "s3://data/test.csv", "digest": digest("test")},
        "gate": {"metrics": [{"name": "accuracy", "min": "0.5"}]},
    });
    let mut run = unjudged();
    run.spec.evaluation = serde_json::from_value(judged).unwrap();
    run
}

/// The same without an evaluation: half the pods.
pub fn unjudged() -> TrainingRun {
    serde_json::from_value(json!({
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": RUN},
        "spec": {
            "model": "wine",
            "source": {"repo": "git+https://git.example/wine", "commit": "0123456789abcdef0123456789abcdef01234567"},
            "trainer": {"image": TRAINER, "command": ["fit"]},
            "datasets": [{"name": "train", "uri": "s3://data/train.csv", "digest": digest("train")}],
            "parameters": {"rounds": "10"},
            "seed": "7",
            "output": {"uri": STORE},
        },
    }))
    .unwrap()
}

/// A policy that trains `wine` on what lies at `s3://data/train.csv`, with these triggers and without any pauses.
pub fn policy(triggers: &Value) -> RetrainPolicy {
    let template = json!({
        "model": "wine", "trainer": {"image": TRAINER, "command": ["fit"]}, "output": {"uri": STORE},
    });
    serde_json::from_value(json!({
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "RetrainPolicy",
        "metadata": {"name": POLICY},
        "spec": {
            "triggers": triggers,
            "data": [{"name": "train", "uri": MOVING}],
            "template": template,
            "cooldownSeconds": 0,
            "settleSeconds": 0,
        },
    }))
    .unwrap()
}

/// A version of `wine` that a person declared.
pub fn imported(name: &str) -> ModelVersion {
    serde_json::from_value(json!({
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": name},
        "spec": {
            "model": "wine", "origin": "Imported",
            "artifact": {"uri": format!("https://models.example/{name}"), "digest": digest(name)},
        },
    }))
    .unwrap()
}

/// Changes of a TrainingRun, one after the other.
pub trait Vary: Sized {
    /// Under another name.
    #[must_use]
    fn called(self, name: &str) -> Self;
    /// With this seed: other inputs.
    #[must_use]
    fn seed(self, seed: &str) -> Self;
    /// With so many pods.
    #[must_use]
    fn nodes(self, nodes: i32) -> Self;
    /// With these budgets for crashes, disruptions, starts and evaluations.
    #[must_use]
    fn retries(self, crashes: i32, disruptions: i32, starts: i32, evaluations: i32) -> Self;
    /// With a gate of this form.
    #[must_use]
    fn gate(self, gate: Value) -> Self;
    /// With one field changed: `/trainer/image`.
    #[must_use]
    fn with(self, pointer: &str, value: Value) -> Self;
}

impl Vary for TrainingRun {
    fn called(mut self, name: &str) -> Self {
        self.metadata.name = Some(name.to_owned());
        self
    }
    fn seed(mut self, seed: &str) -> Self {
        self.spec.seed = Some(seed.to_owned());
        self
    }
    fn nodes(self, nodes: i32) -> Self {
        self.with("/trainer/nodes", json!(nodes)).with("/trainer/launcher", json!("Torchrun"))
    }
    fn retries(mut self, crashes: i32, disruptions: i32, starts: i32, evaluations: i32) -> Self {
        self.spec.retries = serin_api::Retries { crashes, disruptions, starts, evaluations };
        self
    }
    fn gate(self, gate: Value) -> Self {
        self.with("/evaluation/gate", gate)
    }
    fn with(self, pointer: &str, value: Value) -> Self {
        let mut object = serde_json::to_value(&self).unwrap();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(&format!("/spec{parent}")).unwrap()[field] = value;
        serde_json::from_value(object).unwrap()
    }
}
