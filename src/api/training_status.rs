//! What Serin answers about a training.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ModelFiles;

/// Status of a `TrainingRun`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TrainingRunStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Succeeded, Running, Evaluated, Reconciling, Stalled.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// In one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RunPhase>,
    /// Hash of everything in the spec that makes the run what it is; a spec that no longer has it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_hash: Option<String>,
    /// SHA-256 of the canonical JSON of all inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs_digest: Option<String>,
    /// Number of the last attempt; 0: none yet.
    #[serde(default)]
    pub attempt: i32,
    /// The last 20 attempts, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["number"]))]
    pub attempts: Vec<Attempt>,
    /// What was spent of the budgets.
    #[serde(default)]
    pub spent: Spent,
    /// What the training published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<RunOutput>,
    /// The judgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<EvaluationStatus>,
    /// The version that was recorded, or found to be there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_version: Option<String>,
    /// How it ended. Once set it is never changed, whatever happens to the Jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<Completion>,
}

/// A run in one word.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunPhase {
    /// In a queue, or waiting for something the reason names.
    Waiting,
    /// Pods are starting.
    Starting,
    /// All pods run.
    Running,
    /// An attempt ended, the next one is to come.
    Retrying,
    /// Suspended by `spec.suspend`.
    Suspended,
    /// The model is being judged.
    Evaluating,
    /// A version is there.
    Succeeded,
    /// It has ended without one.
    Failed,
}

/// Budgets spent so far.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Spent {
    /// Attempts that crashed.
    #[serde(default)]
    pub crashes: i32,
    /// Attempts that were disrupted or lost.
    #[serde(default)]
    pub disruptions: i32,
    /// Attempts that did not start in time.
    #[serde(default)]
    pub starts: i32,
    /// Seconds of running so far, without the stretch that goes on.
    #[serde(default)]
    pub running_seconds: i64,
}

/// One attempt: one Job.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// From 1.
    pub number: i32,
    /// UID of its Job.
    pub job_uid: String,
    /// When the Job was made.
    pub created_at: DateTime<Utc>,
    /// When all of its pods ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<AttemptEnd>,
    /// In words: what the first failing rank said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Image as the kubelet resolved it, of all ranks; more than one is a broken tag.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub images: Vec<String>,
    /// Checkpoint that it went on from, as the agent says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<String>,
}

/// How an attempt ended.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// It published a model.
    Succeeded,
    /// The program crashed: budget `crashes`.
    Crashed,
    /// Evicted, preempted, node lost, Job deleted by somebody: budget `disruptions`.
    Disrupted,
    /// The program said that trying again is no use (exit code 40 to 49).
    Fatal,
    /// Inputs are not what the run says they are, or must not be read.
    InputsRefused,
    /// It ended well and published nothing.
    NoOutput,
    /// The time was up.
    DeadlineExceeded,
    /// Its pods did not all run in time: budget `starts`.
    NeverStarted,
    /// `spec.suspend`. Spends nothing.
    Suspended,
    /// It ended well, and its result cannot be read or does not belong to it: budget `crashes`.
    ResultInvalid,
}

/// What the training published.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RunOutput {
    /// The model.
    #[serde(flatten)]
    pub model: ModelFiles,
    /// The attempt that published it; 0: taken over from a version with the same inputs.
    pub attempt: i32,
}

/// The judgement of a model.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EvaluationStatus {
    /// Number of the evaluation, from 1.
    pub number: i32,
    /// What its result must repeat.
    pub nonce: String,
    /// With what it is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion: Option<Champion>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// UID of its Job, once that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_uid: Option<String>,
    /// The last failure of an evaluation before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// The first valid result; frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<EvaluationRecord>,
}

/// The version that a candidate is compared with.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Champion {
    /// Name of the ModelVersion.
    pub version: String,
    /// Its files.
    #[serde(flatten)]
    pub model: ModelFiles,
}

/// A valid result and what the gate said of it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EvaluationRecord {
    /// Whether the gate let it through.
    pub passed: bool,
    /// What was wrong, or what was reached, in words and numbers.
    pub message: String,
    /// Hash of the run's `spec.evaluation`: an equal one has been answered already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_hash: Option<String>,
    /// Digest of the data.
    pub eval_set_digest: String,
    /// Image of the evaluation, as the kubelet resolved it.
    pub evaluator_image: String,
    /// Champion's digest, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion_digest: Option<String>,
    /// Name of the champion's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion: Option<String>,
    /// What was measured.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub metrics: Vec<MeasuredMetric>,
    /// The full report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportRef>,
    /// When.
    pub at: DateTime<Utc>,
}

/// One measured value. Numbers as text: floats have no place in an API object.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MeasuredMetric {
    /// Name.
    pub name: String,
    /// Part of the data; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<String>,
    /// Of the candidate.
    pub candidate: String,
    /// Of the champion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion: Option<String>,
}

/// A report by address and content.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ReportRef {
    /// Where.
    pub uri: String,
    /// SHA-256.
    pub digest: String,
}

/// How a run ended.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    /// In one word.
    pub result: RunResult,
    /// A [`crate::Reason`].
    pub reason: String,
    /// In words.
    pub message: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// How a run ended, in one word.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunResult {
    /// It trained, and a version was recorded.
    Succeeded,
    /// A version with the same inputs is there already; nothing was trained.
    Reused,
    /// It ended without a version.
    Failed,
}
