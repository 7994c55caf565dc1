//! What the analysis needs, and what it found: raw samples in, one [`Judgement`] out. Pure, so that a restart and an
//! explanation a week later come to the same result from the same samples.

mod curve;
mod evidence;
mod metric;
mod missing;
mod traffic;

use chrono::{DateTime, Duration, Utc};
use serin_api::{Metric, MetricEvidence, ModelDeploymentSpec, WeightRecord};
use serin_judge::{
    GaugePod, HistogramPod, MeanPod, PodCounters, QualityPod, State, WarmUp, Window, judge_all,
};

pub use curve::{MetricPoint, Point, curve};
pub use evidence::{unit, verdict};

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
    /// The weights that a gateway has confirmed, request by request; empty where the share of requests follows from
    /// other things (pods, connections).
    pub weights: Vec<WeightRecord>,
}

/// Pods of both versions.
#[derive(Clone, Debug, PartialEq)]
pub struct Arms<P> {
    /// The candidate's.
    pub canary: Vec<P>,
    /// The stable version's.
    pub stable: Vec<P>,
}

impl Measurement {
    /// With the weights that the candidate had, where they tell its share of the requests: behind a gateway, unless
    /// testers come on top of it, or sessions stay where they are when a weight changes.
    #[must_use]
    pub fn weighed(mut self, spec: &ModelDeploymentSpec, weights: &[WeightRecord]) -> Self {
        let aside = spec
            .traffic
            .gateway
            .as_ref()
            .is_some_and(|gateway| gateway.testers.is_some() || gateway.session_persistence.is_some());
        if spec.traffic.by_route() && !aside {
            self.weights = weights.to_vec();
        }
        self
    }
}

/// Samples of one metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    /// Request counters.
    Errors(Arms<PodCounters>),
    /// Latency histograms.
    Latency(Arms<HistogramPod>),
    /// Sums and counts.
    Mean(Arms<MeanPod>),
    /// Counters of all and of a part of them.
    Quality(Arms<QualityPod>),
    /// Scores.
    Score(Arms<GaugePod>),
    /// A gauge of the candidate's pods.
    Gauge(Vec<GaugePod>),
}

impl Samples {
    /// The same without what young pods did, where that says nothing about the version.
    fn warm(&self) -> Self {
        let warm_up = WarmUp::default();
        match self {
            Self::Latency(a) => Self::Latency(Arms {
                canary: warm_up.histograms(&a.canary),
                stable: warm_up.histograms(&a.stable),
            }),
            Self::Mean(a) => {
                Self::Mean(Arms { canary: warm_up.means(&a.canary), stable: warm_up.means(&a.stable) })
            }
            other => other.clone(),
        }
    }
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
        /// Series that its pods do not export, in words.
        missing: Option<String>,
    },
    /// Samples were read and judged.
    Judged(Judgement),
    /// Prometheus could not be asked, or answered nonsense. Never a verdict.
    Unavailable(String),
}

impl Reading {
    /// What was judged, if anything was.
    pub fn judged(&self) -> Option<&Judgement> {
        match self {
            Self::Judged(judgement) => Some(judgement),
            Self::NotAsked | Self::Baseline { .. } | Self::Unavailable(_) => None,
        }
    }
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
    /// That the candidate does not get its share of the requests, with both shares.
    pub misrouted: Option<String>,
    /// Series that the stable version's pods do not export, in words.
    pub missing: Option<String>,
}

/// How far back the stable version's traffic is looked at, for the first weight and for what is usual, in blocks of
/// evidence.
const BASELINE_BLOCKS: i32 = 20;
/// Longest window that one reading covers beyond the horizon, in seconds: a candidate held for a day is judged on its
/// last horizon, not on megabytes.
const BEYOND_HORIZON_SECONDS: i64 = 600;

/// The measurement that looks at the stable version alone.
pub fn baseline(spec: &ModelDeploymentSpec, stable: String, now: DateTime<Utc>) -> Measurement {
    let analysis = &spec.rollout.analysis;
    let from = now - Duration::seconds(i64::from(BASELINE_BLOCKS * analysis.interval_seconds));
    Measurement { candidate: None, stable, from, origin: from, metrics: metrics(spec), weights: Vec::new() }
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
    // What the stable version was like before; and one interval more, and a little, gives every counter its baseline.
    let from = origin - Duration::seconds((i64::from(BASELINE_BLOCKS) + 2) * interval);
    Measurement {
        candidate: Some(candidate),
        stable,
        from,
        origin,
        metrics: metrics(spec),
        weights: Vec::new(),
    }
}

/// What is measured; nothing for a spec that validation refuses.
fn metrics(spec: &ModelDeploymentSpec) -> Vec<Metric> {
    spec.metrics().unwrap_or_default()
}

