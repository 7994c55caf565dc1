//! How the evidence grew: the same judgement at each moment of a trial.

use chrono::{DateTime, Duration, Utc};
use serde::Serialize;
use serin_api::{ModelDeploymentSpec, Verdict};
use serin_judge::State;

use super::{Measurement, Samples, evidence, look, verdict};

/// Most points of a curve: more cannot be told apart on a screen.
const POINTS: i64 = 240;

/// What was known at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// The moment.
    pub at: DateTime<Utc>,
    /// The verdict then, all metrics together.
    pub verdict: Verdict,
    /// log10 of the evidence against the candidate, all metrics together.
    pub log10_e: f64,
    /// Each metric, in the spec's order; those that cannot be tested are left out.
    pub metrics: Vec<MetricPoint>,
}

/// One metric at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricPoint {
    /// Name of the metric.
    pub metric: String,
    /// log10 of the evidence against the candidate; none for a bound, which needs no evidence.
    pub log10_e: Option<f64>,
    /// What the candidate has shown since the start of the trial, in the unit of [`unit`](super::unit).
    pub candidate: Option<f64>,
    /// The same of the stable version.
    pub stable: Option<f64>,
}

/// The judgement at each tick from the start until `until`; at most 240 of them, evenly.
pub fn curve(
    spec: &ModelDeploymentSpec,
    m: &Measurement,
    samples: &[Samples],
    until: DateTime<Utc>,
) -> Vec<Point> {
    let warm: Vec<Samples> = samples.iter().map(Samples::warm).collect();
    let interval = i64::from(spec.rollout.analysis.interval_seconds.max(1));
    let ticks = ((until - m.origin).num_seconds() / interval).max(0);
    let stride = (ticks + POINTS - 1) / POINTS;
    let inner = (1..=ticks).filter(|tick| stride <= 1 || tick % stride == 0);
    let moments = inner.map(|tick| m.origin + Duration::seconds(tick * interval)).chain([until]);
    let mut points: Vec<Point> = moments.map(|at| point(spec, m, &warm, at)).collect();
    points.dedup_by_key(|point| point.at);
    points
}

fn point(spec: &ModelDeploymentSpec, m: &Measurement, warm: &[Samples], at: DateTime<Utc>) -> Point {
    let look = look(spec, m, warm, at);
    let untested = look.found.state == State::Pass && !look.unusable.is_empty();
    let metrics = look.tested.iter().zip(&look.found.verdicts).map(|(metric, found)| {
        let (candidate, stable) = evidence::values(found);
        let log10_e =
            Some(found.rollback_evidence_log10()).filter(|e| e.is_finite() && !evidence::is_bound(found));
        MetricPoint { metric: metric.name.clone(), log10_e, candidate, stable }
    });
    Point {
        at,
        verdict: verdict(if untested { State::NoData } else { look.found.state }),
        log10_e: finite(look.found.rollback_evidence_log10),
        metrics: metrics.collect(),
    }
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}
