//! `ModelVersion`: the immutable record of what was trained from what.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Dataset, Digest, EvaluationRecord, Launcher, Layout, Level, Outcome, Source, Storage, VersionBar,
};

/// A version. `spec` never changes; what happens to the version later is in `status`. Not owned by its run: it outlives
/// it. A version trained by Serin is named `MODEL-HASH`; `Imported` ones are applied by people and may be named freely.
#[allow(clippy::duplicated_attributes, reason = "each printer column is an attribute of its own")]
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[kube(group = "serin.dev", version = "v1alpha1", kind = "ModelVersion", namespaced)]
#[kube(status = "ModelVersionStatus", derive = "PartialEq", shortname = "mver", category = "serin")]
#[kube(doc = "The immutable record of what was trained from what.")]
#[kube(printcolumn(name = "Model", type_ = "string", json_path = ".spec.model"))]
#[kube(printcolumn(name = "Origin", type_ = "string", json_path = ".spec.origin"))]
#[kube(printcolumn(name = "Level", type_ = "string", json_path = ".status.level"))]
#[kube(printcolumn(
    name = "Evaluated",
    type_ = "string",
    json_path = ".status.conditions[?(@.type=='Evaluated')].status"
))]
#[kube(printcolumn(
    name = "Revoked",
    type_ = "string",
    json_path = ".status.conditions[?(@.type=='Revoked')].status"
))]
#[kube(printcolumn(name = "Serving", type_ = "string", json_path = ".status.deployments[*].name"))]
#[kube(printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"))]
#[kube(printcolumn(name = "Digest", type_ = "string", priority = 1, json_path = ".spec.artifact.digest"))]
#[kube(printcolumn(name = "Run", type_ = "string", priority = 1, json_path = ".spec.build.run.name"))]
#[kube(validation = Rule::new("self.spec == oldSelf.spec").message("the spec of a ModelVersion never changes: make another version").field_path(".spec"))]
#[kube(validation = Rule::new("self.metadata.name.size() <= 63").message("the name of a ModelVersion has at most 63 characters: it is a label value"))]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.origin == 'Imported' || (has(self.build) && has(self.inputsDigest))")
        .message("a version that was trained says how: build and inputsDigest are missing").field_path(".build"),
    validation = Rule::new("self.origin == 'Trained' || (!has(self.build) && !has(self.inputsDigest))")
        .message("an imported version has no build and no inputsDigest: Serin did not make it").field_path(".build"),
)]
pub struct ModelVersionSpec {
    /// Name of the model.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub model: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The model itself.
    pub artifact: ModelFiles,
    /// How pods reach the store that the artifact lies in.
    #[serde(default, skip_serializing_if = "Storage::is_empty")]
    pub storage: Storage,
    /// SHA-256 of the canonical JSON of `build.inputs`; trained versions only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 71, max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub inputs_digest: Option<Digest>,
    /// How it was made; trained versions only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// The champion when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub parent: Option<String>,
}

/// Where a version comes from.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// By a TrainingRun. Only Serin makes these.
    Trained,
    /// Declared by a person.
    Imported,
}

/// The files of a model, named by content.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("['http://', 'https://', 's3://', 'gs://', 'az://', 'pvc://'].exists(p, self.uri.startsWith(p))")
        .message("uri must start with https://, http://, s3://, gs://, az:// or pvc://").field_path(".uri"),
    validation = Rule::new("!self.uri.contains('/../') && !self.uri.endsWith('/..')")
        .message("uri must not contain '..' as a path segment").field_path(".uri"),
    validation = Rule::new("self.uri.startsWith('http') || self.uri.matches('^[a-z0-9]+://[^/]+/[^/].*$')")
        .message("uri names a bucket, container or claim, and something in it: s3://BUCKET/KEY, pvc://CLAIM/PATH").field_path(".uri"),
)]
pub struct ModelFiles {
    /// The file, or the manifest of a folder.
    #[schemars(length(min = 8, max = 1024), regex(pattern = r"^[a-z0-9]+://[!-~]+$"))]
    pub uri: String,
    /// SHA-256 of what `uri` names.
    #[schemars(length(min = 71, max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Digest,
    /// One file, or a folder with a manifest. Default File.
    #[serde(default)]
    pub layout: Layout,
    /// Bytes of all files; 0: not known.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_125_899_906_842_624_i64))]
    pub size_bytes: i64,
    /// A word for the format: `safetensors`, `onnx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub format: Option<String>,
}

