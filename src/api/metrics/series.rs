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
    /// Codes that are the server's fault: `500`, `5xx`, or a word such as `INTERNAL`. Default `["5xx"]`.
    #[serde(default = "error_codes")]
    #[schemars(length(min = 1, max = 16), inner(length(max = 32), regex(pattern = r"^([1-5]([0-9][0-9]|xx)|[A-Z][A-Z_]*)$")), extend("x-kubernetes-list-type" = "set"))]
    pub error_codes: Vec<String>,
    /// What is left out: the probes of a kubelet, say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "atomic"))]
    pub except: Vec<Except>,
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
        Self { series: series(), code_label: code_label(), error_codes: error_codes(), except: Vec::new() }
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

/// Requests that are counted without a label for their end: exactly two of those that failed, those that did not, and
/// all.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Failures {
    /// Counter of the failed ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Counter>,
    /// Counter of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<Counter>,
    /// Counter of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Counter>,
}

/// Which two there are.
#[derive(Clone, Copy, Debug)]
pub enum Pair<'a> {
    /// Each in its own.
    Apart {
        /// Those that failed.
        failed: &'a Counter,
        /// The others.
        succeeded: &'a Counter,
    },
    /// All, and the failed among them.
    Failed {
        /// All.
        all: &'a Counter,
        /// Those that failed.
        failed: &'a Counter,
    },
    /// All, and the others among them.
    Succeeded {
        /// All.
        all: &'a Counter,
        /// Those that did not fail.
        succeeded: &'a Counter,
    },
}

impl Failures {
    /// The two that there are; `None` if there are not two, which the CRD refuses.
    pub fn pair(&self) -> Option<Pair<'_>> {
        match (&self.failed, &self.succeeded, &self.all) {
            (Some(failed), Some(succeeded), None) => Some(Pair::Apart { failed, succeeded }),
            (Some(failed), None, Some(all)) => Some(Pair::Failed { all, failed }),
            (None, Some(succeeded), Some(all)) => Some(Pair::Succeeded { all, succeeded }),
            _ => None,
        }
    }
}

/// Values of a label by which series are left out.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Except {
    /// Name of the label.
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub label: String,
    /// Its values; one that ends with `*` stands for all that begin like it, an empty one for none at all.
    #[schemars(length(min = 1, max = 16), inner(length(max = 200)), extend("x-kubernetes-list-type" = "set"))]
    pub values: Vec<String>,
}
impl Except {
    /// Whether a series is left out whose label has this value.
    pub fn leaves_out(&self, value: Option<&str>) -> bool {
        // Prometheus does not keep a label without a value.
        let value = value.unwrap_or_default();
        self.values.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => value.starts_with(beginning),
            None => value == pattern,
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
    /// What is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "atomic"))]
    pub except: Vec<Except>,
}

/// A histogram: cumulative buckets with the label `le`, or, where Prometheus keeps them, a native one.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Name without `_bucket`. Default `http_request_duration_seconds`.
    #[serde(default = "histogram")]
    #[schemars(length(min = 1, max = 190), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub series: String,
    /// What its edges count. Default `Seconds`.
    #[serde(default, skip_serializing_if = "Unit::is_seconds")]
    pub unit: Unit,
    /// What is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "atomic"))]
    pub except: Vec<Except>,
}
fn histogram() -> String {
    "http_request_duration_seconds".to_owned()
}
impl Default for Histogram {
    fn default() -> Self {
        Self { series: histogram(), unit: Unit::default(), except: Vec::new() }
    }
}

/// A sum and a count, as of a summary or a histogram.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Name without `_sum` and `_count`; with `count`, the whole name of the sum.
    #[schemars(length(min = 1, max = 190), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub series: String,
    /// Name of the count, where it is not the sum's with another ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    pub count: Option<String>,
    /// What the sum counts. Default `Seconds`.
    #[serde(default, skip_serializing_if = "Unit::is_seconds")]
    pub unit: Unit,
    /// What is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "atomic"))]
    pub except: Vec<Except>,
}
impl Sum {
    /// Whole names of the sum and the count.
    pub fn names(&self) -> (String, String) {
        match &self.count {
            Some(count) => (self.series.clone(), count.clone()),
            None => (format!("{}_sum", self.series), format!("{}_count", self.series)),
        }
    }
}

/// Unit of a time.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Unit {
    /// As Prometheus recommends.
    #[default]
    Seconds,
    /// Thousandths of a second.
    Milliseconds,
    /// Millionths.
    Microseconds,
}
impl Unit {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
    fn is_seconds(&self) -> bool {
        *self == Self::Seconds
    }
    /// A value in this unit, in seconds.
    pub fn seconds(self, value: f64) -> f64 {
        match self {
            Self::Seconds => value,
            Self::Milliseconds => value / 1e3,
            Self::Microseconds => value / 1e6,
        }
    }
}
