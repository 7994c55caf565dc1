//! How a trained model is judged before it becomes a version.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Dataset, EnvVar, Resources, server::ImagePullPolicy};

/// A Job of its own, with its own image and data: the trainer does not grade itself.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.env) || !self.env.exists(e, e.name.startsWith('SERIN_'))")
        .message("evaluation.env: names that start with SERIN_ are reserved").field_path(".env"),
)]
pub struct Evaluation {
    /// Image.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[A-Za-z0-9][!-~]*$"))]
    pub image: String,
    /// `Always`, `IfNotPresent` (default) or `Never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// The program: it finds the candidate in `$SERIN_CANDIDATE_DIR`, the champion (if there is one) in
    /// `$SERIN_CHAMPION_DIR`, the data in `$SERIN_DATA_DIR`, and writes what it measured to `$SERIN_RESULT`.
    #[schemars(length(min = 1, max = 32), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub command: Vec<String>,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub args: Vec<String>,
    /// Environment, at most 64 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,
    /// CPU, memory and devices.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Numeric user of the program; then the pod also says `runAsNonRoot`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub run_as_user: Option<i64>,
    /// The data that both models are measured on.
    pub dataset: Dataset,
    /// Seconds that one evaluation may take, waiting for a node included. Default 3600.
    #[serde(default = "hour")]
    #[schemars(range(min = 10, max = 604_800))]
    pub deadline_seconds: i64,
    /// With what the new model is compared. Absent: the version that a ModelDeployment of this namespace serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub champion: Option<String>,
    /// What it must reach.
    pub gate: Gate,
}

fn hour() -> i64 {
    3600
}

/// Conditions of which each must hold. What is missing, stale or no number fails.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.whenNoChampion != 'RequireAbsolute' || self.metrics.exists(m, has(m.min) || has(m.max)) || (has(self.slices) && self.slices.exists(s, has(s.min) || has(s.max)))")
        .message("whenNoChampion RequireAbsolute needs a min or a max, or the first version would pass unjudged; add one, or choose Reject"),
    validation = Rule::new("!has(self.requireLevel) || self.requireLevel in ['Traceable', 'Pinned']")
        .message("requireLevel Replayed and Identical cannot be reached by a new version: ask for Pinned, and replay it with replayOf").field_path(".requireLevel"),
    validation = Rule::new("!has(self.slices) || self.slices.all(a, self.slices.exists_one(b, a.slice == b.slice && a.metric == b.metric))")
        .message("a metric of a slice stands twice").field_path(".slices"),
)]
pub struct Gate {
    /// On all of the data.
    #[schemars(length(min = 1, max = 12), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub metrics: Vec<GateMetric>,
    /// On parts of the data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12), extend("x-kubernetes-list-type" = "atomic"))]
    pub slices: Vec<GateSlice>,
    /// What happens while nothing serves that it could be compared with. Default RequireAbsolute.
    #[serde(default)]
    pub when_no_champion: WhenNoChampion,
    /// Least level of reproducibility. Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_level: Option<Level>,
}

/// One metric and what it must reach. At least one of min, max, minImprovement, maxRegression.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.min) || has(self.max) || has(self.minImprovement) || has(self.maxRegression)")
        .message("a metric of a gate says what it must reach: min, max, minImprovement or maxRegression"),
    validation = Rule::new("!has(self.maxRegression) || !self.maxRegression.startsWith('-')")
        .message("maxRegression is not below zero; what must be better is asked for with minImprovement").field_path(".maxRegression"),
)]
pub struct GateMetric {
    /// Name, as the evaluation reports it.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9._@-]*[A-Za-z0-9])?$"))]
    pub name: String,
    /// What is better. Default Higher.
    #[serde(default)]
    pub direction: Direction,
    /// Least value, a decimal number: `"0.55"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "decimal")]
    pub min: Option<String>,
    /// Greatest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "decimal")]
    pub max: Option<String>,
    /// The candidate must be better than the champion by more than this. With confidence intervals their near ends are
    /// compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "decimal")]
    pub min_improvement: Option<String>,
    /// The candidate may be worse than the champion by at most this (a guard).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "decimal")]
    pub max_regression: Option<String>,
}

/// A floor or ceiling on a part of the data.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.min) || has(self.max) || has(self.maxRegression)")
        .message("a slice of a gate says what it must reach: min, max or maxRegression"),
    validation = Rule::new("!has(self.maxRegression) || !self.maxRegression.startsWith('-')")
        .message("maxRegression is not below zero; what must be better is asked for with minImprovement").field_path(".maxRegression"),
)]
pub struct GateSlice {
    /// Name of the part, as the evaluation reports it.
    #[schemars(length(min = 1, max = 40))]
    pub slice: String,
    /// Name of the metric.
    #[schemars(length(min = 1, max = 40))]
    pub metric: String,
    /// What is better. Default Higher.
    #[serde(default)]
    pub direction: Direction,
    /// Least value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "decimal")]
    pub min: Option<String>,
    /// Greatest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "decimal")]
    pub max: Option<String>,
    /// The candidate may be worse than the champion by at most this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "decimal")]
    pub max_regression: Option<String>,
}

/// What is better.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// More.
    #[default]
    Higher,
    /// Less.
    Lower,
}

/// What happens while there is no champion.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenNoChampion {
    /// `min` and `max` must hold; there must be at least one of them.
    #[default]
    RequireAbsolute,
    /// Nothing passes.
    Reject,
}

/// How well a version can be made again; each includes those before it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What it was made of is written down.
    Traceable,
    /// Every input is named by content, and every rank ran the same image.
    Pinned,
    /// It was trained again, and the gate's metrics came out within tolerance.
    Replayed,
    /// It was trained again, and the same bytes came out.
    Identical,
}

/// A decimal number as text: floats have no place in an API object.
fn decimal(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "maxLength": 24, "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?$" })
}