/// How a version was made: the fields of SLSA provenance v1 (<https://slsa.dev/spec/v1.1/provenance>).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Build {
    /// SLSA `buildType`.
    #[schemars(length(max = 253))]
    pub build_type: String,
    /// Everything the model was made of.
    pub inputs: Inputs,
    /// The run.
    pub run: BuildRun,
    /// SLSA `builder.id`: operator and version.
    #[schemars(length(max = 253))]
    pub builder: String,
}

/// Everything a model is made of: SLSA's `externalParameters` and `resolvedDependencies`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Inputs {
    /// The code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Source>,
    /// The image as the run names it.
    #[schemars(length(max = 512))]
    pub image: String,
    /// Program and arguments.
    #[schemars(length(max = 96), extend("x-kubernetes-list-type" = "atomic"))]
    pub command: Vec<String>,
    /// Environment of the program: values as given, references by name (`secret/NAME/KEY`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub datasets: Vec<Dataset>,
    /// Digest of the model it started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_model: Option<BaseInput>,
    /// Parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
    /// Pods.
    pub nodes: i32,
    /// Processes in each.
    pub processes_per_node: i32,
    /// How they found each other.
    pub launcher: Launcher,
}

/// The model that a training started from.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BaseInput {
    /// Name of the ModelVersion, if it was named so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its digest.
    pub digest: Digest,
}

/// The run that made a version.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BuildRun {
    /// Name of the TrainingRun.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Its UID.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// The attempt.
    pub attempt: i32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// Image as the kubelet resolved it, of all ranks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub images: Vec<String>,
    /// Checkpoint that it went on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub resumed_from: Option<String>,
    /// Seconds of running, of all attempts together.
    pub running_seconds: i64,
}

/// What happened to a version after it was made. Lists only grow, up to their bound.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ModelVersionStatus {
    /// Evaluated, Revoked, InUse, Ready; Stalled once it is revoked.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How well it can be made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Judgements, at most 20, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub evaluations: Vec<EvaluationRecord>,
    /// Trainings again from the same inputs, at most 20, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub replays: Vec<Replay>,
    /// Who serves it now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["uid"]))]
    pub deployments: Vec<Serving>,
    /// What came of it live, at most 20, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub outcomes: Vec<LiveOutcome>,
    /// ModelDeployments that rolled it back: their channels do not lead to it again. At most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["deployment"]))]
    pub bars: Vec<VersionBar>,
}

/// A training again from the same inputs.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// Name of the TrainingRun.
    pub run: String,
    /// Its UID.
    pub uid: String,
    /// What came of it.
    pub outcome: ReplayOutcome,
    /// In words.
    pub message: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// What came of a replay.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// The same bytes.
    Identical,
    /// Other bytes; the gate let them through.
    WithinTolerance,
    /// The gate did not let it through.
    Different,
}

/// A deployment that serves a version.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Serving {
    /// Name of the ModelDeployment.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// As what.
    pub role: Role,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// As what a version is served.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It serves.
    Stable,
    /// It is being tried.
    Candidate,
}

/// What came of a version in one deployment.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LiveOutcome {
    /// Name of the ModelDeployment.
    pub deployment: String,
    /// Its UID.
    pub uid: String,
    /// Revision of the deployment.
    pub revision: String,
    /// How it ended.
    pub result: Outcome,
    /// A [`crate::Reason`].
    pub reason: String,
    /// With numbers.
    pub message: String,
    /// When.
    pub at: DateTime<Utc>,
}
