//! Prometheus' series as the judge's input: by arm, by pod, by status code.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serin_api::{ErrorRatio, MetricKind, Quality};
use serin_engine::measure::{Arms, Measurement, Samples};
use serin_judge::{
    Bucket, GaugePod, Histogram, HistogramPod, MeanPod, PodCounters, QualityPod, Sample, Series,
};

use crate::prometheus::{Prometheus, QueryError, RawSeries};

/// Reads every metric of a measurement. `started` tells when a pod's server started, in milliseconds.
#[allow(clippy::implicit_hasher)] // names of our own pods: nobody floods them
pub async fn read(
    prometheus: &Prometheus,
    namespace: &str,
    m: &Measurement,
    started: &HashMap<String, i64>,
    now: DateTime<Utc>,
) -> Result<Vec<Samples>, QueryError> {
    let mut all = Vec::with_capacity(m.metrics.len());
    for metric in &m.metrics {
        let Some(kind) = metric.kind() else { continue };
        let raw = prometheus.samples(&names(kind), namespace, m, now).await?;
        one_target_a_pod(&raw)?;
        all.push(arrange(kind, m, raw, started));
    }
    Ok(all)
}

/// The series that a metric is read from.
fn names(kind: MetricKind<'_>) -> Vec<String> {
    match kind {
        MetricKind::ErrorRatio(e) => vec![e.requests.series.clone()],
        MetricKind::Latency(l) => vec![format!("{}_bucket", l.histogram.series)],
        MetricKind::MeanLatency(l) => {
            vec![format!("{}_sum", l.sum.series), format!("{}_count", l.sum.series)]
        }
        MetricKind::Quality(q) => {
            let part = q.bad.iter().chain(&q.good).map(|part| part.series.clone());
            part.chain([q.all.series.clone()]).collect()
        }
        MetricKind::Score(s) => vec![s.gauge.series.clone()],
        MetricKind::Threshold(t) => vec![t.gauge.series.clone()],
    }
}

/// Two scrape jobs on one pod double every count, and with it the evidence.
fn one_target_a_pod(raw: &[RawSeries]) -> Result<(), QueryError> {
    let mut targets = BTreeMap::new();
    for s in raw {
        let target = (s.metric.get("job"), s.metric.get("instance"));
        if *targets.entry(s.metric.get("pod")).or_insert(target) != target {
            return Err(QueryError::TwoTargets);
        }
    }
    Ok(())
}

/// A pod's name and its series.
type Pod = (String, Vec<RawSeries>);

fn arrange(
    kind: MetricKind<'_>,
    m: &Measurement,
    raw: Vec<RawSeries>,
    started: &HashMap<String, i64>,
) -> Samples {
    let Arms { canary, stable } = by_pod(m, raw);
    let start = |pod: &str| started.get(pod).copied();
    match kind {
        MetricKind::ErrorRatio(e) => Samples::Errors(each(canary, stable, |pod| counters(e, pod, start))),
        MetricKind::Latency(_) => Samples::Latency(each(canary, stable, |pod| histograms(pod, start))),
        MetricKind::MeanLatency(l) => {
            let sum = format!("{}_sum", l.sum.series);
            Samples::Mean(each(canary, stable, |pod| means(&sum, pod, start)))
        }
        MetricKind::Quality(q) => Samples::Quality(each(canary, stable, |pod| parts(q, pod, start))),
        MetricKind::Score(_) => Samples::Score(each(canary, stable, gauge)),
        MetricKind::Threshold(_) => Samples::Gauge(canary.into_iter().map(gauge).collect()),
    }
}

/// Which pod is whose, by the names of the Deployments.
fn by_pod(m: &Measurement, raw: Vec<RawSeries>) -> Arms<Pod> {
    let of = |arm: &str, pod: &str| pod.strip_prefix(arm).is_some_and(|rest| rest.starts_with('-'));
    let mut canary: BTreeMap<String, Vec<RawSeries>> = BTreeMap::new();
    let mut stable: BTreeMap<String, Vec<RawSeries>> = BTreeMap::new();
    for s in raw {
        let Some(pod) = s.metric.get("pod").cloned() else { continue };
        if m.candidate.as_deref().is_some_and(|c| of(c, &pod)) {
            canary.entry(pod).or_default().push(s);
        } else if of(&m.stable, &pod) {
            stable.entry(pod).or_default().push(s);
        }
    }
    Arms { canary: canary.into_iter().collect(), stable: stable.into_iter().collect() }
}

