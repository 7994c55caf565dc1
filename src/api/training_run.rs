//! `TrainingRun`: train once, evaluate, and record a version.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    Artifact, Digest, EnvVar, Evaluation, Resources, Storage, TrainingRunStatus, server::ImagePullPolicy,
};

/// What is to be trained. Changes to a run that has begun are refused, but for `suspend` and `retention`: another
/// training is another run.
#[allow(clippy::duplicated_attributes, reason = "each printer column is an attribute of its own")]
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[kube(group = "serin.dev", version = "v1alpha1", kind = "TrainingRun", namespaced)]
#[kube(status = "TrainingRunStatus", derive = "PartialEq", shortname = "trun", category = "serin")]
#[kube(doc = "Train once, evaluate, and record a version.")]
#[kube(printcolumn(name = "Model", type_ = "string", json_path = ".spec.model"))]
#[kube(printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"))]
#[kube(printcolumn(name = "Attempt", type_ = "integer", json_path = ".status.attempt"))]
#[kube(printcolumn(name = "Version", type_ = "string", json_path = ".status.modelVersion"))]
#[kube(printcolumn(
    name = "Reason",
    type_ = "string",
    json_path = ".status.conditions[?(@.type=='Succeeded')].reason"
))]
#[kube(printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"))]
#[kube(validation = Rule::new("self.metadata.name.size() <= 52").message("the name of a TrainingRun has at most 52 characters: host names of its pods are built from it"))]
#[kube(validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("the name of a TrainingRun is a DNS label: lower-case letters, digits and '-', starting with a letter"))]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.model == oldSelf.model && self.trainer == oldSelf.trainer && self.output == oldSelf.output")
        .message("model, trainer and output of a run are not changed: make another run"),
    validation = Rule::new("has(self.evaluation) == has(oldSelf.evaluation) && (!has(self.evaluation) || self.evaluation == oldSelf.evaluation)")
        .message("evaluation is not changed once the run is there: make another run"),
    validation = Rule::new("has(self.datasets) == has(oldSelf.datasets) && (!has(self.datasets) || self.datasets == oldSelf.datasets)")
        .message("datasets are not changed once the run is there: make another run"),
    validation = Rule::new("has(self.parameters) == has(oldSelf.parameters) && (!has(self.parameters) || self.parameters == oldSelf.parameters)")
        .message("parameters are not changed once the run is there: make another run"),
    validation = Rule::new("has(self.managedBy) == has(oldSelf.managedBy) && (!has(self.managedBy) || self.managedBy == oldSelf.managedBy)")
        .message("managedBy is not changed once the run is there"),
    validation = Rule::new("!has(self.evaluation) || !has(self.evaluation.gate.requireLevel) || self.evaluation.gate.requireLevel == 'Traceable' || (has(self.source) && !(has(self.source.dirty) && self.source.dirty))")
        .message("evaluation.gate.requireLevel Pinned asks for source without changes that are in no commit").field_path(".source"),
    validation = Rule::new("!has(self.evaluation) || !has(self.evaluation.gate.requireLevel) || self.evaluation.gate.requireLevel == 'Traceable' || self.trainer.image.matches('@sha256:[0-9a-f]{64}$')")
        .message("evaluation.gate.requireLevel Pinned asks for trainer.image by digest: a tag can move").field_path(".trainer.image"),
    validation = Rule::new("!has(self.evaluation) || !has(self.evaluation.gate.requireLevel) || self.evaluation.gate.requireLevel == 'Traceable' || !has(self.trainer.env) || !self.trainer.env.exists(e, has(e.configMapKeyRef))")
        .message("evaluation.gate.requireLevel Pinned asks for trainer.env without ConfigMaps: they can change").field_path(".trainer.env"),
)]
pub struct TrainingRunSpec {
    /// Name of the model: versions are named `MODEL-HASH`.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub model: String,
    /// The code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The program.
    pub trainer: Trainer,
    /// For the program: a JSON file (`$SERIN_PARAMETERS`) and `$SERIN_PARAM_NAME` each. At most 128.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "parameter_map")]
    pub parameters: BTreeMap<String, String>,
    /// For the program: `$SERIN_SEED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub seed: Option<String>,
    /// Data, each one object named by content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub datasets: Vec<Dataset>,
    /// The model to start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_model: Option<BaseModel>,
    /// Where the model goes.
    pub output: Output,
    /// How pods reach the stores.
    #[serde(default, skip_serializing_if = "Storage::is_empty")]
    pub storage: Storage,
    /// How the model is judged; without it a version is recorded unjudged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
    /// How often it is tried again.
    #[serde(default)]
    pub retries: Retries,
    /// Seconds of running in all attempts together; time in a queue or suspended does not count. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub deadline_seconds: Option<i64>,
    /// Seconds from an attempt's admission until all of its pods run. Default 1800.
    #[serde(default = "pre_running")]
    #[schemars(range(min = 10, max = 604_800))]
    pub pre_running_deadline_seconds: i64,
    /// Where checkpoints go; without it an attempt starts from nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoints: Option<Output>,
    /// A Kueue LocalQueue of the namespace: Jobs are made suspended and with its label, and Kueue starts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub queue_name: Option<String>,
    /// Ends the present attempt and starts no other until it is taken away. No budget is spent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// Another controller's name: this one leaves the run alone (MultiKueue). Absent: `serin.dev/operator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub managed_by: Option<String>,
    /// A ModelVersion to train again from the same inputs; the outcome is written to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub replay_of: Option<String>,
    /// A word that makes a run of known inputs train nevertheless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub rerun_token: Option<String>,
    /// What is kept.
    #[serde(default)]
    pub retention: Retention,
}

