//! What the analysis needs, and what it found: raw samples in, one [`Judgement`] out. Pure, so that a restart and an
//! explanation a week later come to the same result from the same samples.

use chrono::{DateTime, Duration, Utc};
use serin_api::{Metric, MetricEvidence, ModelDeploymentSpec, Verdict, quantity};
use serin_judge::{
    ErrorMetric, ErrorParams, GaugePod, MetricState, NoDataReason, PodCounters, State, ThresholdParams,
    ThresholdTest, Window, judge_errors, merge,
};

/// What to read from Prometheus. Built from our own names and validated series names only.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Name of the candidate's Deployment, the prefix of its pods' names; `None`: only the stable version is asked
    /// about, to find the first weight.
    pub candidate: Option<String>,
    /// Name of the stable version's Deployment.
    pub stable: String,
    /// First sample wanted.
    pub from: DateTime<Utc>,
    /// Start of the first block of evidence.
    pub origin: DateTime<Utc>,
    /// The metrics to read.
    pub metrics: Vec<Metric>,
}

/// Samples of one metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    /// Request counters of both arms.
    Errors {
        /// The candidate's pods.
        canary: Vec<PodCounters>,
        /// The stable version's pods.
        stable: Vec<PodCounters>,
    },
    /// A gauge of the candidate's pods.
    Gauge(Vec<GaugePod>),
}

/// What is known about the candidate at this moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// No analysis was due.
    NotAsked,
    /// The stable version alone was looked at: percent to begin the adaptive ramp with.
    Baseline {
        /// First rung.
        first_rung: i32,
    },
    /// Samples were read and judged.
    Judged(Judgement),
    /// Prometheus could not be asked, or answered nonsense. Never a verdict.
    Unavailable(String),
}

/// The verdict of all metrics together.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub state: State,
    /// Whether the evidence against the candidate is low enough to give it more traffic (below 3).
    pub unsuspicious: bool,
    /// Evidence of each metric, in the spec's order.
    pub evidence: Vec<MetricEvidence>,
    /// One line with the numbers that matter.
    pub summary: String,
}

/// How far back the stable version's traffic is looked at for the first weight, in blocks of evidence.
const BASELINE_BLOCKS: i32 = 20;
/// Longest window that one reading covers beyond the horizon, in seconds: a candidate held for a day is judged on its
/// last horizon, not on megabytes.
const BEYOND_HORIZON_SECONDS: i64 = 600;

/// The measurement that looks at the stable version alone.
pub fn baseline(spec: &ModelDeploymentSpec, stable: String, now: DateTime<Utc>) -> Measurement {
    let analysis = &spec.rollout.analysis;
    let from = now - Duration::seconds(i64::from(BASELINE_BLOCKS * analysis.interval_seconds));
    let metrics = analysis.metrics.iter().filter(|m| m.error_ratio.is_some()).take(1).cloned().collect();
    Measurement { candidate: None, stable, from, origin: from, metrics }
}

