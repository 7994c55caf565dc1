//! "At most so much slower", in terms of shares over bucket edges.
//!
//! If the canary takes at most `1+m` times the stable version's time, then of its requests at most as many are over
//! the edge `b` as are over `b/(1+m)` in the stable version: `S_c(b) ≤ S_s(b/(1+m))`. So the tolerated ratio at an
//! edge is `ρ = S_s(b/(1+m)) / S_s(b)`, with `S_s` from the stable version's own history. Between edges a histogram
//! says nothing; `S_s` is interpolated twice, `ln S` and the normal quantile of `S` linearly over `ln b`.

use crate::CoarseEdges;
use crate::normal::{tail_quantile, upper_tail};

/// Shares are kept this far from 0 and 1, where they have no logarithm and no quantile.
const LEAST_SHARE: f64 = 1e-7;

/// Shares over edges, ascending edges and at least one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tail<'a> {
    pub edges: &'a [f64],
    pub shares: &'a [f64],
}

/// What can be said about a point between edges.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Between {
    /// At the next lower edge, the largest possible.
    below: f64,
    log_log: f64,
    probit: f64,
}

impl Tail<'_> {
    fn share(&self, index: usize) -> Option<f64> {
        self.shares.get(index).map(|s| s.clamp(LEAST_SHARE, 1.0 - LEAST_SHARE))
    }

    /// None below the first edge: there nothing is known.
    fn at(&self, x: f64) -> Option<Between> {
        // The first edge above x; the one before is at or below it.
        // An edge that only rounding puts above x is at x.
        let above = self.edges.partition_point(|edge| *edge <= x * (1.0 + 1e-9));
        let below = above.checked_sub(1)?;
        let (low, s_low) = (*self.edges.get(below)?, self.share(below)?);
        let (Some(high), Some(s_high)) = (self.edges.get(above), self.share(above)) else {
            return Some(Between { below: s_low, log_log: s_low, probit: s_low });
        };
        let part = (x.ln() - low.ln()) / (high.ln() - low.ln());
        let mix = |a: f64, b: f64| a + part * (b - a);
        Some(Between {
            below: s_low,
            log_log: mix(s_low.ln(), s_high.ln()).exp(),
            probit: upper_tail(mix(tail_quantile(s_low), tail_quantile(s_high))),
        })
    }

    /// Ratio that a slowdown by `increase` may reach at an edge, rounded to the tolerant side. None where the edge
    /// cannot tell: `edge/(1+increase)` is below the first one.
    pub(crate) fn tolerated(&self, edge: usize, increase: f64, coarse: CoarseEdges) -> Option<f64> {
        let between = self.at(self.edges.get(edge)? / (1.0 + increase))?;
        let share = match coarse {
            CoarseEdges::Interpolate => between.log_log.max(between.probit),
            CoarseEdges::NextLower => between.below,
        };
        // Noise of neighbouring shares must not make equality a violation.
        Some((share / self.share(edge)?).max(1.02))
    }

    /// Ratio that a slowdown by `increase` reaches at least at an edge, rounded to the strict side.
    pub(crate) fn unacceptable(&self, edge: usize, increase: f64) -> Option<f64> {
        let between = self.at(self.edges.get(edge)? / (1.0 + increase))?;
        Some(between.log_log.min(between.probit) / self.share(edge)?)
    }

    /// How much slower something has to be to surely move past a whole bucket at this edge: the step to the edge
    /// below, minus one. None at the first edge.
    pub(crate) fn step(&self, edge: usize) -> Option<f64> {
        Some(self.edges.get(edge)? / self.edges.get(edge.checked_sub(1)?)? - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: [f64; 4] = [0.1, 0.2, 0.4, 0.8];
    const SHARES: [f64; 4] = [0.5, 0.2, 0.05, 0.01];
    const TAIL: Tail<'_> = Tail { edges: &EDGES, shares: &SHARES };

    #[test]
    fn a_slowdown_by_a_whole_bucket_needs_no_interpolation() {
        for coarse in [CoarseEdges::Interpolate, CoarseEdges::NextLower] {
            assert!((TAIL.tolerated(2, 1.0, coarse).unwrap() - 4.0).abs() < 1e-9);
        }
        assert!((TAIL.unacceptable(2, 1.0).unwrap() - 4.0).abs() < 1e-9);
    }

    #[test]
    fn between_edges_the_tolerant_side_is_taken() {
        let strict = TAIL.unacceptable(2, 0.2).unwrap();
        let middle = TAIL.tolerated(2, 0.2, CoarseEdges::Interpolate).unwrap();
        let widest = TAIL.tolerated(2, 0.2, CoarseEdges::NextLower).unwrap();
        assert!(strict <= middle && middle < widest, "{strict} {middle} {widest}");
        assert!((widest - 4.0).abs() < 1e-9);
    }

    #[test]
    fn below_the_first_edge_nothing_is_known() {
        assert_eq!(TAIL.tolerated(0, 0.2, CoarseEdges::Interpolate), None);
        assert_eq!(TAIL.step(0), None);
        assert_eq!(TAIL.step(1), Some(1.0));
    }
}