fn pre_running() -> i64 {
    1800
}

/// Code, named by commit.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// `git+https://HOST/PATH`. A record: nothing is fetched from there.
    #[schemars(length(min = 8, max = 512), regex(pattern = r"^git\+(https|ssh)://[!-~]+$"))]
    pub repo: String,
    /// Full commit: 40 hexadecimal digits. No branch, no tag, no `HEAD~1`.
    #[schemars(length(min = 40, max = 40), regex(pattern = r"^[0-9a-f]{40}$"))]
    pub commit: String,
    /// Whether the working tree had changes that are in no commit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
}

/// The program that trains.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.env) || !self.env.exists(e, e.name.startsWith('SERIN_') || e.name.startsWith('PET_') || e.name.startsWith('TORCHELASTIC_') || e.name in ['MASTER_ADDR', 'MASTER_PORT', 'WORLD_SIZE', 'RANK', 'LOCAL_RANK', 'GROUP_RANK', 'LOCAL_WORLD_SIZE', 'JOB_COMPLETION_INDEX'])")
        .message("trainer.env: names that SERIN_, PET_ or TORCHELASTIC_ begins, MASTER_ADDR, MASTER_PORT, WORLD_SIZE, RANK and the like are set by Serin; rename them").field_path(".env"),
    validation = Rule::new("self.launcher != 'Plain' || self.nodes == 1")
        .message("trainer.launcher Plain runs one pod: for more nodes choose Torchrun or Env").field_path(".launcher"),
    validation = Rule::new("self.launcher != 'Env' || self.processesPerNode == 1")
        .message("trainer.launcher Env sets RANK and WORLD_SIZE for one process a node: with more processes choose Torchrun").field_path(".launcher"),
    validation = Rule::new("!has(self.minNodes) || (self.launcher == 'Torchrun' && self.minNodes <= self.nodes)")
        .message("trainer.minNodes makes Torchrun elastic: it needs launcher Torchrun and is at most nodes").field_path(".minNodes"),
)]
pub struct Trainer {
    /// Image; by digest to make the version `Pinned`.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[A-Za-z0-9][!-~]*$"))]
    pub image: String,
    /// `Always`, `IfNotPresent` (default) or `Never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// The program: it runs below the agent, so that the image's own entry point does not count.
    #[schemars(length(min = 1, max = 32), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub command: Vec<String>,
    /// Its arguments; `$(NAME)` is replaced by the environment as Kubernetes does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub args: Vec<String>,
    /// Environment, at most 64 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,
    /// CPU, memory and devices of each pod.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Pods. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub nodes: i32,
    /// Torchrun may go on with this few pods (c10d rendezvous). Absent: all of them, always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_nodes: Option<i32>,
    /// Processes in each pod. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    pub processes_per_node: i32,
    /// How the pods find each other. Default Plain.
    #[serde(default)]
    pub launcher: Launcher,
    /// ServiceAccount of the pods; without it the namespace's default, with no token mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub service_account_name: Option<String>,
    /// Numeric user of the program; then the pod also says `runAsNonRoot`. Absent: the image's own user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub run_as_user: Option<i64>,
    /// Node labels the pods ask for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::server::label_map")]
    pub node_selector: BTreeMap<String, String>,
    /// Names of pull secrets in the same namespace; used by the kubelet, never read by Serin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub image_pull_secrets: Vec<String>,
    /// Seconds between SIGTERM and SIGKILL: time to write a last checkpoint. Default 120.
    #[serde(default = "grace")]
    #[schemars(range(min = 1, max = 7200))]
    pub termination_grace_period_seconds: i64,
    /// Size of `/dev/shm`, as a quantity; NCCL and data loaders need more than the 64 MiB of a runtime. Absent: the
    /// runtime's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[0-9]+(k|[KMGT]i?)?$"))]
    pub shared_memory: Option<String>,
}

