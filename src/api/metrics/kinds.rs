//! The kinds of metrics: what is compared, and what difference is tolerated.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::series::{Counter, Failures, Gauge, Histogram, RequestCounter, Sum};

/// The error test: is the candidate's error rate more than `maxRatioPercent` of the stable's?
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.unacceptableRatioPercent > self.maxRatioPercent")
        .message("unacceptableRatioPercent must be above maxRatioPercent").field_path(".unacceptableRatioPercent"),
    validation = Rule::new("!has(self.requests) || !has(self.failures)")
        .message("errorRatio has at most one of requests, failures"),
    validation = Rule::new("!has(self.failures) || [has(self.failures.failed), has(self.failures.succeeded), has(self.failures.all)].filter(x, x).size() == 2")
        .message("failures has exactly two of failed, succeeded, all").field_path(".failures"),
)]
pub struct ErrorRatio {
    /// Tolerated: never rolled back for less. Percent of the stable's error rate, default 125.
    #[serde(default = "max_ratio")]
    #[schemars(range(min = 100, max = 1000))]
    pub max_ratio_percent: i32,
    /// Never promoted at or over this. Percent of the stable's error rate, default 200.
    #[serde(default = "unacceptable_ratio")]
    #[schemars(range(min = 101, max = 10000))]
    pub unacceptable_ratio_percent: i32,
    /// Error budget: surely below it is good enough whatever the ratio, and below a tenth of it nothing is rolled
    /// back. Permille of requests, default 10 (1 %); 0 switches it off.
    #[serde(default = "slo")]
    #[schemars(range(min = 0, max = 500))]
    pub slo_error_permille: i32,
    /// The counter that the server exports, with the status code as a label. Default: what the server's preset says, else
    /// `http_requests_total`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestCounter>,
    /// Instead of `requests`, where no label tells how a request ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<Failures>,
}
fn max_ratio() -> i32 {
    125
}
fn unacceptable_ratio() -> i32 {
    200
}
fn slo() -> i32 {
    10
}
impl Default for ErrorRatio {
    fn default() -> Self {
        Self {
            max_ratio_percent: max_ratio(),
            unacceptable_ratio_percent: unacceptable_ratio(),
            slo_error_permille: slo(),
            requests: None,
            failures: None,
        }
    }
}

/// The latency test: is the candidate slower by more than `maxIncreasePercent`? Requests over each edge of the histogram
/// are compared; no quantile is estimated. Requests of a pod's first minute, or its first 50, are left out.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.unacceptableIncreasePercent > self.maxIncreasePercent")
        .message("unacceptableIncreasePercent must be above maxIncreasePercent").field_path(".unacceptableIncreasePercent"),
)]
pub struct Latency {
    /// Tolerated slowdown: never rolled back for less. Percent, default 20.
    #[serde(default = "max_increase")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_increase_percent: i32,
    /// Never promoted with a slowdown of this or more. Percent, default 50.
    #[serde(default = "unacceptable_increase")]
    #[schemars(range(min = 2, max = 10000))]
    pub unacceptable_increase_percent: i32,
    /// The histogram that the server exports. Default: what the server's preset says, else
    /// `http_request_duration_seconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Histogram>,
}
fn max_increase() -> i32 {
    20
}
fn unacceptable_increase() -> i32 {
    50
}
impl Default for Latency {
    fn default() -> Self {
        Self {
            max_increase_percent: max_increase(),
            unacceptable_increase_percent: unacceptable_increase(),
            histogram: None,
        }
    }
}

/// The test on means: is the candidate's mean higher by more than `maxIncreasePercent`?
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.unacceptableIncreasePercent > self.maxIncreasePercent")
        .message("unacceptableIncreasePercent must be above maxIncreasePercent").field_path(".unacceptableIncreasePercent"),
)]
pub struct MeanLatency {
    /// As in `latency`, of the mean. Percent, default 20.
    #[serde(default = "max_increase")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_increase_percent: i32,
    /// As in `latency`, of the mean. Percent, default 50.
    #[serde(default = "unacceptable_increase")]
    #[schemars(range(min = 2, max = 10000))]
    pub unacceptable_increase_percent: i32,
    /// The sum and the count that the server exports. Default: what the server's preset says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<Sum>,
}
impl Default for MeanLatency {
    fn default() -> Self {
        Self {
            max_increase_percent: max_increase(),
            unacceptable_increase_percent: unacceptable_increase(),
            sum: None,
        }
    }
}

/// The error test on two counters, of which one counts a part of what the other counts.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.unacceptableRatioPercent > self.maxRatioPercent")
        .message("unacceptableRatioPercent must be above maxRatioPercent").field_path(".unacceptableRatioPercent"),
    validation = Rule::new("has(self.bad) != has(self.good)")
        .message("quality has exactly one of bad, good"),
)]
pub struct Quality {
    /// As in `errorRatio`, of the share of bad ones. Percent, default 125.
    #[serde(default = "max_ratio")]
    #[schemars(range(min = 100, max = 1000))]
    pub max_ratio_percent: i32,
    /// As in `errorRatio`. Percent, default 200.
    #[serde(default = "unacceptable_ratio")]
    #[schemars(range(min = 101, max = 10000))]
    pub unacceptable_ratio_percent: i32,
    /// As in `errorRatio`, of the share of bad ones. Permille; default 0, off.
    #[serde(default)]
    #[schemars(range(min = 0, max = 500))]
    pub slo_bad_permille: i32,
    /// Counter of all: labelled predictions, answers.
    pub all: Counter,
    /// Counter of the bad ones: wrong, rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad: Option<Counter>,
    /// Counter of the good ones: correct, accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Counter>,
}

/// The test on scores, by betting: is the candidate's score worse by more than `margin`? With counters, `quality` needs
/// far less time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    /// The gauge that the server exports.
    pub gauge: Gauge,
    /// Least possible score, as a Kubernetes quantity. Default 0.
    #[serde(default = "zero")]
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(m|k|[KMGTPE]i?)?$")
    )]
    pub min: String,
    /// Largest possible score. Default 1.
    #[serde(default = "one")]
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(m|k|[KMGTPE]i?)?$")
    )]
    pub max: String,
    /// Which way is better. Default `Higher`.
    #[serde(default)]
    pub better: Better,
    /// Tolerated: never rolled back for less. In the score's unit, default 0.01.
    #[serde(default = "margin")]
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(m|k|[KMGTPE]i?)?$")
    )]
    pub margin: String,
    /// Never promoted when worse by this. In the score's unit, default 0.05.
    #[serde(default = "unacceptable_margin")]
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(m|k|[KMGTPE]i?)?$")
    )]
    pub unacceptable_margin: String,
}
fn zero() -> String {
    "0".to_owned()
}
fn one() -> String {
    "1".to_owned()
}
fn margin() -> String {
    "0.01".to_owned()
}
fn unacceptable_margin() -> String {
    "0.05".to_owned()
}

/// Which way a score is better.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Better {
    /// More is better: accuracy, acceptance.
    #[default]
    Higher,
    /// Less is better: loss, drift.
    Lower,
}

/// A bound on a gauge of each candidate pod. Broken in three intervals in a row: rolled back.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.max) || has(self.min)").message("a threshold needs max or min"),
)]
pub struct Threshold {
    /// The gauge that the server exports.
    pub gauge: Gauge,
    /// Upper bound as a Kubernetes quantity: `2Gi`, `250m`, `0.3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(m|k|[KMGTPE]i?)?$")
    )]
    pub max: Option<String>,
    /// Lower bound, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(m|k|[KMGTPE]i?)?$")
    )]
    pub min: Option<String>,
}