/// The measurement that compares both.
pub fn comparison(
    spec: &ModelDeploymentSpec,
    candidate: String,
    stable: String,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Measurement {
    let analysis = &spec.rollout.analysis;
    let interval = i64::from(analysis.interval_seconds);
    let longest = i64::from(analysis.horizon_seconds) + BEYOND_HORIZON_SECONDS;
    let late = (now - since).num_seconds() - longest;
    // Whole intervals, so that the grid of blocks stays where it was.
    let skipped = if late > 0 { (late + interval - 1) / interval * interval } else { 0 };
    let origin = since + Duration::seconds(skipped);
    // One interval before the start, and a little more, gives every counter its baseline.
    let from = origin - Duration::seconds(2 * interval);
    Measurement { candidate: Some(candidate), stable, from, origin, metrics: analysis.metrics.clone() }
}

/// First rung of the adaptive ramp from the stable version's own traffic.
pub fn first_rung(
    spec: &ModelDeploymentSpec,
    m: &Measurement,
    samples: &[Samples],
    now: DateTime<Utc>,
) -> Reading {
    let Some((metric, Samples::Errors { stable, .. })) = m.metrics.first().zip(samples.first()) else {
        return Reading::Baseline { first_rung: crate::ramp::FIRST_RUNG_UNKNOWN };
    };
    let params = error_params(spec, metric);
    // The judge wants two arms; the stable version's pods stand for both, and only the totals are read.
    let window = window(spec, m, now);
    let input = serin_judge::ErrorInput { canary: stable, stable, dispersion_prior: 1.0 };
    let Ok(test) = serin_judge::ErrorTest::new(params) else {
        return Reading::Baseline { first_rung: crate::ramp::FIRST_RUNG_UNKNOWN };
    };
    let verdict = test.judge(&input, &window);
    let interval = f64::from(spec.rollout.analysis.interval_seconds);
    let seconds = verdict.ticks as f64 * interval;
    if seconds <= 0.0 || verdict.stable.requests <= 0.0 {
        return Reading::Baseline { first_rung: crate::ramp::FIRST_RUNG_UNKNOWN };
    }
    let rung = serin_judge::first_rung(
        verdict.stable.requests / seconds,
        verdict.stable.errors / verdict.stable.requests,
        interval,
        &params,
    );
    Reading::Baseline { first_rung: i32::from(rung) }
}

/// Judges what was read. `samples[i]` belongs to `m.metrics[i]`.
pub fn judge(
    spec: &ModelDeploymentSpec,
    m: &Measurement,
    samples: &[Samples],
    now: DateTime<Utc>,
) -> Judgement {
    let window = window(spec, m, now);
    let mut errors = Vec::new();
    for (metric, s) in m.metrics.iter().zip(samples) {
        if let Samples::Errors { canary, stable } = s {
            let Ok(test) = serin_judge::ErrorTest::new(error_params(spec, metric)) else { continue };
            let input = serin_judge::ErrorInput { canary, stable, dispersion_prior: 1.0 };
            errors.push(ErrorMetric { name: &metric.name, test, input });
        }
    }
    let joint = judge_errors(&errors, &window);
    let mut states = Vec::new();
    let mut evidence = Vec::new();
    let mut verdicts = joint.verdicts.iter();
    for (metric, s) in m.metrics.iter().zip(samples) {
        match s {
            Samples::Errors { .. } => {
                let Some(v) = verdicts.next() else { continue };
                let evidence_log10 = v.rollback_evidence_log10;
                states.push(MetricState { name: &metric.name, state: v.state, evidence_log10 });
                evidence.push(error_evidence(&metric.name, v.state, v));
            }
            Samples::Gauge(pods) => {
                let (state, row) = threshold_evidence(metric, pods, &window);
                let evidence_log10 = if state == State::Fail { f64::INFINITY } else { 0.0 };
                states.push(MetricState { name: &metric.name, state, evidence_log10 });
                evidence.push(row);
            }
        }
    }
    let overall = merge(&states);
    let unsuspicious = joint.verdicts.iter().all(|v| v.unsuspicious);
    let summary = overall
        .metric
        .as_deref()
        .or_else(|| evidence.first().map(|e| e.metric.as_str()))
        .and_then(|name| evidence.iter().find(|e| e.metric == name))
        .map(|e| {
            format!("{}: {} after {} requests, log10 evidence {}", e.metric, e.estimate, e.samples, e.log10_e)
        })
        .unwrap_or_default();
    Judgement { state: overall.state, unsuspicious, evidence, summary }
}

fn window(spec: &ModelDeploymentSpec, m: &Measurement, now: DateTime<Utc>) -> Window {
    let interval_ms = i64::from(spec.rollout.analysis.interval_seconds) * 1000;
    Window::new(m.origin.timestamp_millis(), interval_ms, now.timestamp_millis())
}

fn error_params(spec: &ModelDeploymentSpec, metric: &Metric) -> ErrorParams {
    let e = metric.error_ratio.clone().unwrap_or_default();
    let slo = (e.slo_error_permille > 0).then(|| f64::from(e.slo_error_permille) / 1000.0);
    ErrorParams {
        max_ratio: f64::from(e.max_ratio_percent) / 100.0,
        unacceptable_ratio: f64::from(e.unacceptable_ratio_percent) / 100.0,
        slo_error_ratio: slo,
        floor_ratio: slo.map_or(0.0, |s| s / 10.0),
        false_rollback_budget: f64::from(spec.rollout.analysis.false_rollback_budget_permille) / 1000.0,
        false_promotion_budget: f64::from(spec.rollout.analysis.false_promotion_budget_permille) / 1000.0,
    }
}

fn error_evidence(name: &str, state: State, v: &serin_judge::ErrorVerdict) -> MetricEvidence {
    let share =
        |a: &serin_judge::ArmTotals| if a.requests > 0.0 { 100.0 * a.errors / a.requests } else { 0.0 };
    let estimate = match (v.no_data, v.ratio) {
        (Some(why), _) if state == State::NoData => no_data_text(why).to_owned(),
        // The ratio is smoothed; beside a share of exactly zero it would only puzzle.
        (_, Some(ratio)) if v.stable.errors > 0.0 => {
            format!("{:.2} % errors, stable {:.2} % ({ratio:.1}x)", share(&v.canary), share(&v.stable))
        }
        (_, Some(_)) => format!("{:.2} % errors, stable {:.2} %", share(&v.canary), share(&v.stable)),
        _ => format!("{:.2} % errors", share(&v.canary)),
    };
    MetricEvidence {
        metric: name.to_owned(),
        verdict: verdict(state),
        log10_e: format!("{:.2}", v.rollback_evidence_log10),
        estimate,
        samples: whole(v.canary.requests),
        needed: v.requests_needed.and_then(|n| i64::try_from(n).ok()),
    }
}

fn threshold_evidence(metric: &Metric, pods: &[GaugePod], window: &Window) -> (State, MetricEvidence) {
    let (max, min) = metric.threshold.as_ref().map_or((None, None), |t| {
        (t.max.as_deref().and_then(quantity::parse), t.min.as_deref().and_then(quantity::parse))
    });
    let row = |state, estimate, samples| MetricEvidence {
        metric: metric.name.clone(),
        verdict: verdict(state),
        log10_e: "0.00".to_owned(),
        estimate,
        samples,
        needed: None,
    };
    let Ok(test) = ThresholdTest::new(ThresholdParams { max, min, ..ThresholdParams::default() }) else {
        return (State::NoData, row(State::NoData, "the bounds contradict each other".to_owned(), 0));
    };
    let v = test.judge(pods, window);
    let estimate = match (v.state, v.no_data, v.last_value) {
        (State::NoData, Some(why), _) => no_data_text(why).to_owned(),
        (_, _, Some(value)) => format!("{value} (broken {} times in a row)", v.broken),
        _ => "no value".to_owned(),
    };
    (v.state, row(v.state, estimate, i64::try_from(v.ticks).unwrap_or(i64::MAX)))
}

/// The judge's state as the API's word.
pub fn verdict(state: State) -> Verdict {
    match state {
        State::Fail => Verdict::Fail,
        State::Pass => Verdict::Pass,
        State::Undecided => Verdict::Undecided,
        State::NoData => Verdict::NoData,
    }
}

fn no_data_text(why: NoDataReason) -> &'static str {
    match why {
        NoDataReason::NoSeries => "no series: is the metric's name right, and are the pods scraped?",
        NoDataReason::NoRequests => "no requests yet",
        NoDataReason::Stale => "the newest sample is too old",
        NoDataReason::NoStable => "no recent data of the stable version",
    }
}

/// A count for people; saturates.
#[expect(clippy::cast_possible_truncation, reason = "a count of requests; a float cast saturates")]
fn whole(count: f64) -> i64 {
    count.round() as i64
}