fn one() -> i32 {
    1
}
fn grace() -> i64 {
    120
}

/// How the pods of an attempt find each other.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Launcher {
    /// One pod, nothing to find.
    #[default]
    Plain,
    /// `torchrun` reads `PET_…`.
    Torchrun,
    /// `env://`: MASTER_ADDR, MASTER_PORT, WORLD_SIZE, RANK.
    Env,
}

/// Data, one object named by content.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("['http://', 'https://', 's3://', 'gs://', 'az://', 'pvc://'].exists(p, self.uri.startsWith(p))")
        .message("uri must start with https://, http://, s3://, gs://, az:// or pvc://").field_path(".uri"),
    validation = Rule::new("!self.uri.contains('/../') && !self.uri.endsWith('/..')")
        .message("uri must not contain '..' as a path segment").field_path(".uri"),
    validation = Rule::new("self.uri.startsWith('http') || self.uri.matches('^[a-z0-9]+://[^/]+/[^/].*$')")
        .message("uri names a bucket, container or claim, and something in it: s3://BUCKET/KEY, pvc://CLAIM/PATH").field_path(".uri"),
    validation = Rule::new("!self.uri.endsWith('/')")
        .message("uri names a file, not a folder").field_path(".uri"),
)]
pub struct Dataset {
    /// Folder name below `$SERIN_DATA_DIR`.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$"))]
    pub name: String,
    /// Where it is.
    #[schemars(length(min = 8, max = 1024), regex(pattern = r"^[a-z0-9]+://[!-~]+$"))]
    pub uri: String,
    /// `sha256:` and 64 hexadecimal digits: the SHA-256 of the file's bytes.
    #[schemars(length(min = 71, max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Digest,
}

/// The model to start from. Exactly one of the two.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.versionRef) != has(self.artifact)")
        .message("baseModel has exactly one of versionRef and artifact"),
)]
pub struct BaseModel {
    /// A ModelVersion of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub version_ref: Option<String>,
    /// A file or folder named by content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
}

/// A folder in a store or a claim.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("['s3://', 'gs://', 'az://', 'pvc://'].exists(p, self.uri.startsWith(p))")
        .message("uri must start with s3://, gs://, az:// or pvc://").field_path(".uri"),
    validation = Rule::new("!self.uri.contains('/../') && !self.uri.endsWith('/..')")
        .message("uri must not contain '..' as a path segment").field_path(".uri"),
    validation = Rule::new("self.uri.startsWith('http') || self.uri.matches('^[a-z0-9]+://[^/]+/[^/].*$')")
        .message("uri names a bucket, container or claim, and something in it: s3://BUCKET/KEY, pvc://CLAIM/PATH").field_path(".uri"),
)]
pub struct Output {
    /// `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX` or `pvc://CLAIM/PATH`.
    #[schemars(length(min = 6, max = 768), regex(pattern = r"^[a-z0-9]+://[!-~]+$"))]
    pub uri: String,
}

/// How often a run is tried again, by what ended the attempt.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Retries {
    /// After a crash of the program. Default 2.
    #[serde(default = "two")]
    #[schemars(range(min = 0, max = 20))]
    pub crashes: i32,
    /// After a disruption: eviction, preemption, a lost node. Default 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 0, max = 50))]
    pub disruptions: i32,
    /// After an attempt whose pods did not all run in time. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 20))]
    pub starts: i32,
    /// Of the evaluation, whatever ended it but its own word. Default 2.
    #[serde(default = "two")]
    #[schemars(range(min = 0, max = 20))]
    pub evaluations: i32,
}
fn two() -> i32 {
    2
}
fn ten() -> i32 {
    10
}
impl Default for Retries {
    fn default() -> Self {
        Self { crashes: two(), disruptions: ten(), starts: one(), evaluations: two() }
    }
}

/// What is kept of a run that has ended. The run itself is never deleted: in Git it would come back and train again.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Seconds that Jobs and their pods (with their logs) stay after the end. Default 3600.
    #[serde(default = "hour")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub jobs_seconds: i64,
}
fn hour() -> i64 {
    3600
}
impl Default for Retention {
    fn default() -> Self {
        Self { jobs_seconds: hour() }
    }
}

// The values of a map cannot be bounded by an attribute.
fn parameter_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 128,
        "additionalProperties": { "type": "string", "maxLength": 1024 },
    })
}
