//! Latency histograms: cumulative buckets of each pod become counts over each edge, per tick.
//!
//! A scrape counts only if it has all the edges that are compared, and the bucket of all requests (`+Inf`). Client
//! libraries do not take a histogram's snapshot at once; where a count over a larger edge comes out larger than one
//! over a smaller edge, it is lowered to that.

use std::ops::AddAssign;

use crate::counters::{Grid, PodRows, Rows};
use crate::{Sample, Window};

/// One bucket: requests that took at most `le`, counted cumulatively over edges and over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Upper edge, in any unit; infinite for the bucket of all requests.
    pub le: f64,
    /// Samples in any order.
    pub samples: Vec<Sample>,
}

/// One histogram: all buckets with one set of labels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// Its buckets in any order. Without one for `+Inf` it cannot be read.
    pub buckets: Vec<Bucket>,
}

/// All histograms of one metric of one pod. Time and start as in [`crate::PodCounters`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HistogramPod {
    /// Name, unique in its arm.
    pub pod: String,
    /// When the pod started, milliseconds since the Unix epoch, if known.
    pub started_ms: Option<i64>,
    /// Times of successful scrapes, if known.
    pub scraped_ms: Vec<i64>,
    /// The histograms; requests of all of them are added.
    pub histograms: Vec<Histogram>,
}

/// Requests of a tick, and how many of them were over each edge.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Over {
    pub requests: f64,
    pub over: Vec<f64>,
}

impl AddAssign<&Self> for Over {
    fn add_assign(&mut self, other: &Self) {
        self.requests += other.requests;
        // One grid has one set of edges; the empty value stands for "nothing yet".
        self.over.resize(self.over.len().max(other.over.len()), 0.0);
        for (sum, more) in self.over.iter_mut().zip(&other.over) {
            *sum += more;
        }
    }
}

/// Finite edges that every histogram has, ascending. A pod with other edges than the rest leaves what they share.
pub(crate) fn common_edges<'a>(pods: impl Iterator<Item = &'a HistogramPod>) -> Vec<f64> {
    let mut common: Option<Vec<f64>> = None;
    for histogram in pods.flat_map(|pod| &pod.histograms) {
        let edges = edges_of(histogram);
        match &mut common {
            None => common = Some(edges),
            Some(common) => common.retain(|edge| edges.binary_search_by(|e| e.total_cmp(edge)).is_ok()),
        }
    }
    common.unwrap_or_default()
}

fn edges_of(histogram: &Histogram) -> Vec<f64> {
    let with_samples = histogram.buckets.iter().filter(|b| !b.samples.is_empty());
    // An edge that is not positive has no logarithm to interpolate on, and no latency is below it.
    let mut edges: Vec<f64> = with_samples.map(|b| b.le).filter(|le| le.is_finite() && *le > 0.0).collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    edges
}

/// Reads one arm at the given edges, ascending.
pub(crate) fn read(pods: &[HistogramPod], edges: &[f64], window: &Window) -> Grid<Over> {
    let pods = pods
        .iter()
        .map(|pod| PodRows {
            name: &pod.pod,
            started_ms: pod.started_ms,
            scraped_ms: &pod.scraped_ms,
            rows: pod.histograms.iter().map(|histogram| rows(histogram, edges, window)).collect(),
        })
        .collect();
    Grid::from_rows(pods, edges.len() + 1, window, over)
}

fn rows(histogram: &Histogram, edges: &[f64], window: &Window) -> Rows {
    let bucket = |le: f64| -> &[Sample] {
        histogram.buckets.iter().find(|b| b.le.total_cmp(&le).is_eq()).map_or(&[], |b| &b.samples)
    };
    let mut counters = vec![bucket(f64::INFINITY)];
    counters.extend(edges.iter().map(|edge| bucket(*edge)));
    Rows::join(0, &counters, window)
}

/// From the tick's increase of all requests and of each bucket.
fn over(sums: &[f64]) -> Over {
    let Some((requests, buckets)) = sums.split_first() else { return Over::default() };
    let mut least = *requests;
    let over = buckets
        .iter()
        .map(|bucket| {
            least = (requests - bucket).clamp(0.0, least);
            least
        })
        .collect();
    Over { requests: *requests, over }
}
