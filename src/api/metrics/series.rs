//! Series that servers export. Their names are data: matched against a pattern here, quoted when a query is built.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// A gauge series.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// Name of the series.
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub series: String,
}

/// A cumulative counter.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Name of the series.
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub series: String,
}

/// A classic histogram: cumulative buckets with the label `le`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Name without `_bucket`. Default `http_request_duration_seconds`.
    #[serde(default = "histogram")]
    #[schemars(length(min = 1, max = 190), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub series: String,
}
fn histogram() -> String {
    "http_request_duration_seconds".to_owned()
}
impl Default for Histogram {
    fn default() -> Self {
        Self { series: histogram() }
    }
}

/// A sum and a count, as of a summary or a histogram.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Name without `_sum` and `_count`.
    #[schemars(length(min = 1, max = 190), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub series: String,
}
