//! The container that serves the model. Curated fields instead of a whole PodSpec: the CRD stays small and a writer
//! of a `ModelDeployment` cannot reach for `hostPath`, `privileged` or the like.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::preset::{Preset, Profile};

/// The model server. The model file is at `$SERIN_MODEL_PATH` (`/mnt/models/model`) when the container starts.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.env) || !self.env.exists(e, e.name.startsWith('SERIN_'))")
        .message("env names that start with SERIN_ are reserved").field_path(".env"),
    validation = Rule::new("!has(self.preset) || !has(self.ports) || !has(self.ports.metrics) || (self.preset in ['Triton', 'TorchServe', 'MLServer', 'RayServe'] ? !has(self.ports.http) || self.ports.metrics != self.ports.http : has(self.ports.http) && self.ports.metrics == self.ports.http)")
        .message("ports.metrics contradicts the preset: Triton, TorchServe, MLServer and RayServe have a port for metrics, the others have them on the http port").field_path(".ports"),
)]
pub struct Server {
    /// The program in the image, if it is a known one: sets ports, probes, draining and what is measured, wherever the
    /// spec says nothing else. See docs/presets.md.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
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
    #[serde(default, skip_serializing_if = "Ports::is_empty")]
    pub ports: Ports,
    /// CPU, memory and devices.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Probes; without any, the preset's, or readiness is an HTTP GET of `/readyz` on the http port.
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
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Ports {
    /// Where requests go; the Services and the route lead here. Default 8080, or the preset's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub http: Option<i32>,
    /// Where Prometheus scrapes; the http port, or the preset's, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub metrics: Option<i32>,
    /// Path that Prometheus scrapes. Default `/metrics`, or the preset's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^/[!-~]*$"))]
    pub metrics_path: Option<String>,
}
impl Ports {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Server {
    /// What its preset says.
    fn profile(&self) -> Option<&'static Profile> {
        self.preset.map(Preset::profile)
    }
    /// Port of the requests.
    pub fn http_port(&self) -> i32 {
        self.ports.http.or(self.profile().map(|p| p.http)).unwrap_or(8080)
    }
    /// Port that Prometheus scrapes.
    pub fn metrics_port(&self) -> i32 {
        let preset = self.profile().and_then(|p| p.metrics);
        self.ports.metrics.or(preset).unwrap_or_else(|| self.http_port())
    }
    /// Path that Prometheus scrapes.
    pub fn metrics_path(&self) -> &str {
        let preset = self.profile().map(|p| p.metrics_path);
        self.ports.metrics_path.as_deref().or(preset).unwrap_or("/metrics")
    }
    /// Without a preset: names the ports that a spec leaves out, so that it does not matter whether it names them. A
    /// preset's are left out, as another version of Serin may know better ones.
    pub fn name_ports(&mut self) {
        if self.preset.is_none() {
            self.ports = Ports {
                http: Some(self.http_port()),
                metrics: self.ports.metrics,
                metrics_path: Some(self.metrics_path().to_owned()),
            };
        }
    }
    /// Probes: the spec's, else the preset's; without either, readiness at `/readyz`.
    pub fn probes(&self) -> Probes {
        let Probes { readiness, liveness, startup } = self.probes.clone();
        let Some(profile) = self.profile() else {
            let none = readiness.is_none() && liveness.is_none() && startup.is_none();
            return Probes {
                readiness: readiness.or_else(|| none.then(|| Probe::at("/readyz"))),
                liveness,
                startup,
            };
        };
        // Some servers compute an answer to a probe, and are busy.
        let patient = |path: &str, failures| Probe {
            timeout_seconds: 5,
            failure_threshold: failures,
            ..Probe::at(path)
        };
        Probes {
            readiness: Some(readiness.unwrap_or_else(|| patient(profile.readiness, 3))),
            liveness: Some(
                liveness.unwrap_or_else(|| Probe { period_seconds: 10, ..patient(profile.liveness, 6) }),
            ),
            // Until it has started nothing asks whether it is alive: a large model takes its time to load, which
            // `progressDeadlineSeconds` bounds.
            startup: Some(startup.unwrap_or_else(|| patient(profile.readiness, 3600))),
        }
    }
    /// Whether the program, told to end, breaks off what it has begun; its pods then wait first.
    pub fn breaks_off(&self) -> bool {
        self.profile().is_some_and(|p| p.breaks_off)
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
impl Probe {
    fn at(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            period_seconds: two(),
            timeout_seconds: one(),
            failure_threshold: three(),
        }
    }
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
