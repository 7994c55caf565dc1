//! What Serin answers. Written only when it changes, and never by the clock alone.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ChannelStatus, ResolvedModel, Server, rollout::Step, traffic::TrafficMode};

/// Status of a `ModelDeployment`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ModelDeploymentStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Progressing, Stalled, Reconciling, MetricsAvailable, ArtifactVerified, Revoked.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// What serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<Stable>,
    /// What served before: `kubectl serin undo` asks for it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Stable>,
    /// What is being tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// The last rejected revision and why; it is not tried again until the spec changes or a retry is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failed: Option<LastFailed>,
    /// The last 10 outcomes, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub history: Vec<HistoryEntry>,
    /// The last `serin.dev/retry` that was acted on; it is not acted on twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_retry: Option<String>,
    /// The last `serin.dev/promote` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_promote: Option<String>,
    /// The last `serin.dev/abort` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_abort: Option<String>,
    /// The last `serin.dev/skip` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_skip: Option<String>,
    /// The verdict in one word: of the candidate, or of the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// How traffic is divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficStatus>,
    /// What `model.channel` leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelStatus>,
    /// Defaults that were filled in by a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// Pods of the stable version (for the scale subresource).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Selector of all our pods (for the scale subresource).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
}

/// Everything that makes up a revision: change any of it and new pods are needed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RevisionSpec {
    /// The model.
    pub model: ResolvedModel,
    /// The server.
    pub server: Server,
    /// `availability.minReadySeconds` when the revision was made.
    pub min_ready_seconds: i32,
    /// `availability.drainSeconds` when the revision was made.
    pub drain_seconds: i32,
}

/// One of the two Services of a `ModelDeployment`. A revision keeps its slot for life, so that promotion and rollback
/// are weights, never selectors.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}
impl Candidate {
    /// Percent of the stable version's requests that it gets copies of now.
    pub fn mirror_percent(&self) -> i32 {
        self.weights.last().map_or(0, |last| last.mirror_percent)
    }
}

impl Slot {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
    /// Label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

/// The revision that serves.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Stable {
    /// Hash of the revision's fields, such as `r1-5f3a9c21d0`.
    pub revision: String,
    /// Word for people: `model.version`, or the digest's first 12 digits.
    pub version: String,
    /// The model's digest.
    pub digest: String,
    /// Its Service.
    pub slot: Slot,
    /// What it is made of: while the spec in Git already holds another version, this is the only record from which a
    /// lost Deployment of the stable version can be made again.
    #[schemars(schema_with = "open_object")]
    pub spec: RevisionSpec,
}

/// The revision that is being tried.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// Hash of the revision's fields.
    pub revision: String,
    /// Word for people.
    pub version: String,
    /// The model's digest.
    pub digest: String,
    /// Its Service.
    pub slot: Slot,
    /// What it is made of: the spec in Git may hold another version by the time this one has to take over.
    #[schemars(schema_with = "open_object")]
    pub spec: RevisionSpec,
    /// What it is doing.
    pub phase: Phase,
    /// Percent of the traffic that the route has confirmed.
    pub weight: i32,
    /// `2/4`: the step and how many there are.
    pub step: String,
    /// The step as a number; 0: no traffic yet.
    pub step_index: i32,
    /// When the candidate appeared, or when it last began anew to become available.
    pub started_at: DateTime<Utc>,
    /// What keeps its pods from starting now, if that has a deadline of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Seconds since `startedAt` that it waited for a node before; its time to become available is longer by them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited_seconds: i32,
    /// How many pods of both versions fit, as was seen when no node took some of them for too long
    /// (`rollout.whenUnschedulable: MakeRoom`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fits: Option<i32>,
    /// When the present weight was confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// When it first had traffic: the analysis looks at samples from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis_from: Option<DateTime<Utc>>,
    /// The weights that it had since then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub weights: Vec<WeightRecord>,
    /// Evidence at the last step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub evidence: Vec<MetricEvidence>,
    /// Why it takes over as soon as its pods can, without further evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_over: Option<TakesOver>,
    /// The step that a person wants left behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped_step: Option<i32>,
    /// Why it is losing its traffic (phase `Retreating` only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retreat: Option<Retreat>,
}

/// What a candidate waits for. Written when it begins and when it changes, so that an operator that starts again goes on
/// counting.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// What it waits for.
    pub reason: WaitingReason,
    /// When that was first seen.
    pub since: DateTime<Utc>,
}

/// See [`Waiting`]. Each is a [`crate::Reason`], too.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingReason {
    /// No node takes its pods: `rollout.deadlines.unschedulableSeconds`.
    Unschedulable,
    /// Its image cannot be pulled: `rollout.deadlines.imagePullSeconds`.
    ImagePull,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(n: &i32) -> bool {
    *n == 0
}

