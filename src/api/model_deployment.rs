//! `ModelDeployment`: serve this model, and change it safely.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ModelDeploymentStatus,
    metrics::{self, Metric},
    model::ModelSource,
    rollout::Rollout,
    server::Server,
    traffic::Traffic,
};

/// What the user wants served. The spec belongs to the user (and to Git): Serin never writes it.
#[allow(clippy::duplicated_attributes, reason = "each printer column is an attribute of its own")]
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[kube(group = "serin.dev", version = "v1alpha1", kind = "ModelDeployment", namespaced)]
#[kube(status = "ModelDeploymentStatus", derive = "PartialEq", shortname = "mdeploy", category = "serin")]
#[kube(doc = "Serve this model, and change it safely.")]
#[kube(scale(
    spec_replicas_path = ".spec.replicas",
    status_replicas_path = ".status.replicas",
    label_selector_path = ".status.selector"
))]
#[kube(printcolumn(name = "Stable", type_ = "string", json_path = ".status.stable.version"))]
#[kube(printcolumn(name = "Candidate", type_ = "string", json_path = ".status.candidate.version"))]
#[kube(printcolumn(name = "Weight", type_ = "integer", json_path = ".status.candidate.weight"))]
#[kube(printcolumn(name = "Step", type_ = "string", json_path = ".status.candidate.step"))]
#[kube(printcolumn(name = "Verdict", type_ = "string", json_path = ".status.verdict"))]
#[kube(printcolumn(
    name = "Ready",
    type_ = "string",
    json_path = ".status.conditions[?(@.type=='Ready')].status"
))]
#[kube(printcolumn(
    name = "Reason",
    type_ = "string",
    json_path = ".status.conditions[?(@.type=='Progressing')].reason"
))]
#[kube(printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"))]
#[kube(printcolumn(
    name = "Revision",
    type_ = "string",
    priority = 1,
    json_path = ".status.stable.revision"
))]
#[kube(printcolumn(
    name = "Rejected",
    type_ = "string",
    priority = 1,
    json_path = ".status.lastFailed.version"
))]
#[kube(validation = Rule::new("self.metadata.name.size() <= 40").message("the name of a ModelDeployment has at most 40 characters"))]
#[kube(validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("the name of a ModelDeployment is a DNS label: lower-case letters, digits and '-', starting with a letter"))]
#[kube(validation = Rule::new("has(self.spec.traffic.httpRoute) == has(oldSelf.spec.traffic.httpRoute) && (!has(self.spec.traffic.httpRoute) || self.spec.traffic.httpRoute.name == oldSelf.spec.traffic.httpRoute.name)").message("traffic.httpRoute cannot be added, removed or renamed later: the route of before would go on with weights that nobody keeps. Make a second ModelDeployment and move the callers").field_path(".spec.traffic"))]
#[kube(validation = Rule::new("has(self.spec.traffic.gateway) == has(oldSelf.spec.traffic.gateway)").message("traffic.gateway cannot be added or removed later: who calls the one name would be cut off. Make a second ModelDeployment and move the callers").field_path(".spec.traffic"))]
#[kube(validation = Rule::new("self.spec.rollout.strategy != 'Shadow' || has(self.spec.traffic.gateway)").message("the strategy Shadow needs traffic.gateway: Serin writes the filter that copies requests only into a route of its own").field_path(".spec.rollout"))]
#[serde(rename_all = "camelCase")]
pub struct ModelDeploymentSpec {
    /// The model.
    pub model: ModelSource,
    /// The container that serves it.
    pub server: Server,
    /// Pods of the stable version, 0 to 1000. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
    /// How requests arrive.
    #[serde(default)]
    pub traffic: Traffic,
    /// How a new version takes over.
    #[serde(default)]
    pub rollout: Rollout,
    /// Readiness and draining.
    #[serde(default)]
    pub availability: Availability,
}

impl ModelDeploymentSpec {
    /// What is measured, every series named: by the spec, or by the server's preset.
    ///
    /// # Errors
    /// One line that says what to change, where the preset has nothing to offer.
    pub fn metrics(&self) -> Result<Vec<Metric>, String> {
        metrics::filled(self.server.preset, self.rollout.analysis.metrics.as_deref())
    }
}

fn one() -> i32 {
    1
}

/// When a pod counts as available, and how long one is kept after its traffic has gone.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Availability {
    /// Seconds that a pod must be ready to count as available. Default 0, which is taken as 2: a gateway hears of a new
    /// pod a moment after its Deployment does.
    #[serde(default)]
    #[schemars(range(min = 0, max = 3600))]
    pub min_ready_seconds: i32,
    /// Seconds between the last traffic to a revision and its removal; also the pods' time to finish what they have
    /// begun. Default 30.
    #[serde(default = "drain")]
    #[schemars(range(min = 0, max = 3600))]
    pub drain_seconds: i32,
    /// How many pods, of all versions together, may be missing while nodes are drained: a number, or a percentage that is
    /// rounded up, such as `25%`. Set, it makes a PodDisruptionBudget. Default: none is made, as a pod that two of them
    /// select cannot be evicted at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "pods_or_percent")]
    pub max_unavailable: Option<IntOrString>,
}
/// 0 is left out on purpose: no node could ever be drained.
pub(crate) fn pods_or_percent(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "x-kubernetes-int-or-string": true, "minimum": 1, "maximum": 1000, "maxLength": 4,
        "pattern": "^([1-9][0-9]?|100)%$", "nullable": true,
    })
}
fn drain() -> i32 {
    30
}
impl Default for Availability {
    fn default() -> Self {
        Self { min_ready_seconds: 0, drain_seconds: drain(), max_unavailable: None }
    }
}