/// What the stable version's own traffic says before there is a candidate's.
pub fn read_baseline(
    spec: &ModelDeploymentSpec,
    m: &Measurement,
    samples: &[Samples],
    now: DateTime<Utc>,
) -> Reading {
    Reading::Baseline {
        first_rung: first_rung(spec, m, samples, now).unwrap_or(crate::ramp::FIRST_RUNG_UNKNOWN),
        missing: missing::missing(spec, m, samples),
    }
}

/// First rung of the adaptive ramp, if there was traffic whose errors are counted.
fn first_rung(
    spec: &ModelDeploymentSpec,
    m: &Measurement,
    samples: &[Samples],
    now: DateTime<Utc>,
) -> Option<i32> {
    let mut both = m.metrics.iter().zip(samples);
    let (errors, samples) =
        both.find_map(|(metric, samples)| Some((metric.error_ratio.as_ref()?, samples)))?;
    let params = metric::error_params(&spec.rollout.analysis, errors);
    let test = serin_judge::ErrorTest::new(params).ok()?;
    let verdict = metric::baseline(&test, errors, samples, &window(spec, m, now))?;
    let interval = f64::from(spec.rollout.analysis.interval_seconds);
    let seconds = verdict.ticks as f64 * interval;
    if seconds <= 0.0 || verdict.stable.requests <= 0.0 {
        return None;
    }
    let rung = serin_judge::first_rung(
        verdict.stable.requests / seconds,
        verdict.stable.errors / verdict.stable.requests,
        interval,
        &params,
    );
    Some(i32::from(rung))
}

/// Judges what was read. `samples[i]` belongs to `m.metrics[i]`.
pub fn judge(
    spec: &ModelDeploymentSpec,
    m: &Measurement,
    samples: &[Samples],
    now: DateTime<Utc>,
) -> Judgement {
    let warm: Vec<Samples> = samples.iter().map(Samples::warm).collect();
    let Look { tested, mut unusable, found } = look(spec, m, &warm, now);
    let rows = found.states.iter().zip(&found.verdicts).zip(&tested);
    let mut evidence: Vec<_> = rows.map(|((state, v), metric)| evidence::row(metric, *state, v)).collect();
    // What is worth a word: what decided, else what holds it up.
    let held = || found.states.iter().position(|state| *state == found.state);
    let leading = found.leading.filter(|_| found.state == State::Fail).or_else(held);
    let row = leading.or(Some(0)).and_then(|i| evidence.get(i).zip(found.verdicts.get(i)));
    let summary = row.map(|(row, verdict)| evidence::summary(row, verdict)).unwrap_or_default();
    let state = if found.state == State::Pass && !unusable.is_empty() { State::NoData } else { found.state };
    evidence.append(&mut unusable);
    Judgement {
        state,
        unsuspicious: found.unsuspicious,
        evidence,
        summary,
        misrouted: traffic::mismatch(m, samples, &window(spec, m, now)),
        missing: missing::missing(spec, m, samples),
    }
}

/// What the judge says of all metrics that can be tested.
struct Look<'a> {
    tested: Vec<&'a Metric>,
    unusable: Vec<MetricEvidence>,
    found: serin_judge::Analysis,
}

/// One look at samples without what young pods did.
fn look<'a>(
    spec: &ModelDeploymentSpec,
    m: &'a Measurement,
    warm: &[Samples],
    now: DateTime<Utc>,
) -> Look<'a> {
    let before = before(spec, m);
    let known: Vec<metric::Before> =
        warm.iter().map(|samples| metric::Before::read(samples, &before)).collect();
    let (mut tested, mut tests, mut unusable) = (Vec::new(), Vec::new(), Vec::new());
    for ((metric, samples), known) in m.metrics.iter().zip(warm).zip(&known) {
        match metric::test(&spec.rollout.analysis, metric, samples, known) {
            Ok(test) => {
                tests.push(serin_judge::Metric { name: &metric.name, weight: 1.0, test });
                tested.push(metric);
            }
            Err(why) => unusable.push(evidence::unusable(&metric.name, why)),
        }
    }
    Look { tested, unusable, found: judge_all(&tests, &window(spec, m, now)) }
}

/// The time before the first traffic, as far as it was read.
fn before(spec: &ModelDeploymentSpec, m: &Measurement) -> Window {
    let interval_ms = i64::from(spec.rollout.analysis.interval_seconds) * 1000;
    let (from, until) = (m.from.timestamp_millis(), m.origin.timestamp_millis());
    Window::new(from + 2 * interval_ms, interval_ms, until)
}

fn window(spec: &ModelDeploymentSpec, m: &Measurement, now: DateTime<Utc>) -> Window {
    let interval_ms = i64::from(spec.rollout.analysis.interval_seconds) * 1000;
    Window::new(m.origin.timestamp_millis(), interval_ms, now.timestamp_millis())
}
