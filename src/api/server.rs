//! The container that serves the model. Curated fields instead of a whole PodSpec: the CRD stays small and a writer
//! of a `ModelDeployment` cannot reach for `hostPath`, `privileged` or the like.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The model server. The model file is at `$SERIN_MODEL_PATH` (`/mnt/models/model`) when the container starts.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.env) || !self.env.exists(e, e.name.startsWith('SERIN_'))")
        .message("env names that start with SERIN_ are reserved").field_path(".env"),
)]
pub struct Server {
    /// Image reference; name it by digest to make a rollout reproducible.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[A-Za-z0-9][!-~]*$"))]
    pub image: String,
    /// `Always`, `IfNotPresent` (default) or `Never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Overrides the image's entry point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub command: Vec<String>,
    /// Arguments; `$(NAME)` is replaced by the environment as Kubernetes does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub args: Vec<String>,
    /// Environment, at most 64 entries. Values only from the spec or from a Secret/ConfigMap key by reference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,
    /// Ports of the container.
    #[serde(default)]
    pub ports: Ports,
    /// CPU, memory and devices.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Probes; without any, readiness is an HTTP GET of `/readyz` on the http port.
    #[serde(default, skip_serializing_if = "Probes::is_empty")]
    pub probes: Probes,
    /// ServiceAccount of the pods; without it the namespace's default, with no token mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub service_account_name: Option<String>,
    /// Numeric user that the server runs as; then the pod also says `runAsNonRoot`, which namespaces of the `restricted`
    /// pod security level ask for. Absent: the image's own user, root included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub run_as_user: Option<i64>,
    /// Node labels the pods ask for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_map")]
    pub node_selector: BTreeMap<String, String>,
    /// Names of pull secrets in the same namespace; mounted by the kubelet, never read by Serin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub image_pull_secrets: Vec<String>,
}

/// When the kubelet pulls the image.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImagePullPolicy {
    /// Ask the registry at each start.
    Always,
    /// Pull once a node.
    IfNotPresent,
    /// Only images already on the node.
    Never,
}

/// One environment variable.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.value), has(self.secretKeyRef), has(self.configMapKeyRef)].filter(x, x).size() == 1")
        .message("an env entry has exactly one of value, secretKeyRef, configMapKeyRef"),
)]
pub struct EnvVar {
    /// Name; `SERIN_…` is reserved.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// The value as it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// A key of a Secret in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// A key of a ConfigMap in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
}

/// A key in a Secret or ConfigMap of the same namespace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct KeyRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Ports of the server's container.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Ports {
    /// Where requests go; the Services and the route lead here. Default 8080.
    #[serde(default = "http_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub http: i32,
    /// Where Prometheus scrapes; the http port if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub metrics: Option<i32>,
    /// Path that Prometheus scrapes. Default `/metrics`.
    #[serde(default = "metrics_path")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^/[!-~]*$"))]
    pub metrics_path: String,
}

fn http_port() -> i32 {
    8080
}
fn metrics_path() -> String {
    "/metrics".to_owned()
}
impl Default for Ports {
    fn default() -> Self {
        Self { http: http_port(), metrics: None, metrics_path: metrics_path() }
    }
}

/// Requests and limits as Kubernetes quantities.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// What the scheduler reserves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantity_map")]
    pub requests: BTreeMap<String, String>,
    /// What the kubelet enforces.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantity_map")]
    pub limits: BTreeMap<String, String>,
}
// The values of a map cannot be bounded by an attribute, and a string without a bound costs every CEL rule that reads it.
pub(crate) fn label_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": { "type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$" },
    })
}
fn quantity_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": { "type": "string", "maxLength": 32, "pattern": "^[+]?([0-9]+([.][0-9]*)?|[.][0-9]+)(m|k|[KMGTPE]i?)?$" },
    })
}

impl Resources {
    /// Nothing asked for.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.limits.is_empty()
    }
}

/// Probes by HTTP GET on the http port.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// May it receive traffic? Default `GET /readyz` every 2 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,
    /// Is it alive? Absent: not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
    /// Has it started? Give large models their time here. Absent: not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Probe>,
}
impl Probes {
    fn is_empty(&self) -> bool {
        self.readiness.is_none() && self.liveness.is_none() && self.startup.is_none()
    }
}

/// One HTTP probe.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Path of the GET.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^/[!-~]*$"))]
    pub path: String,
    /// Seconds between two probes. Default 2.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 3600))]
    pub period_seconds: i32,
    /// Seconds until one probe counts as failed. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 600))]
    pub timeout_seconds: i32,
    /// Failures in a row before it counts. Default 3.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 3600))]
    pub failure_threshold: i32,
}
fn one() -> i32 {
    1
}
fn two() -> i32 {
    2
}
fn three() -> i32 {
    3
}
