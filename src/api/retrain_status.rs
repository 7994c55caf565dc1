//! What Serin answers about a policy. Written only when something changes; a look that finds the same writes nothing.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Digest, RunResult};

/// Status of a `RetrainPolicy`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RetrainPolicyStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Stalled, Reconciling.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// In one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<PolicyPhase>,
    /// Each trigger of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub triggers: Vec<TriggerStatus>,
    /// A run that is to be started as soon as nothing holds it. More triggers do not make it more runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// Name of the run that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// Runs started so far.
    #[serde(default)]
    pub started: i32,
    /// The last 20 runs, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub runs: Vec<RunRecord>,
    /// Looks at the data begun so far.
    #[serde(default)]
    pub looks: i32,
    /// The look that is under way, or failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<Look>,
    /// When the data was last seen, whatever it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<DateTime<Utc>>,
    /// The data of the last run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub data: Vec<SeenData>,
    /// Hash of everything that the last run which came to a result was made from: the same again would come to the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<String>,
    /// When it was last found that nothing is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nothing_new_at: Option<DateTime<Utc>>,
    /// Runs up to this number do not count as ineffective any more: a person has looked since.
    #[serde(default)]
    pub forgiven: i32,
    /// Since when runs in a row that brought nothing better have stopped the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// The last `serin.dev/retrain` that was acted on; it is not acted on twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_retrain: Option<String>,
}

/// What a policy is doing.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyPhase {
    /// Nothing to do.
    Waiting,
    /// A run is to be started, and something holds it.
    Holding,
    /// The data is being looked at.
    Looking,
    /// A run goes on.
    Training,
    /// A person is needed.
    Stopped,
    /// `spec.suspend`.
    Suspended,
    /// The spec cannot be acted on.
    Invalid,
}

/// One trigger.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TriggerStatus {
    /// Its name in the spec.
    pub name: String,
    /// What it says.
    pub state: TriggerState,
    /// Since when it says so.
    pub since: DateTime<Utc>,
    /// When the clock comes to it next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<DateTime<Utc>>,
    /// Revision of the version that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// In words, as of `since`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What a trigger says.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerState {
    /// All is well.
    Quiet,
    /// Its bound is broken.
    Breached,
    /// It cannot be said: too few answers, no series, no Prometheus. Neither well nor a reason to train.
    Unknown,
}

/// A run that is to be started.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// Name of the trigger; `by-hand` for a person's word.
    pub trigger: String,
    /// What tells this occasion from the trigger's others: the name of the run is made from it.
    pub occasion: String,
    /// In words.
    pub message: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// A run of the policy.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// Name of the TrainingRun.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// From 1.
    pub number: i32,
    /// The trigger.
    pub trigger: String,
    /// In words.
    pub message: String,
    /// Hash of everything that it was made from.
    pub inputs: String,
    /// When it was made.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// How; absent in a run that somebody deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RunResult>,
    /// A [`crate::Reason`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The version that it led to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What came of the version in `deploymentRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
}

/// What came of a version in a deployment.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// It took over.
    Promoted,
    /// It was sent back.
    RolledBack,
}

/// A look at the data.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    /// From 1.
    pub number: i32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Looks in a row that failed, this one included if it did.
    #[serde(default)]
    pub failures: i32,
    /// When this one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<DateTime<Utc>>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What a file was when it was looked at.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SeenData {
    /// Name in `spec.data`.
    pub name: String,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// How many there were.
    pub bytes: i64,
}

/// Why nothing is started any more.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    /// Since when.
    pub at: DateTime<Utc>,
    /// Generation that was stopped: another one starts again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
}
