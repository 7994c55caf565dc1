//! Counters and gauges as functions of time: the same script gives the same samples, whenever it is asked.

use std::collections::BTreeMap;

use crate::kubelet::KnownPod;

/// Traffic of each pod of a version.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests per second and pod.
    pub per_second: f64,
    /// Share of them that fail, in permille.
    pub error_permille: f64,
    /// What they take on average, in milliseconds; exponentially distributed.
    pub mean_ms: f64,
}

impl Load {
    /// Busy and without a fault.
    pub const GOOD: Self = Self { per_second: 400.0, error_permille: 0.0, mean_ms: 40.0 };
    /// Three of ten requests fail.
    pub const BAD: Self = Self { error_permille: 300.0, ..Self::GOOD };
    /// Twice as slow.
    pub const SLOW: Self = Self { mean_ms: 80.0, ..Self::GOOD };
    /// Nobody asks.
    pub const NONE: Self = Self { per_second: 0.0, ..Self::GOOD };
}

/// Upper edges of the latency histogram, in seconds.
const EDGES: [f64; 8] = [0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, f64::INFINITY];

/// A text that is part of the image, a time in milliseconds, and what holds from then on.
type Line<T> = (String, i64, T);

/// What happens in which version, from when on. The last line that fits counts.
#[derive(Debug, Default)]
pub struct Traffic {
    loads: Vec<Line<Load>>,
    gauges: Vec<Line<(String, f64)>>,
}

/// Labels, and samples as (milliseconds, value).
type Series = (BTreeMap<String, String>, Vec<(i64, f64)>);

impl Traffic {
    pub fn set(&mut self, image: &str, load: Load, from_ms: i64) {
        self.loads.push((image.to_owned(), from_ms, load));
    }

    pub fn set_gauge(&mut self, series: &str, image: &str, value: f64, from_ms: i64) {
        self.gauges.push((image.to_owned(), from_ms, (series.to_owned(), value)));
    }

    /// The series of that name in one pod, with samples of each whole second in `(start, end]`.
    pub fn of(&self, pod: &KnownPod, series: &str, start_ms: i64, end_ms: i64) -> Vec<Series> {
        let Some(began) = pod.ready_at.map(|at| at.timestamp_millis()) else { return Vec::new() };
        let ended = pod.gone_at.map_or(i64::MAX, |at| at.timestamp_millis());
        // A Prometheus scrapes every pod at a moment of its own.
        let phase = i64::from(pod.uid.bytes().map(u32::from).sum::<u32>() % 1000);
        let second_of = |ms: i64| (ms - phase).div_euclid(1000);
        let seconds = second_of(start_ms.max(began)) + 1..=second_of(end_ms.min(ended));
        let scrapes: Vec<i64> = seconds.map(|second| second * 1000 + phase).collect();
        match series {
            "http_requests_total" => self.requests(pod, began, &scrapes),
            "http_request_duration_seconds_bucket" => self.buckets(pod, began, &scrapes),
            "answers_total" => vec![self.counted(pod, began, &scrapes, |_| 1.0)],
            "answers_rejected_total" => {
                vec![self.counted(pod, began, &scrapes, |load| load.error_permille / 1000.0)]
            }
            "up" => vec![(BTreeMap::new(), scrapes.into_iter().map(|at| (at, 1.0)).collect())],
            _ => self.gauge(pod, series, &scrapes).into_iter().collect(),
        }
    }

    fn requests(&self, pod: &KnownPod, began: i64, scrapes: &[i64]) -> Vec<Series> {
        let counted = |code: &str, share: fn(Load) -> f64| -> Series {
            let labels = [("code".to_owned(), code.to_owned()), ("method".to_owned(), "POST".to_owned())];
            let samples = scrapes.iter().map(|at| (*at, self.total(pod, began, *at, share)));
            // A counter with labels is not there before its first increment.
            (labels.into(), samples.filter(|(_, value)| *value > 0.0).collect())
        };
        vec![
            counted("200", |load| 1.0 - load.error_permille / 1000.0),
            counted("500", |load| load.error_permille / 1000.0),
        ]
    }

