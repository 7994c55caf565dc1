//! What is measured, and what counts as worse. Names of series and labels are data: they are matched against a
//! pattern here and quoted when a query is built. There is no query language in this API.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rollout::{OnHorizon, OnNoData};

/// What decides about a candidate.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.metrics) || self.metrics.exists(m, has(m.errorRatio))")
        .message("metrics needs an errorRatio: a threshold alone cannot promote").field_path(".metrics"),
)]
pub struct Analysis {
    /// 1 to 8 metrics; all must pass for a promotion. Default: one `errorRatio` over `http_requests_total`.
    #[serde(default = "default_metrics")]
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub metrics: Vec<Metric>,
    /// Length of one block of evidence in seconds; at least the scrape interval. Default 15.
    #[serde(default = "interval")]
    #[schemars(range(min = 1, max = 300))]
    pub interval_seconds: i32,
    /// Chance, in permille, that a candidate no worse than allowed is rolled back, over the whole rollout. Default 10.
    #[serde(default = "rollback_budget")]
    #[schemars(range(min = 1, max = 100))]
    pub false_rollback_budget_permille: i32,
    /// Chance, in permille, that a candidate at the unacceptable ratio is promoted on evidence. Default 50.
    #[serde(default = "promotion_budget")]
    #[schemars(range(min = 1, max = 200))]
    pub false_promotion_budget_permille: i32,
    /// Seconds of analysis after which `onHorizon` decides. Default 1800.
    #[serde(default = "horizon")]
    #[schemars(range(min = 10, max = 86400))]
    pub horizon_seconds: i32,
    /// What happens then. Default `Hold`.
    #[serde(default)]
    pub on_horizon: OnHorizon,
    /// What happens when metrics stay away. Default `Hold`.
    #[serde(default)]
    pub on_no_data: OnNoData,
    /// Seconds without data until `onNoData` counts. Default 600.
    #[serde(default = "no_data_timeout")]
    #[schemars(range(min = 10, max = 86400))]
    pub no_data_timeout_seconds: i32,
}

fn interval() -> i32 {
    15
}
fn rollback_budget() -> i32 {
    10
}
fn promotion_budget() -> i32 {
    50
}
fn horizon() -> i32 {
    1800
}
fn no_data_timeout() -> i32 {
    600
}
fn default_metrics() -> Vec<Metric> {
    vec![Metric { name: "errors".to_owned(), error_ratio: Some(ErrorRatio::default()), threshold: None }]
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            metrics: default_metrics(),
            interval_seconds: interval(),
            false_rollback_budget_permille: rollback_budget(),
            false_promotion_budget_permille: promotion_budget(),
            horizon_seconds: horizon(),
            on_horizon: OnHorizon::default(),
            on_no_data: OnNoData::default(),
            no_data_timeout_seconds: no_data_timeout(),
        }
    }
}

/// One metric: exactly one kind.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.errorRatio) != has(self.threshold)")
        .message("a metric has exactly one of errorRatio, threshold"),
)]
pub struct Metric {
    /// Name in status and events.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// Share of failed requests, candidate against stable at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_ratio: Option<ErrorRatio>,
    /// A gauge of the candidate's pods against a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
}

/// The error test: is the candidate's error rate more than `maxRatioPercent` of the stable's?
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.unacceptableRatioPercent > self.maxRatioPercent")
        .message("unacceptableRatioPercent must be above maxRatioPercent").field_path(".unacceptableRatioPercent"),
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
    /// The counter that the server exports.
    #[serde(default)]
    pub requests: RequestCounter,
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
            requests: RequestCounter::default(),
        }
    }
}

/// A cumulative counter of finished requests with a status code label.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RequestCounter {
    /// Name of the series. Default `http_requests_total`.
    #[serde(default = "series")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub series: String,
    /// Label that holds the status code. Default `code`.
    #[serde(default = "code_label")]
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub code_label: String,
    /// Codes that are the server's fault: `500` or `5xx`. Default `["5xx"]`.
    #[serde(default = "error_codes")]
    #[schemars(length(min = 1, max = 16), inner(regex(pattern = r"^[1-5]([0-9][0-9]|xx)$")), extend("x-kubernetes-list-type" = "set"))]
    pub error_codes: Vec<String>,
}
fn series() -> String {
    "http_requests_total".to_owned()
}
fn code_label() -> String {
    "code".to_owned()
}
fn error_codes() -> Vec<String> {
    vec!["5xx".to_owned()]
}
impl Default for RequestCounter {
    fn default() -> Self {
        Self { series: series(), code_label: code_label(), error_codes: error_codes() }
    }
}
impl RequestCounter {
    /// Whether a status code counts as an error.
    pub fn is_error(&self, code: &str) -> bool {
        self.error_codes.iter().any(|p| {
            p == code || (p.ends_with("xx") && code.len() == 3 && code.as_bytes()[0] == p.as_bytes()[0])
        })
    }
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

/// A gauge series.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// Name of the series.
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub series: String,
}