fn each<P>(canary: Vec<Pod>, stable: Vec<Pod>, read: impl Fn(Pod) -> P) -> Arms<P> {
    Arms { canary: canary.into_iter().map(&read).collect(), stable: stable.into_iter().map(&read).collect() }
}

fn counters(errors: &ErrorRatio, (pod, series): Pod, start: impl Fn(&str) -> Option<i64>) -> PodCounters {
    let error = |s: &RawSeries| {
        let code = s.metric.get(&errors.requests.code_label);
        code.is_some_and(|code| errors.requests.is_error(code))
    };
    PodCounters {
        started_ms: start(&pod),
        pod,
        scraped_ms: Vec::new(),
        series: series.iter().map(|s| Series { error: error(s), samples: samples(s) }).collect(),
    }
}

/// Buckets that differ in nothing but `le` are one histogram.
fn histograms((pod, series): Pod, start: impl Fn(&str) -> Option<i64>) -> HistogramPod {
    let mut found: BTreeMap<BTreeMap<String, String>, Histogram> = BTreeMap::new();
    for s in &series {
        // `+Inf` and numbers alike are what Rust reads; anything else is no bucket.
        let Some(le) = s.metric.get("le").and_then(|le| le.parse().ok()) else { continue };
        let mut labels = s.metric.clone();
        labels.remove("le");
        found.entry(labels).or_default().buckets.push(Bucket { le, samples: samples(s) });
    }
    HistogramPod {
        started_ms: start(&pod),
        pod,
        scraped_ms: Vec::new(),
        histograms: found.into_values().collect(),
    }
}

/// Sums and counts that differ in nothing but their names belong together.
fn means(sum: &str, (pod, series): Pod, start: impl Fn(&str) -> Option<i64>) -> MeanPod {
    let mut found: BTreeMap<BTreeMap<String, String>, (Vec<Sample>, Vec<Sample>)> = BTreeMap::new();
    for s in &series {
        let mut labels = s.metric.clone();
        let is_sum = labels.remove("__name__").as_deref() == Some(sum);
        let pair = found.entry(labels).or_default();
        if is_sum {
            pair.0 = samples(s);
        } else {
            pair.1 = samples(s);
        }
    }
    MeanPod { started_ms: start(&pod), pod, scraped_ms: Vec::new(), series: found.into_values().collect() }
}

fn parts(q: &Quality, (pod, series): Pod, start: impl Fn(&str) -> Option<i64>) -> QualityPod {
    let is_all = |s: &&RawSeries| s.metric.get("__name__") == Some(&q.all.series);
    let (total, part): (Vec<_>, Vec<_>) = series.iter().partition(is_all);
    QualityPod {
        started_ms: start(&pod),
        pod,
        scraped_ms: Vec::new(),
        total: total.into_iter().map(samples).collect(),
        part: part.into_iter().map(samples).collect(),
    }
}

fn gauge((pod, series): Pod) -> GaugePod {
    GaugePod { pod, samples: series.iter().flat_map(samples).collect() }
}

