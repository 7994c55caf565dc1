//! What is measured, and what counts as worse. Names of series and labels are data: they are matched against a
//! pattern here and quoted when a query is built. There is no query language in this API.

mod kinds;
mod preset;
mod series;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

pub use kinds::{Better, ErrorRatio, Latency, MeanLatency, Quality, Score, Threshold};
pub use preset::filled;
pub use series::{Counter, Except, Failures, Gauge, Histogram, Pair, RequestCounter, Sum, Unit};

use crate::rollout::{OnHorizon, OnNoData};

/// What decides about a candidate.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.metrics) || self.metrics.exists(m, !has(m.threshold))")
        .message("metrics needs one that compares both versions: a threshold alone cannot promote").field_path(".metrics"),
)]
pub struct Analysis {
    /// 1 to 8 metrics; all must pass for a promotion. Default: the errors and the latency of the server's preset, without
    /// a preset one `errorRatio` over `http_requests_total`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub metrics: Option<Vec<Metric>>,
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

impl Default for Analysis {
    fn default() -> Self {
        Self {
            metrics: None,
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
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.errorRatio), has(self.latency), has(self.meanLatency), has(self.quality), has(self.score), has(self.threshold)].exists_one(k, k)")
        .message("a metric has exactly one of errorRatio, latency, meanLatency, quality, score, threshold"),
)]
pub struct Metric {
    /// Name in status and events.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// Share of failed requests, candidate against stable at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_ratio: Option<ErrorRatio>,
    /// Latency from the buckets of a histogram, candidate against stable at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Mean latency, for servers that export nothing but a sum and a count. Asymptotic, and blind to a slow tail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_latency: Option<MeanLatency>,
    /// Share of bad answers by two counters: wrong among labelled, rejected among all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// A score within known bounds that the server exports as a gauge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
    /// A gauge of the candidate's pods against a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
}

/// What a metric is.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// See [`Metric::error_ratio`].
    ErrorRatio(&'a ErrorRatio),
    /// See [`Metric::latency`].
    Latency(&'a Latency),
    /// See [`Metric::mean_latency`].
    MeanLatency(&'a MeanLatency),
    /// See [`Metric::quality`].
    Quality(&'a Quality),
    /// See [`Metric::score`].
    Score(&'a Score),
    /// See [`Metric::threshold`].
    Threshold(&'a Threshold),
}

impl Kind<'_> {
    /// Whole names of the series that it is read from. The first is there as soon as there was any traffic.
    pub fn series(self) -> Vec<String> {
        match self {
            Self::ErrorRatio(ErrorRatio { failures: Some(failures), .. }) => match failures.pair() {
                Some(
                    Pair::Apart { failed: other, succeeded: first }
                    | Pair::Failed { all: first, failed: other }
                    | Pair::Succeeded { all: first, succeeded: other },
                ) => vec![first.series.clone(), other.series.clone()],
                None => Vec::new(),
            },
            Self::ErrorRatio(e) => vec![e.requests.clone().unwrap_or_default().series],
            // A native histogram has the name without an ending.
            Self::Latency(l) => {
                let name = l.histogram.clone().unwrap_or_default().series;
                vec![format!("{name}_bucket"), name]
            }
            Self::MeanLatency(l) => {
                l.sum.as_ref().map(Sum::names).map(|(sum, count)| vec![count, sum]).unwrap_or_default()
            }
            Self::Quality(q) => {
                let part = q.bad.iter().chain(&q.good).map(|part| part.series.clone());
                [q.all.series.clone()].into_iter().chain(part).collect()
            }
            Self::Score(s) => vec![s.gauge.series.clone()],
            Self::Threshold(t) => vec![t.gauge.series.clone()],
        }
    }
}

impl Metric {
    /// Its kind; `None` if it has none, or more than one, which the CRD refuses.
    pub fn kind(&self) -> Option<Kind<'_>> {
        let kinds = [
            self.error_ratio.as_ref().map(Kind::ErrorRatio),
            self.latency.as_ref().map(Kind::Latency),
            self.mean_latency.as_ref().map(Kind::MeanLatency),
            self.quality.as_ref().map(Kind::Quality),
            self.score.as_ref().map(Kind::Score),
            self.threshold.as_ref().map(Kind::Threshold),
        ];
        let mut present = kinds.into_iter().flatten();
        present.next().filter(|_| present.next().is_none())
    }
}
