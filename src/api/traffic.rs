//! How requests reach the two versions.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Without either: one Service named like the `ModelDeployment`, and the share of pods decides (replica ratio).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.gateway) || !has(self.httpRoute)")
        .message("traffic has at most one of gateway and httpRoute: a route that Serin writes, or one of yours"),
)]
pub struct Traffic {
    /// Weights on an HTTPRoute of the Gateway API that Serin writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayTraffic>,
    /// Weights on an HTTPRoute of yours, in the same namespace. Nothing else in it is touched, but for the annotation
    /// `serin.dev/journal-NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRouteRef>,
}

impl Traffic {
    /// Whether requests are divided by weights on an HTTPRoute, whoever owns it.
    pub const fn by_route(&self) -> bool {
        self.gateway.is_some() || self.http_route.is_some()
    }
}

/// An HTTPRoute with one rule that has both Services, `NAME-a` and `NAME-b`, among its backends. Their weights add up to
/// 100 from then on.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub name: String,
    /// Name of the rule, where more than one has both Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub rule: Option<String>,
}

/// An HTTPRoute named like the `ModelDeployment`, attached to these parents.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GatewayTraffic {
    /// Gateways to attach to, 1 to 4.
    #[schemars(length(min = 1, max = 4), extend("x-kubernetes-list-type" = "atomic"))]
    pub parent_refs: Vec<ParentRef>,
    /// Host names the route answers to; empty: all of the listener's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub hostnames: Vec<String>,
    /// Requests that go to the candidate whatever its weight is, as soon as it has reached its first step, a preview
    /// included. Without a candidate they go where all go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub testers: Option<Testers>,
    /// Keeps each client at one version while two have traffic, by a cookie of the gateway's, where cluster and gateway can
    /// do that. A weight then moves new sessions only; the end of the trial moves all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
}

/// The cookie that keeps a session.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SessionPersistence {
    /// What the cookie's name begins with, `serin` if absent; the candidate's revision follows, so that each trial has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub session_name: Option<String>,
    /// How long a client keeps the cookie, at the most. If absent, until it ends, as browsers understand it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub absolute_timeout_seconds: Option<i32>,
}

/// Requests with this header.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Testers {
    /// Name of the header.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$"))]
    pub header: String,
    /// Its whole value.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[!-~]([ -~]*[!-~])?$"))]
    pub value: String,
}

/// A Gateway. Its listener must allow routes from our namespace; that is the Gateway owner's decision.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// Name of the Gateway.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub name: String,
    /// Its namespace; ours if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
    /// Listener; all of them if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}

/// Which of the two ways is in force.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TrafficMode {
    /// HTTPRoute weights.
    Gateway,
    /// One Service; the share of ready pods is the weight.
    #[default]
    ReplicaRatio,
}