    fn counted(
        &self,
        pod: &KnownPod,
        began: i64,
        scrapes: &[i64],
        share: impl Fn(Load) -> f64 + Copy,
    ) -> Series {
        (BTreeMap::new(), scrapes.iter().map(|at| (*at, self.total(pod, began, *at, share))).collect())
    }

    fn buckets(&self, pod: &KnownPod, began: i64, scrapes: &[i64]) -> Vec<Series> {
        let bucket = |le: f64| {
            let under = |load: Load| 1.0 - (-1000.0 * le / load.mean_ms).exp();
            let (mut labels, samples) = self.counted(pod, began, scrapes, under);
            labels.insert("le".to_owned(), if le.is_finite() { le.to_string() } else { "+Inf".to_owned() });
            (labels, samples)
        };
        EDGES.map(bucket).into()
    }

    /// So many requests of a pod since it began, of those that `share` counts.
    fn total(&self, pod: &KnownPod, began: i64, at: i64, share: impl Fn(Load) -> f64) -> f64 {
        let lines: Vec<_> = self.loads.iter().filter(|(image, ..)| pod.image.contains(image)).collect();
        let mut total = 0.0;
        for (index, (_, from, load)) in lines.iter().enumerate() {
            let until = lines.get(index + 1).map_or(i64::MAX, |(_, next, _)| *next);
            let seconds = (at.min(until) - began.max(*from)).max(0) as f64 / 1000.0;
            total += seconds * load.per_second * share(*load);
        }
        total.floor()
    }

    fn gauge(&self, pod: &KnownPod, series: &str, scrapes: &[i64]) -> Option<Series> {
        let lines: Vec<_> = self
            .gauges
            .iter()
            .filter(|(image, _, (name, _))| name == series && pod.image.contains(image))
            .collect();
        let value =
            |at: i64| lines.iter().rev().find(|(_, from, _)| *from <= at).map(|(_, _, (_, value))| *value);
        let samples: Vec<_> = scrapes.iter().filter_map(|at| Some((*at, value(*at)?))).collect();
        (!samples.is_empty()).then(|| (BTreeMap::new(), samples))
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn pod(ready_ms: i64) -> KnownPod {
        KnownPod {
            name: "wine-1-a".to_owned(),
            uid: String::new(),
            image: "serin.dev/wine:v2".to_owned(),
            ready_at: DateTime::from_timestamp_millis(ready_ms),
            gone_at: None,
        }
    }

    #[test]
    fn counters_rise_from_the_moment_a_pod_is_ready() {
        let mut traffic = Traffic::default();
        traffic.set("wine", Load { per_second: 10.0, error_permille: 100.0, ..Load::GOOD }, 0);
        traffic.set("wine:v2", Load { per_second: 20.0, ..Load::GOOD }, 5000);
        let found = traffic.of(&pod(1500), "http_requests_total", 0, 7000);
        let (good, errors) = (&found[0].1, &found[1].1);
        assert_eq!(good.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [2000, 3000, 4000, 5000, 6000, 7000]);
        assert_eq!(good.last().unwrap(), &(7000, 31.0 + 40.0));
        // 5 in a second means none in the first half of one.
        assert_eq!(errors.first().unwrap(), &(3000, 1.0));
        assert_eq!(errors.last().unwrap(), &(7000, 3.0));
    }

    #[test]
    fn a_window_is_open_at_its_start() {
        let mut traffic = Traffic::default();
        traffic.set("wine", Load::GOOD, 0);
        let found = traffic.of(&pod(0), "up", 2000, 4000);
        assert_eq!(found[0].1.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [3000, 4000]);
        assert!(traffic.of(&pod(9000), "up", 2000, 4000)[0].1.is_empty());
    }
}
