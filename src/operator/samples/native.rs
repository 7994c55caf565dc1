//! Native histograms of Prometheus as cumulative buckets, which the judge compares.
//!
//! Their boundaries are exponential, and grow coarser when a histogram has too many of them
//! (<https://prometheus.io/docs/specs/native_histograms/>), or those of a classic histogram that was converted; empty buckets
//! are left out. What is compared are the edges that lie inside no bucket of any sample: the count up to them is exact.

use std::collections::BTreeSet;

use serin_judge::{Bucket, Histogram, Sample};

use crate::prometheus::{RawHistogram, RawSeries};

/// More edges than this are thinned out: neighbours tell nearly the same, and each costs time at every look.
const EDGES: usize = 32;
/// What is kept then: edges that are 2 to the power of a multiple of this.
const THINNED: f64 = 0.25;

/// Edges at which the histograms of all these series, of both versions, are known exactly.
pub(super) fn edges<'a>(all: impl Iterator<Item = &'a RawSeries>) -> Vec<f64> {
    let mut boundaries = BTreeSet::new();
    let mut spans = Vec::new();
    for (_, raw) in all.flat_map(|series| &series.histograms) {
        for part in read(raw).1 {
            boundaries.extend([part.lower, part.upper].into_iter().filter(|b| b.is_finite()).map(Edge));
            spans.push(part);
        }
    }
    let inside = |edge: f64| spans.iter().any(|part| part.lower < edge && edge < part.upper);
    let mut edges: Vec<f64> =
        boundaries.into_iter().map(|edge| edge.0).filter(|edge| !inside(*edge)).collect();
    if edges.len() > EDGES {
        edges.retain(|edge| {
            let power = edge.log2() / THINNED;
            (power - power.round()).abs() < 1e-6
        });
    }
    edges
}

/// The histogram of a series at these edges; `None` for a series of numbers.
pub(super) fn histogram(series: &RawSeries, edges: &[f64]) -> Option<Histogram> {
    if series.histograms.is_empty() {
        return None;
    }
    let samples: Vec<(i64, f64, Vec<Part>)> = series
        .histograms
        .iter()
        .map(|(at, raw)| {
            let (all, parts) = read(raw);
            (*at, all, parts)
        })
        .collect();
    let bucket = |le: f64| {
        let value = |all: f64, parts: &[Part]| {
            if le.is_infinite() {
                return all;
            }
            parts.iter().filter(|part| part.upper <= le).map(|part| part.count).sum()
        };
        let samples =
            samples.iter().map(|(at_ms, all, parts)| Sample { at_ms: *at_ms, value: value(*all, parts) });
        Bucket { le, samples: samples.collect() }
    };
    Some(Histogram { buckets: edges.iter().copied().chain([f64::INFINITY]).map(bucket).collect() })
}

/// Observations between two boundaries.
struct Part {
    lower: f64,
    upper: f64,
    count: f64,
}

/// All observations, and where they are. Text that is no number becomes NaN, which the judge counts as not scraped.
fn read(raw: &RawHistogram) -> (f64, Vec<Part>) {
    let number = |text: &String| text.parse().unwrap_or(f64::NAN);
    let part = |(_, lower, upper, count): &(u8, String, String, String)| Part {
        lower: number(lower),
        upper: number(upper),
        count: number(count),
    };
    (number(&raw.count), raw.buckets.iter().map(part).collect())
}

/// An edge in an order that even NaN has a place in.
#[derive(Clone, Copy, PartialEq)]
struct Edge(f64);
impl Eq for Edge {}
impl PartialOrd for Edge {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Edge {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]
    use super::*;
    use serde_json::json;

    fn series(histograms: &serde_json::Value) -> RawSeries {
        let text = json!({"metric": {"pod": "p"}, "histograms": histograms}).to_string();
        RawSeries::read(text.as_bytes(), &mut crate::prometheus::Words::default()).unwrap()
    }