/// Text that is no number becomes NaN, which the judge counts as not scraped.
fn samples(s: &RawSeries) -> Vec<Sample> {
    let sample = |(at, value): &(f64, String)| {
        #[allow(clippy::cast_possible_truncation)] // a time of day in milliseconds; anything else saturates
        let at_ms = (at * 1000.0).round() as i64;
        Sample { at_ms, value: value.parse().unwrap_or(f64::NAN) }
    };
    s.values.iter().map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_api::Metric;

    fn series(labels: &[(&str, &str)], values: &[(f64, &str)]) -> RawSeries {
        RawSeries {
            metric: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            values: values.iter().map(|(t, v)| (*t, (*v).to_owned())).collect(),
        }
    }

    fn measurement() -> Measurement {
        let at = DateTime::from_timestamp(0, 0).unwrap();
        Measurement {
            candidate: Some("w-1".into()),
            stable: "w-10".into(),
            from: at,
            origin: at,
            metrics: vec![],
            weights: vec![],
        }
    }

    #[test]
    fn a_name_that_begins_like_another_is_another() {
        let metric = serin_api::Analysis::default().metrics.remove(0);
        let raw = vec![
            series(&[("pod", "w-1-x-y"), ("code", "500")], &[(1.0, "2")]),
            series(&[("pod", "w-10-x-y"), ("code", "200")], &[(1.0, "5")]),
            series(&[("pod", "w-1x-y"), ("code", "200")], &[(1.0, "7")]),
        ];
        let arranged = arrange(metric.kind().unwrap(), &measurement(), raw, &HashMap::new());
        let Samples::Errors(Arms { canary, stable }) = arranged else { panic!("an error metric") };
        assert_eq!((canary.len(), stable.len()), (1, 1));
        assert!(canary[0].series[0].error);
        assert!(!stable[0].series[0].error);
    }

    fn arranged(metric: serde_json::Value, raw: Vec<RawSeries>) -> Samples {
        let metric: Metric = serde_json::from_value(metric).unwrap();
        arrange(metric.kind().unwrap(), &measurement(), raw, &HashMap::new())
    }

    #[test]
    fn buckets_of_one_histogram_stand_together() {
        let bucket =
            |path, le, value| series(&[("pod", "w-1-x-y"), ("path", path), ("le", le)], &[(1.0, value)]);
        let raw = vec![bucket("/a", "0.1", "1"), bucket("/b", "0.1", "2"), bucket("/a", "+Inf", "3")];
        let metric = serde_json::json!({"name": "latency", "latency": {}});
        let Samples::Latency(Arms { canary, stable }) = arranged(metric, raw) else { panic!("latency") };
        assert_eq!((canary.len(), stable.len(), canary[0].histograms.len()), (1, 0, 2));
        let edges: Vec<f64> = canary[0].histograms[0].buckets.iter().map(|b| b.le).collect();
        assert_eq!(edges, [0.1, f64::INFINITY]);
    }

    #[test]
    fn a_sum_finds_its_count_and_a_part_its_whole() {
        let named = |name, value| series(&[("__name__", name), ("pod", "w-10-x-y")], &[(1.0, value)]);
        let metric = serde_json::json!({"name": "mean", "meanLatency": {"sum": {"series": "took"}}});
        let raw = vec![named("took_count", "4"), named("took_sum", "2")];
        let Samples::Mean(Arms { stable, .. }) = arranged(metric, raw) else { panic!("means") };
        let values = |samples: &[Sample]| samples.iter().map(|s| s.value).collect::<Vec<_>>();
        let (sum, count) = &stable[0].series[0];
        assert_eq!((values(sum), values(count)), (vec![2.0], vec![4.0]));

        let metric = serde_json::json!({
            "name": "wrong", "quality": {"all": {"series": "labelled"}, "good": {"series": "right"}},
        });
        let raw = vec![named("labelled", "9"), named("right", "7")];
        let Samples::Quality(Arms { stable, .. }) = arranged(metric, raw) else { panic!("quality") };
        assert_eq!((values(&stable[0].total[0]), values(&stable[0].part[0])), (vec![9.0], vec![7.0]));
    }

    #[test]
    fn two_targets_for_one_pod_are_refused() {
        let a = series(&[("pod", "p"), ("job", "a"), ("instance", "i")], &[]);
        let b = series(&[("pod", "p"), ("job", "b"), ("instance", "i")], &[]);
        let c = series(&[("pod", "p"), ("job", "a"), ("instance", "i"), ("code", "500")], &[]);
        assert_eq!(one_target_a_pod(&[a, b]), Err(QueryError::TwoTargets));
        let a = series(&[("pod", "p"), ("job", "a"), ("instance", "i")], &[]);
        assert_eq!(one_target_a_pod(&[a, c]), Ok(()));
    }
}
