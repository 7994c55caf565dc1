//! Prometheus' series as the judge's input: by arm, by pod, by status code.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serin_api::Metric;
use serin_engine::measure::{Measurement, Samples};
use serin_judge::{GaugePod, PodCounters, Sample, Series};

use crate::prometheus::{Prometheus, QueryError, RawSeries};

/// Reads every metric of a measurement. `started` tells when a pod's server started (milliseconds).
pub async fn read(
    prometheus: &Prometheus,
    namespace: &str,
    m: &Measurement,
    started: &HashMap<String, i64>,
    now: DateTime<Utc>,
) -> Result<Vec<Samples>, QueryError> {
    let mut all = Vec::with_capacity(m.metrics.len());
    for metric in &m.metrics {
        let series = match (&metric.error_ratio, &metric.threshold) {
            (Some(e), _) => &e.requests.series,
            (None, Some(t)) => &t.gauge.series,
            (None, None) => continue,
        };
        let raw = prometheus.samples(series, namespace, m, now).await?;
        one_target_a_pod(&raw)?;
        all.push(arrange(metric, m, raw, started));
    }
    Ok(all)
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

fn arrange(metric: &Metric, m: &Measurement, raw: Vec<RawSeries>, started: &HashMap<String, i64>) -> Samples {
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
    let Some(errors) = &metric.error_ratio else {
        return Samples::Gauge(canary.into_iter().map(|(pod, series)| gauge(pod, &series)).collect());
    };
    let counters = |pods: BTreeMap<String, Vec<RawSeries>>| {
        pods.into_iter()
            .map(|(pod, series)| PodCounters {
                started_ms: started.get(&pod).copied(),
                pod,
                scraped_ms: Vec::new(),
                series: series
                    .iter()
                    .map(|s| Series {
                        error: s
                            .metric
                            .get(&errors.requests.code_label)
                            .is_some_and(|code| errors.requests.is_error(code)),
                        samples: samples(s),
                    })
                    .collect(),
            })
            .collect()
    };
    Samples::Errors { canary: counters(canary), stable: counters(stable) }
}

fn gauge(pod: String, series: &[RawSeries]) -> GaugePod {
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
        let Samples::Errors { canary, stable } = arrange(&metric, &measurement(), raw, &HashMap::new())
        else {
            panic!("an error metric");
        };
        assert_eq!((canary.len(), stable.len()), (1, 1));
        assert!(canary[0].series[0].error);
        assert!(!stable[0].series[0].error);
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
