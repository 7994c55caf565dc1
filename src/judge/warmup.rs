//! Leaving out what young pods do: they load, compile and fill caches, and the requests they finish first are the
//! short ones. Meant for latencies; errors of young pods are errors.

use crate::{HistogramPod, MeanPod, Sample};

/// How long a pod is young: until it is so old, or one of its series has counted so many requests, whichever is first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmUp {
    /// Age, milliseconds.
    pub age_ms: i64,
    /// Requests.
    pub requests: f64,
}

impl Default for WarmUp {
    fn default() -> Self {
        Self { age_ms: 60_000, requests: 50.0 }
    }
}

impl WarmUp {
    /// The same histograms without what happened while each pod was young: the last scrape before becomes the
    /// baseline. A pod whose start is unknown is taken to have been there before. Looks at both arms alike, and at
    /// times and numbers of requests only, so that no test's budget changes.
    pub fn histograms(&self, pods: &[HistogramPod]) -> Vec<HistogramPod> {
        let warm = |pod: &HistogramPod| {
            let all = pod.histograms.iter().filter_map(|h| h.buckets.iter().find(|b| b.le == f64::INFINITY));
            let warm_ms = match self.over_ms(pod.started_ms, all.map(|bucket| bucket.samples.as_slice())) {
                Warm::Always => return pod.clone(),
                Warm::From(at_ms) => at_ms,
                Warm::NotYet => {
                    return HistogramPod { histograms: Vec::new(), ..pod.clone() };
                }
            };
            let mut pod = HistogramPod { started_ms: None, ..pod.clone() };
            pod.scraped_ms.retain(|at| *at >= warm_ms);
            for bucket in pod.histograms.iter_mut().flat_map(|h| &mut h.buckets) {
                bucket.samples.retain(|s| s.at_ms >= warm_ms);
            }
            pod
        };
        pods.iter().map(warm).collect()
    }

    /// The same for sums and counts.
    pub fn means(&self, pods: &[MeanPod]) -> Vec<MeanPod> {
        let warm = |pod: &MeanPod| {
            let counts = pod.series.iter().map(|(_, count)| count.as_slice());
            let warm_ms = match self.over_ms(pod.started_ms, counts) {
                Warm::Always => return pod.clone(),
                Warm::From(at_ms) => at_ms,
                Warm::NotYet => {
                    return MeanPod { series: Vec::new(), ..pod.clone() };
                }
            };
            let mut pod = MeanPod { started_ms: None, ..pod.clone() };
            pod.scraped_ms.retain(|at| *at >= warm_ms);
            for (sum, count) in &mut pod.series {
                sum.retain(|s| s.at_ms >= warm_ms);
                count.retain(|s| s.at_ms >= warm_ms);
            }
            pod
        };
        pods.iter().map(warm).collect()
    }

    fn over_ms<'a>(&self, started_ms: Option<i64>, counts: impl Iterator<Item = &'a [Sample]>) -> Warm {
        let Some(started_ms) = started_ms else { return Warm::Always };
        let old_ms = started_ms.saturating_add(self.age_ms);
        let busy = |s: &&Sample| s.value >= self.requests || s.at_ms >= old_ms;
        let first = counts.flatten().filter(busy).map(|s| s.at_ms).min();
        first.map_or(Warm::NotYet, Warm::From)
    }
}

/// From which scrape on a pod counts; that scrape is its baseline.
enum Warm {
    Always,
    From(i64),
    NotYet,
}
