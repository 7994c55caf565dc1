//! Prometheus' series as the judge's input: by arm, by pod, by status code.

mod native;
mod targets;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serin_api::{Counter, Except, Failures, Metric, MetricKind, Sum, metrics::Pair};
use serin_engine::measure::{Arms, Measurement, Samples};
use serin_judge::{
    Bucket, GaugePod, Histogram, HistogramPod, MeanPod, PodCounters, QualityPod, Sample, Series,
};

use crate::{
    looks::{self, Looks, Want},
    prometheus::{Labels, Prometheus, QueryError, RawSeries},
};

/// Reads every metric of a measurement, all of them in one query. `started` tells when a pod's server started, in
/// milliseconds.
#[allow(clippy::implicit_hasher)] // names of our own pods: nobody floods them
pub async fn read(
    prometheus: &Prometheus,
    namespace: &str,
    m: &Measurement,
    started: &HashMap<String, i64>,
    now: DateTime<Utc>,
) -> Result<Vec<Samples>, QueryError> {
    let raw = looks::alone(prometheus, namespace, wanted(m, now)).await?;
    arranged(m, &raw, started)
}

/// The same, together with other looks that come at this moment.
#[allow(clippy::implicit_hasher)] // see above
pub async fn read_together(
    looks: &Arc<Looks>,
    namespace: &str,
    m: &Measurement,
    started: &HashMap<String, i64>,
    now: DateTime<Utc>,
) -> Result<Vec<Samples>, QueryError> {
    let answer = looks.samples(namespace, wanted(m, now)).await?;
    arranged(m, &answer.series, started)
}

/// What a measurement reads.
pub fn wanted(m: &Measurement, now: DateTime<Utc>) -> Want {
    Want {
        series: kinds(m).flat_map(MetricKind::series).collect(),
        deployments: m.candidate.iter().chain([&m.stable]).cloned().collect(),
        from: m.from.timestamp(),
        until: now.timestamp(),
    }
}

/// What was read, by metric.
#[allow(clippy::implicit_hasher)] // see above
pub fn arranged(
    m: &Measurement,
    raw: &[RawSeries],
    started: &HashMap<String, i64>,
) -> Result<Vec<Samples>, QueryError> {
    kinds(m).map(|kind| Ok(arrange(kind, m, of(kind, raw)?, started))).collect()
}

fn kinds(m: &Measurement) -> impl Iterator<Item = MetricKind<'_>> {
    m.metrics.iter().filter_map(Metric::kind)
}

/// The series of one metric.
fn of<'a>(kind: MetricKind<'_>, raw: &'a [RawSeries]) -> Result<Vec<&'a RawSeries>, QueryError> {
    let names = kind.series();
    let named = |s: &&RawSeries| s.metric.get("__name__").is_some_and(|name| names.iter().any(|n| n == name));
    // Of one metric: another one may well come from another container of the pod.
    targets::one_a_pod(raw.iter().filter(named).collect())
}

/// A pod's name and its series.
type Pod<'a> = (&'a str, Vec<&'a RawSeries>);

fn arrange(
    kind: MetricKind<'_>,
    m: &Measurement,
    raw: Vec<&RawSeries>,
    started: &HashMap<String, i64>,
) -> Samples {
    let left = raw.into_iter().filter(|s| !left_out(kind, s)).collect();
    let Arms { canary, stable } = by_pod(m, left);
    let start = |pod: &str| started.get(pod).copied();
    match kind {
        MetricKind::ErrorRatio(e) => match e.failures.as_ref().and_then(Failures::pair) {
            None => {
                let requests = e.requests.clone().unwrap_or_default();
                let is_error = |s: &RawSeries| {
                    s.metric.get(&requests.code_label).is_some_and(|code| requests.is_error(code))
                };
                Samples::Errors(each(canary, stable, |pod| counters(is_error, pod, start)))
            }
            Some(Pair::Apart { failed, .. }) => {
                let is_error = |s: &RawSeries| s.metric.get("__name__") == Some(failed.series.as_str());
                Samples::Errors(each(canary, stable, |pod| counters(is_error, pod, start)))
            }
            Some(Pair::Failed { all, .. } | Pair::Succeeded { all, .. }) => {
                Samples::Quality(each(canary, stable, |pod| parts(&all.series, pod, start)))
            }
        },
        MetricKind::Latency(_) => {
            let edges =
                native::edges(canary.iter().chain(&stable).flat_map(|(_, series)| series.iter().copied()));
            Samples::Latency(each(canary, stable, |pod| histograms(pod, &edges, start)))
        }
        MetricKind::MeanLatency(l) => {
            let sum = l.sum.as_ref().map(Sum::names).map(|(sum, _)| sum).unwrap_or_default();
            Samples::Mean(each(canary, stable, |pod| means(&sum, pod, start)))
        }
        MetricKind::Quality(q) => {
            Samples::Quality(each(canary, stable, |pod| parts(&q.all.series, pod, start)))
        }
        MetricKind::Score(_) => Samples::Score(each(canary, stable, gauge)),
        MetricKind::Threshold(_) => Samples::Gauge(canary.into_iter().map(gauge).collect()),
    }
}

