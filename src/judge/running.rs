//! Evidence tick by tick, for who has counts instead of samples: simulations, and tools that explain a verdict.
//! The same processes that [`crate::ErrorTest::judge`] replays, in the same order: same counts, same bits.

use crate::counters::Counts;
use crate::dispersion::from_history;
use crate::error::Evidence;
use crate::histogram::Over;
use crate::latency::LatencyEvidence;
use crate::ticks::Pair;
use crate::{ArmTotals, ErrorTest, EvidencePoint, LatencyProfile, LatencyTest, TracePoint};

/// An error test that is fed counts.
pub struct ErrorEvidence(Evidence);

impl ErrorEvidence {
    /// No tick yet.
    pub fn new(test: &ErrorTest, dispersion_prior: f64) -> Self {
        Self(Evidence::new(test.params(), dispersion_prior))
    }

    /// Takes the counts of a tick.
    pub fn add(&mut self, end_ms: i64, canary: ArmTotals, stable: ArmTotals) -> TracePoint {
        let counts = |arm: ArmTotals| Counts { requests: arm.requests, errors: arm.errors };
        self.0.update(&Pair { end_ms, canary: counts(canary), stable: counts(stable) })
    }
}

/// A latency test that is fed counts.
pub struct LatencyCounts(LatencyEvidence);

impl LatencyCounts {
    /// No tick yet. The profile's edges are those of the counts.
    pub fn new(test: &LatencyTest, profile: &LatencyProfile) -> Self {
        Self(LatencyEvidence::new(test.params(), profile, &profile.edges))
    }

    /// Takes the counts of a tick: of each arm its requests, and how many of them were over each edge.
    pub fn add(&mut self, end_ms: i64, canary: (f64, &[f64]), stable: (f64, &[f64])) -> EvidencePoint {
        let over = |(requests, over): (f64, &[f64])| Over { requests, over: over.to_vec() };
        self.0.update(&Pair { end_ms, canary: over(canary), stable: over(stable) })
    }
}

/// [`crate::dispersion_prior`] of counts: in each tick those of some pods of the stable version and of the rest.
pub fn dispersion_of(history: &[(ArmTotals, ArmTotals)]) -> f64 {
    let counts = |arm: &ArmTotals| Counts { requests: arm.requests, errors: arm.errors };
    let ticks: Vec<_> = history
        .iter()
        .map(|(some, rest)| Pair { end_ms: 0, canary: counts(some), stable: counts(rest) })
        .collect();
    from_history(&ticks)
}
