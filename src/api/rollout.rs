//! How a new version takes over.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::Analysis;

/// The rollout of a new revision.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.strategy == 'Canary' || !has(self.steps) || self.steps.size() == 0")
        .message("steps are for the strategy Canary; remove them, or the other strategy").field_path(".steps"),
    validation = Rule::new("!has(self.steps) || self.steps.all(s, s.weight > 0)")
        .message("the weight of a step is at least 1").field_path(".steps"),
    validation = Rule::new("self.strategy == 'BlueGreen' || !has(self.blueGreen)")
        .message("blueGreen is for the strategy BlueGreen").field_path(".blueGreen"),
    validation = Rule::new("self.strategy == 'Shadow' || !has(self.shadow)")
        .message("shadow is for the strategy Shadow").field_path(".shadow"),
    validation = Rule::new("!has(self.steps) || self.steps.all(s, !has(s.mirrorPercent))")
        .message("mirrorPercent of a step is for the status: shadow.mirrorPercent is yours").field_path(".steps"),
    validation = Rule::new("self.strategy == 'Canary' || !has(self.maxSurge)")
        .message("maxSurge is for the strategy Canary: BlueGreen and Shadow have a second set of pods, Recreate has none").field_path(".maxSurge"),
    validation = Rule::new("self.strategy == 'Canary' || self.whenUnschedulable != 'MakeRoom'")
        .message("whenUnschedulable: MakeRoom is for the strategy Canary: BlueGreen and Shadow have a second set of pods, Recreate makes room anyway").field_path(".whenUnschedulable"),
    validation = Rule::new("!has(self.minAvailable) || self.whenUnschedulable == 'MakeRoom'")
        .message("minAvailable is for whenUnschedulable: MakeRoom").field_path(".minAvailable"),
)]
// Strictly rising, without an index: in such a list as many steps weigh no more than a step as stand up to it. An equal
// pair breaks it too. Both lists are bounded, so the estimated cost is (20 steps)² comparisons.
#[x_kube(
    validation = Rule::new("!has(self.steps) || self.steps.all(s, self.steps.filter(t, t.weight <= s.weight).size() == self.steps.indexOf(s) + 1)")
        .message("steps must go up: each weight above the one before it").field_path(".steps"),
)]
pub struct Rollout {
    /// `Canary`: part of the traffic first, more as evidence allows. `BlueGreen`: all pods first, then all traffic at
    /// once. `Recreate`: the old pods go before the new ones come; for what there is no second of, such as a GPU. `Shadow`:
    /// copies of requests, whose answers nobody gets, then all traffic at once.
    #[serde(default)]
    pub strategy: Strategy,
    /// Only with `BlueGreen`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
    /// Only with `Shadow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
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
    /// Seconds until a candidate that is not available is given up, without those that it waits for a node. Default 600.
    #[serde(default = "progress_deadline")]
    #[schemars(range(min = 10, max = 86400))]
    pub progress_deadline_seconds: i32,
    /// Limits of their own for what keeps pods from starting.
    #[serde(default)]
    pub deadlines: Deadlines,
    /// How many pods both versions together may have above `replicas` during a rollout: a number, or a percentage of them
    /// that is rounded up, such as `25%`. The stable version then gives its pods up as its traffic goes, and gets them back
    /// before its traffic comes back. Only with `Canary`. Default: a second set of pods, and none is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::model_deployment::pods_or_percent")]
    pub max_surge: Option<IntOrString>,
    /// What follows when no node has had room for pods of the candidate for `deadlines.unschedulableSeconds`. `Wait`: it is
    /// given up, or held if it has traffic. `MakeRoom`: the stable version gives up a pod for it, and another one each
    /// time, down to `minAvailable`; on the way back it gets them again. Only with `Canary`.
    #[serde(default)]
    pub when_unschedulable: WhenUnschedulable,
    /// With `MakeRoom`: pods of both versions together that a rollout leaves, a number, or a percentage of `replicas` that
    /// is rounded up. Default: one less than `replicas`. At least one stays in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::model_deployment::pods_or_percent")]
    pub min_available: Option<IntOrString>,
}

/// What follows when no node has room for the candidate's pods.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WhenUnschedulable {
    /// Nothing is taken from the stable version.
    #[default]
    Wait,
    /// The stable version gives up pods, one by one.
    MakeRoom,
}

