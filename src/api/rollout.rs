//! How a new version takes over.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::Analysis;

/// The rollout of a new revision.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
// Strictly rising, without an index: in such a list as many steps weigh no more than a step as stand up to it. An equal
// pair breaks it too. Both lists are bounded, so the estimated cost is (20 steps)² comparisons.
#[x_kube(
    validation = Rule::new("!has(self.steps) || self.steps.all(s, self.steps.filter(t, t.weight <= s.weight).size() == self.steps.indexOf(s) + 1)")
        .message("steps must go up: each weight above the one before it").field_path(".steps"),
)]
pub struct Rollout {
    /// `Canary`: part of the traffic first, more as evidence allows.
    #[serde(default)]
    pub strategy: Strategy,
    /// Weights to go through, rising. Absent: an adaptive ramp that takes its first weight from the traffic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub steps: Vec<Step>,
    /// Holds the weight where it is, before the first step, too. Evidence against the candidate still sends it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Of the last so many versions that served, each comes back without steps: as soon as its pods are there it takes
    /// over. Default 0: every change is tried.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 10))]
    pub rollback_window: i32,
    /// What decides.
    #[serde(default)]
    pub analysis: Analysis,
    /// Seconds until a candidate that is not available is given up. Default 600.
    #[serde(default = "progress_deadline")]
    #[schemars(range(min = 10, max = 86400))]
    pub progress_deadline_seconds: i32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(n: &i32) -> bool {
    *n == 0
}

fn progress_deadline() -> i32 {
    600
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            strategy: Strategy::Canary,
            steps: Vec::new(),
            paused: false,
            rollback_window: 0,
            analysis: Analysis::default(),
            progress_deadline_seconds: progress_deadline(),
        }
    }
}

/// How the new revision is tried.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Strategy {
    /// A rising share of the traffic.
    #[default]
    Canary,
}

/// One weight and how long it is held at least.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Percent of the traffic, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// Seconds at this weight at least, counted from when the route says it is in force. Default 60.
    #[serde(default = "hold")]
    #[schemars(range(min = 0, max = 86400))]
    pub hold_seconds: i32,
    /// Then wait until a person goes on, with `kubectl serin skip`. Evidence against the candidate still sends it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pause: bool,
}
fn hold() -> i32 {
    60
}

/// What happens at the horizon without a verdict.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnHorizon {
    /// Keep the weight and say so; a person decides.
    #[default]
    Hold,
    /// Promote if nothing speaks against it (rollback evidence below 3).
    Promote,
    /// Back to the stable version.
    Rollback,
}

/// What happens when metrics stay away. Never a promotion.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnNoData {
    /// Keep the weight and say so.
    #[default]
    Hold,
    /// Back to the stable version after `noDataTimeoutSeconds`.
    Rollback,
}