/// Which pod is whose, by the names of the Deployments.
fn by_pod<'a>(m: &Measurement, raw: Vec<&'a RawSeries>) -> Arms<Pod<'a>> {
    let of = |arm: &str, pod: &str| pod.strip_prefix(arm).is_some_and(|rest| rest.starts_with('-'));
    let mut canary: BTreeMap<&str, Vec<&RawSeries>> = BTreeMap::new();
    let mut stable: BTreeMap<&str, Vec<&RawSeries>> = BTreeMap::new();
    for s in raw {
        let Some(pod) = s.metric.get("pod") else { continue };
        if m.candidate.as_deref().is_some_and(|c| of(c, pod)) {
            canary.entry(pod).or_default().push(s);
        } else if of(&m.stable, pod) {
            stable.entry(pod).or_default().push(s);
        }
    }
    Arms { canary: canary.into_iter().collect(), stable: stable.into_iter().collect() }
}

fn each<'a, P>(canary: Vec<Pod<'a>>, stable: Vec<Pod<'a>>, read: impl Fn(Pod<'a>) -> P) -> Arms<P> {
    Arms { canary: canary.into_iter().map(&read).collect(), stable: stable.into_iter().map(&read).collect() }
}

/// Whether the spec leaves a series out.
fn left_out(kind: MetricKind<'_>, s: &RawSeries) -> bool {
    let name = s.metric.get("__name__");
    let by = |except: &[Except]| except.iter().any(|e| e.leaves_out(s.metric.get(&e.label)));
    let counter = |c: &Counter| name == Some(c.series.as_str()) && by(&c.except);
    match kind {
        MetricKind::ErrorRatio(e) => {
            let failures = e.failures.iter().flat_map(|f| f.failed.iter().chain(&f.succeeded).chain(&f.all));
            e.requests.as_ref().is_some_and(|r| by(&r.except)) || failures.into_iter().any(counter)
        }
        MetricKind::Latency(l) => l.histogram.as_ref().is_some_and(|h| by(&h.except)),
        MetricKind::MeanLatency(l) => l.sum.as_ref().is_some_and(|sum| by(&sum.except)),
        MetricKind::Quality(q) => [&q.all].into_iter().chain(&q.bad).chain(&q.good).any(counter),
        MetricKind::Score(_) | MetricKind::Threshold(_) => false,
    }
}

fn counters(
    error: impl Fn(&RawSeries) -> bool,
    (pod, series): Pod<'_>,
    start: impl Fn(&str) -> Option<i64>,
) -> PodCounters {
    PodCounters {
        started_ms: start(pod),
        pod: pod.to_owned(),
        scraped_ms: Vec::new(),
        series: series.into_iter().map(|s| Series { error: error(s), samples: s.values.clone() }).collect(),
    }
}

/// Buckets that differ in nothing but `le` are one histogram. Where Prometheus keeps both forms of one, the classic one
/// counts: both would be the same requests twice.
fn histograms((pod, series): Pod<'_>, edges: &[f64], start: impl Fn(&str) -> Option<i64>) -> HistogramPod {
    let classic = classic(&series);
    let native = || series.iter().filter_map(|series| native::histogram(series, edges)).collect();
    let histograms = if classic.is_empty() { native() } else { classic };
    HistogramPod { started_ms: start(pod), pod: pod.to_owned(), scraped_ms: Vec::new(), histograms }
}

fn classic(series: &[&RawSeries]) -> Vec<Histogram> {
    let mut found: BTreeMap<Labels, Histogram> = BTreeMap::new();
    for s in series {
        // `+Inf` and numbers alike are what Rust reads; anything else is no bucket.
        let Some(le) = s.metric.get("le").and_then(|le| le.parse().ok()) else { continue };
        found
            .entry(s.metric.without("le"))
            .or_default()
            .buckets
            .push(Bucket { le, samples: s.values.clone() });
    }
    found.into_values().collect()
}

/// Sums and counts that differ in nothing but their names belong together.
fn means(sum: &str, (pod, series): Pod<'_>, start: impl Fn(&str) -> Option<i64>) -> MeanPod {
    let mut found: BTreeMap<Labels, (Vec<Sample>, Vec<Sample>)> = BTreeMap::new();
    for s in series {
        let pair = found.entry(s.metric.without("__name__")).or_default();
        if s.metric.get("__name__") == Some(sum) {
            pair.0.clone_from(&s.values);
        } else {
            pair.1.clone_from(&s.values);
        }
    }
    let series = found.into_values().collect();
    MeanPod { started_ms: start(pod), pod: pod.to_owned(), scraped_ms: Vec::new(), series }
}

fn parts(all: &str, (pod, series): Pod<'_>, start: impl Fn(&str) -> Option<i64>) -> QualityPod {
    let is_all = |s: &&RawSeries| s.metric.get("__name__").is_some_and(|name| name == all);
    let (total, part): (Vec<_>, Vec<_>) = series.into_iter().partition(is_all);
    QualityPod {
        started_ms: start(pod),
        pod: pod.to_owned(),
        scraped_ms: Vec::new(),
        total: total.into_iter().map(|s| s.values.clone()).collect(),
        part: part.into_iter().map(|s| s.values.clone()).collect(),
    }
}

fn gauge((pod, series): Pod<'_>) -> GaugePod {
    GaugePod { pod: pod.to_owned(), samples: series.into_iter().flat_map(|s| s.values.clone()).collect() }
}

#[cfg(test)]
mod tests;