/// Why a candidate takes over without evidence.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakesOver {
    /// A person wants it.
    ByHand,
    /// It served before, within `rollout.rollbackWindow`.
    ServedBefore,
}

/// A weight and when the route confirmed it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WeightRecord {
    /// Percent of the traffic.
    pub weight: i32,
    /// Of a shadow: percent of the stable version's requests that it got copies of.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mirror_percent: i32,
    /// When it was in force.
    pub at: DateTime<Utc>,
}

impl WeightRecord {
    /// Percent of the requests that reached it, copies or not.
    pub const fn load(&self) -> i32 {
        if self.mirror_percent > 0 { self.mirror_percent } else { self.weight }
    }
    /// Whether it had any requests, copies included.
    pub const fn has_requests(&self) -> bool {
        self.load() > 0
    }
}

/// What a candidate is doing.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its pods are starting; no traffic.
    Starting,
    /// It has traffic and is judged.
    Canary,
    /// Its traffic is being taken away.
    Retreating,
}

/// Why a candidate loses its traffic. Written before the weight is, so that a restart finishes what was decided.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Retreat {
    /// A [`crate::Reason`].
    pub reason: String,
    /// In words.
    pub message: String,
    /// Whether the revision is to be refused from now on (a bad one is; a superseded one is not).
    pub reject: bool,
    /// How fast.
    #[serde(default, skip_serializing_if = "Pace::is_at_once")]
    pub pace: Pace,
}

/// How fast a candidate loses its traffic.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Pace {
    /// The stable version has its pods.
    #[default]
    AtOnce,
    /// It has given some up for the candidate: as they come back.
    AsPodsComeBack,
}
impl Pace {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
    fn is_at_once(&self) -> bool {
        *self == Self::AtOnce
    }
}

/// A rejected revision.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LastFailed {
    /// Hash of the revision's fields.
    pub revision: String,
    /// Word for people.
    pub version: String,
    /// The model's digest.
    pub digest: String,
    /// A [`crate::Reason`].
    pub reason: String,
    /// In words, with numbers.
    pub message: String,
    /// What the verdict rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub evidence: Vec<MetricEvidence>,
    /// When.
    pub at: DateTime<Utc>,
}

/// How a revision ended.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first one; nothing to compare with.
    Deployed,
    /// It took over.
    Promoted,
    /// It was rejected.
    RolledBack,
    /// Another spec came before its verdict.
    Superseded,
}

/// One line of history.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Hash of the revision's fields.
    pub revision: String,
    /// Word for people.
    pub version: String,
    /// The model's digest.
    pub digest: String,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub at: DateTime<Utc>,
    /// How it was tried, if it had traffic beside another revision: with it the decision can be judged again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
}

/// What a candidate was compared with, and how much traffic it had when.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// Revision of the stable version.
    pub against: String,
    /// When the candidate first had traffic.
    pub from: DateTime<Utc>,
    /// Its weights from then on.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub weights: Vec<WeightRecord>,
}

/// One metric's evidence when the status was written. Numbers as text: floats have no place in an API object.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MetricEvidence {
    /// Name of the metric.
    pub metric: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// log10 of the evidence that the candidate is worse than allowed; 2.0 is 100 to 1.
    pub log10_e: String,
    /// What is estimated, in words: `2.10 % errors, stable 0.44 % (4.8x)`.
    pub estimate: String,
    /// Requests of the candidate that were looked at; for a score or a threshold, blocks of evidence.
    pub samples: i64,
    /// Requests of the candidate still needed for a promotion at the present rates, where that can be computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<i64>,
}

/// A verdict, in one word.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Good enough to promote.
    Pass,
    /// Worse than allowed.
    Fail,
    /// Not yet decided.
    Undecided,
    /// Nothing to decide on.
    NoData,
    /// The candidate does not get the share of the requests that its weight says: no comparison means what it seems to.
    Inconclusive,
    /// Prometheus did not answer usefully.
    ProviderError,
    /// The last candidate was promoted.
    Promoted,
    /// The last candidate was rolled back.
    RolledBack,
}

/// Traffic as confirmed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TrafficStatus {
    /// How it is divided.
    pub mode: TrafficMode,
    /// Replica ratio only: the closest weight that this many pods can express.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reachable_weight: Option<i32>,
    /// Name of the user's HTTPRoute that has the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Somebody else sets the weights of that route back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contested: Option<Contested>,
}

/// How often weights that were set back were written again, and when last: the more often, the longer the next wait.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Contested {
    /// How often, one soon after the other.
    pub count: i32,
    /// When last.
    pub at: DateTime<Utc>,
}

/// What a decision filled in.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// The steps in force: the spec's, or those of the adaptive ramp.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub steps: Vec<Step>,
    /// By replica ratio: the closest weight to each step's that so many pods can express, where one differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub reachable: Vec<i32>,
}

fn open_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
