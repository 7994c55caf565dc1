//! A channel: the newest version of a model that may be served. Serin chooses it and says so in the status; the spec
//! never changes.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// The newest version of a model that passed its evaluation, is approved, and was neither revoked nor rolled back here.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    /// Name of the model: `spec.model` of the ModelVersions of this namespace.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub model: String,
    /// Auto (default): its evaluation is enough. Manual: a person approves each version first.
    #[serde(default)]
    pub approval: Approval,
}

/// Who lets a version into a channel.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Approval {
    /// Its evaluation.
    #[default]
    Auto,
    /// Also a person: `kubectl serin approve VERSION`.
    Manual,
}

/// What a channel leads to.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ChannelStatus {
    /// Name of the model.
    pub model: String,
    /// The version that is asked for; absent: none can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// When the version that serves was recorded: if its ModelVersion is deleted, only a newer one takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_recorded_at: Option<DateTime<Utc>>,
    /// Newer versions that are not asked for, and why; the 10 newest, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub passed_over: Vec<PassedOver>,
    /// What was rolled back here and is not tried again before somebody says so; the 50 newest, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub bars: Vec<Bar>,
}

/// A version that a channel does not lead to.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PassedOver {
    /// Name of the ModelVersion.
    pub version: String,
    /// Why.
    pub reason: Unserved,
    /// In words.
    pub message: String,
}

/// Why a channel does not lead to a version.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// Nobody judged it, or it did not pass.
    NotEvaluated,
    /// Nobody approved it, and the channel asks for that.
    NotApproved,
    /// A person revoked it.
    Revoked,
    /// It was rolled back here.
    Barred,
}

/// A digest that was rolled back in this ModelDeployment.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Bar {
    /// Name of the ModelVersion that was tried.
    pub version: String,
    /// Its digest; every version with this content is barred.
    pub digest: Digest,
    /// The revision that was rolled back: what `serin.dev/retry` names to lift the bar.
    pub revision: String,
    /// A [`crate::Reason`].
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// The same on the ModelVersion, where it outlives the ModelDeployment. A ModelDeployment of the same name that is made
/// later reads it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct VersionBar {
    /// Name of the ModelDeployment.
    pub deployment: String,
    /// The revision that was rolled back.
    pub revision: String,
    /// A [`crate::Reason`].
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}