/// What a candidate without traffic is given up for, and when. Each counts from when it was first seen, as
/// `status.candidate.waiting` says. A first version, with nothing to go back to, is said to be stuck and tried on.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Deadlines {
    /// Seconds that no node takes its pods. `progressDeadlineSeconds` does not run meanwhile. Default 600.
    #[serde(default = "unschedulable")]
    #[schemars(range(min = 10, max = 604_800))]
    pub unschedulable_seconds: i32,
    /// Seconds that its image cannot be pulled. A large image that is being pulled is no failure. Default 120.
    #[serde(default = "image_pull")]
    #[schemars(range(min = 10, max = 86400))]
    pub image_pull_seconds: i32,
    /// Restarts of a container that crashes again and again, after which it is given up at once, also with traffic.
    /// Default 3.
    #[serde(default = "crash_loop")]
    #[schemars(range(min = 1, max = 100))]
    pub crash_loop_restarts: i32,
}
fn unschedulable() -> i32 {
    600
}
fn image_pull() -> i32 {
    120
}
fn crash_loop() -> i32 {
    3
}
impl Default for Deadlines {
    fn default() -> Self {
        Self {
            unschedulable_seconds: unschedulable(),
            image_pull_seconds: image_pull(),
            crash_loop_restarts: crash_loop(),
        }
    }
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
            blue_green: None,
            shadow: None,
            steps: Vec::new(),
            paused: false,
            rollback_window: 0,
            analysis: Analysis::default(),
            progress_deadline_seconds: progress_deadline(),
            deadlines: Deadlines::default(),
            max_surge: None,
            when_unschedulable: WhenUnschedulable::Wait,
            min_available: None,
        }
    }
}

/// How the new revision is tried.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Strategy {
    /// A rising share of the traffic.
    #[default]
    Canary,
    /// All pods without traffic, then all the traffic at once.
    BlueGreen,
    /// The old pods go before the new ones come: an outage as long as a start, and no second set of pods.
    Recreate,
    /// Copies of the stable version's requests, whose answers nobody gets, then all the traffic at once.
    Shadow,
}

/// How a candidate is tried without a user who gets its answers. Each request that is copied is done twice: a model that
/// writes somewhere, calls others or costs money by the request does so twice, too.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Shadow {
    /// Percent of the requests that are copied, 1 to 100. Default 100; the gateway needs the feature
    /// `HTTPRouteRequestMirror` for that, and for less `HTTPRouteRequestPercentageMirror`.
    #[serde(default = "all")]
    #[schemars(range(min = 1, max = 100))]
    pub mirror_percent: i32,
    /// Seconds that copies are sent at least, counted from when the route says so. Default 60.
    #[serde(default = "hold")]
    #[schemars(range(min = 0, max = 86400))]
    pub hold_seconds: i32,
    /// Who lets it take over. Default `ByHand`.
    #[serde(default)]
    pub promotion: Promotion,
}
fn all() -> i32 {
    100
}
impl Default for Shadow {
    fn default() -> Self {
        Self { mirror_percent: all(), hold_seconds: hold(), promotion: Promotion::ByHand }
    }
}

/// Who lets a shadow take over. Evidence against it sends it back in either case.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Promotion {
    /// A person, with `kubectl serin promote`.
    #[default]
    ByHand,
    /// The comparison with the stable version, once it suffices.
    OnEvidence,
}

/// What happens between the new pods and their traffic. Each version has a Service of its own (the status says which),
/// for testers; what its metrics tell there can send it back.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BlueGreen {
    /// Seconds that all new pods are available before the switch. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86400))]
    pub preview_seconds: i32,
    /// Whether the switch needs nobody; else a person says `kubectl serin skip`. Default true.
    #[serde(default = "yes")]
    pub auto_promote: bool,
}
fn yes() -> bool {
    true
}
impl Default for BlueGreen {
    fn default() -> Self {
        Self { preview_seconds: 0, auto_promote: true }
    }
}

/// One weight and how long it is held at least.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Percent of the traffic, 1 to 100; 0 only in the status, of a preview or a shadow.
    #[schemars(range(min = 0, max = 100))]
    pub weight: i32,
    /// Seconds at this weight at least, counted from when the route says it is in force. Default 60.
    #[serde(default = "hold")]
    #[schemars(range(min = 0, max = 86400))]
    pub hold_seconds: i32,
    /// Then wait until a person goes on, with `kubectl serin skip`. Evidence against the candidate still sends it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pause: bool,
    /// Only in the status, of a shadow: percent of the requests that it gets copies of.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 100))]
    pub mirror_percent: i32,
}
impl Step {
    /// Percent of the requests that reach the candidate, copies or not. 0: it is previewed.
    pub const fn load(&self) -> i32 {
        if self.mirror_percent > 0 { self.mirror_percent } else { self.weight }
    }
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
