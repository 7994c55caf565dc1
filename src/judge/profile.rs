//! What the stable version's latency looks like, from its history.

use crate::Window;
use crate::counters::Counts;
use crate::dispersion::{from_history, sample_pods};
use crate::histogram::{self, HistogramPod, Over};
use crate::ticks::{self, Pair, Tick};

/// The stable version's shares over bucket edges, and how clustered they are. Made once from the time before an
/// analysis (an hour is enough); the same for the whole analysis.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LatencyProfile {
    /// Finite bucket edges, ascending.
    pub edges: Vec<f64>,
    /// Share of requests over each edge; half a request more keeps them above zero.
    pub shares: Vec<f64>,
    /// Dispersion of the count over each edge, at least 1: one pod in ten against the rest, as in
    /// [`crate::dispersion_prior`].
    pub phi: Vec<f64>,
    /// Requests that this was seen on.
    pub requests: f64,
}

impl LatencyProfile {
    /// Reads the stable version's histograms.
    pub fn read(stable: &[HistogramPod], window: &Window) -> Self {
        let edges = histogram::common_edges(stable.iter());
        let grid = histogram::read(stable, &edges, window);
        let mut total = Over::default();
        for over in grid.ticks.values() {
            total += over;
        }
        let (some, rest) = sample_pods(stable, |pod| &pod.pod);
        let pairs = ticks::closed(
            &histogram::read(&some, &edges, window),
            &histogram::read(&rest, &edges, window),
            window,
        );
        let phi = (0..edges.len())
            .map(|edge| from_history(&pairs.iter().map(|pair| at_edge(pair, edge)).collect::<Vec<_>>()))
            .collect();
        Self::new(edges, &total, phi)
    }

    pub(crate) fn new(edges: Vec<f64>, total: &Over, phi: Vec<f64>) -> Self {
        let shares = (0..edges.len())
            .map(|edge| (total.over.get(edge).copied().unwrap_or(0.0) + 0.5) / (total.requests + 1.0))
            .collect();
        Self { edges, shares, phi, requests: total.requests }
    }
}

/// One edge's counts as requests and errors.
pub(crate) fn at_edge(pair: &Pair<Over>, edge: usize) -> Tick {
    let counts =
        |arm: &Over| Counts { requests: arm.requests, errors: arm.over.get(edge).copied().unwrap_or(0.0) };
    Pair { end_ms: pair.end_ms, canary: counts(&pair.canary), stable: counts(&pair.stable) }
}