    fn read_back(histograms: &serde_json::Value) -> Vec<(f64, Vec<f64>)> {
        let series = series(histograms);
        let found = histogram(&series, &edges([&series].into_iter())).unwrap();
        let values = |bucket: &Bucket| bucket.samples.iter().map(|s| s.value).collect();
        found.buckets.iter().map(|bucket| (bucket.le, values(bucket))).collect()
    }

    #[test]
    fn counts_add_up_to_each_edge() {
        let found = read_back(&json!([
            [10.0, {"count": "3", "sum": "1", "buckets": [[0, "0.1", "0.25", "2"], [0, "0.5", "1", "1"]]}],
            [12.0, {"count": "9", "sum": "3", "buckets": [[0, "0.1", "0.25", "5"], [0, "0.25", "0.5", "1"], [0, "0.5", "1", "3"]]}],
        ]));
        assert_eq!(
            found,
            [
                (0.1, vec![0.0, 0.0]),
                (0.25, vec![2.0, 5.0]),
                (0.5, vec![2.0, 6.0]),
                (1.0, vec![3.0, 9.0]),
                (f64::INFINITY, vec![3.0, 9.0]),
            ]
        );
    }

    #[test]
    fn an_edge_that_a_coarser_sample_has_no_more_is_left_out() {
        let found = read_back(&json!([
            [10.0, {"count": "4", "sum": "1", "buckets": [[0, "0.5", "0.7", "1"], [0, "0.7", "1", "2"], [0, "1", "1.4", "1"]]}],
            [12.0, {"count": "9", "sum": "3", "buckets": [[0, "0.5", "1", "7"], [0, "1", "2", "2"]]}],
        ]));
        let edges: Vec<f64> = found.iter().map(|(le, _)| *le).collect();
        assert_eq!(edges, [0.5, 1.0, 2.0, f64::INFINITY]);
        assert_eq!(found[1].1, [3.0, 7.0]);
    }

    #[test]
    fn a_version_of_which_nothing_is_so_fast_is_known_at_the_fast_edges_too() {
        let fast = series(
            &json!([[1.0, {"count": "9", "sum": "1", "buckets": [[3, "-Inf", "0.1", "8"], [0, "0.1", "0.2", "1"]]}]]),
        );
        let slow = series(&json!([[1.0, {"count": "5", "sum": "9", "buckets": [[0, "0.2", "0.5", "5"]]}]]));
        let edges = edges([&fast, &slow].into_iter());
        assert_eq!(edges, [0.1, 0.2, 0.5]);
        let counts = |series: &RawSeries| -> Vec<f64> {
            histogram(series, &edges).unwrap().buckets.iter().map(|b| b.samples[0].value).collect()
        };
        assert_eq!(counts(&fast), [8.0, 9.0, 9.0, 9.0]);
        assert_eq!(counts(&slow), [0.0, 0.0, 5.0, 5.0]);
    }

    #[test]
    fn many_edges_are_thinned_to_the_same_ones_in_every_pod() {
        let boundary = |n: i32| 2f64.powf(f64::from(n) / 8.0).to_string();
        let buckets: Vec<_> = (-40..40).map(|n| json!([0, boundary(n - 1), boundary(n), "1"])).collect();
        let found = read_back(&json!([[10.0, {"count": "80", "sum": "1", "buckets": buckets}]]));
        assert_eq!(found.len(), 41);
        let one = found.iter().find(|(le, _)| (*le - 1.0).abs() < 1e-9).unwrap();
        assert_eq!(one.1, [41.0]);
    }

    #[test]
    fn nonsense_is_no_number_and_never_a_crash() {
        let found = read_back(&json!([
            [1.0, {"count": "many", "sum": "1", "buckets": [[9, "x", "y", "z"], [0, "1", "2", "-3"]]}],
            [1e300, {"count": "1", "sum": "1"}],
        ]));
        assert!(found.last().unwrap().1[0].is_nan());
        assert!(histogram(&series(&json!([])), &[]).is_none());
    }
}
