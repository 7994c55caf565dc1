//! How clustered errors are. Requests are not independent: one broken backend call may fail many.
//!
//! If errors come in clusters of at most φ that fall wholly on one arm, raising every factor to `1/φ` keeps the
//! evidence valid. φ is the Pearson dispersion of the canary's errors around their conditional mean, in blocks of
//! 1, 4 and 16 ticks, the largest of the three and at least 1: slow drift of one arm shows in long blocks only.

use crate::counters::{Arm, Counts};
use crate::ticks::{self, Tick};
use crate::{PodCounters, Window};

/// Block lengths in ticks.
const BLOCKS: [u32; 3] = [1, 4, 16];
/// The prior weighs as much as blocks of this many ticks altogether.
const PRIOR_TICKS: f64 = 80.0;
/// Blocks with less conditional variance say nothing.
const LEAST_VARIANCE: f64 = 0.05;
/// Blocks of dispersion 1 that history starts with.
const HISTORY_BLOCKS: f64 = 5.0;

/// Ratio of the arms' error ratios; half an error more on each side keeps it finite and positive.
pub(crate) fn ratio_estimate(canary: Counts, stable: Counts) -> f64 {
    ((canary.errors + 0.5) / (canary.requests + 1.0)) / ((stable.errors + 0.5) / (stable.requests + 1.0))
}

/// Residual and conditional variance of the canary's errors in a tick.
fn residual(ratio: f64, canary: Counts, stable: Counts) -> (f64, f64) {
    let share = ratio * canary.requests / (ratio * canary.requests + stable.requests);
    let errors = canary.errors + stable.errors;
    (canary.errors - errors * share, errors * share * (1.0 - share))
}

fn comparable(canary: Counts, stable: Counts) -> bool {
    canary.requests > 0.0 && stable.requests > 0.0
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Blocks {
    length: u32,
    residual: f64,
    variance: f64,
    chi: f64,
    closed: f64,
}

impl Blocks {
    fn add(&mut self, (residual, variance): (f64, f64)) {
        self.residual += residual;
        self.variance += variance;
    }

    fn close(&mut self) {
        if self.variance > LEAST_VARIANCE {
            self.chi += self.residual * self.residual / self.variance;
            self.closed += 1.0;
        }
        self.residual = 0.0;
        self.variance = 0.0;
    }

    fn estimate(&self, prior: f64, prior_blocks: f64) -> f64 {
        (prior_blocks * prior + self.chi) / (prior_blocks + self.closed)
    }
}

/// Running estimate of φ.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dispersion {
    prior: f64,
    tick: u32,
    canary: Counts,
    stable: Counts,
    blocks: [Blocks; 3],
    phi: f64,
}

impl Dispersion {
    /// Starts from a prior; one that is no number of at least 1 counts as 1.
    pub(crate) fn new(prior: f64) -> Self {
        let prior = if prior.is_finite() { prior.max(1.0) } else { 1.0 };
        let blocks = BLOCKS.map(|length| Blocks { length, ..Blocks::default() });
        Self { prior, tick: 0, canary: Counts::default(), stable: Counts::default(), blocks, phi: prior }
    }

    /// φ from the ticks so far.
    pub(crate) fn phi(&self) -> f64 {
        self.phi
    }

    pub(crate) fn update(&mut self, tick: &Tick) {
        let mut found = (0.0, 0.0);
        if comparable(tick.canary, tick.stable) {
            self.canary += &tick.canary;
            self.stable += &tick.stable;
            found = residual(ratio_estimate(self.canary, self.stable), tick.canary, tick.stable);
        }
        self.phi = 1.0;
        for blocks in &mut self.blocks {
            blocks.add(found);
            if self.tick % blocks.length == blocks.length - 1 {
                blocks.close();
            }
            let weight = PRIOR_TICKS / f64::from(blocks.length);
            self.phi = self.phi.max(blocks.estimate(self.prior, weight));
        }
        self.tick = self.tick.wrapping_add(1);
    }
}

/// Dispersion φ₀ to start an analysis with, from a history of the stable version alone (three hours are enough):
/// every tenth pod, by name, against the rest. With fewer than two pods it is 1, "not clustered as far as is known".
pub fn dispersion_prior(stable: &[PodCounters], window: &Window) -> f64 {
    let (some, rest) = sample_pods(stable, |pod| &pod.pod);
    from_history(&ticks::closed(&Arm::read(&some, window), &Arm::read(&rest, window), window))
}

/// Every tenth pod by name, and the rest.
pub(crate) fn sample_pods<P: Clone>(pods: &[P], name: impl Fn(&P) -> &str) -> (Vec<P>, Vec<P>) {
    let mut names: Vec<&str> = pods.iter().map(&name).collect();
    names.sort_unstable();
    names.dedup();
    let sampled: Vec<&str> = names.into_iter().step_by(10).collect();
    pods.iter().cloned().partition(|pod| sampled.binary_search(&name(pod)).is_ok())
}

pub(crate) fn from_history(history: &[Tick]) -> f64 {
    let (mut some, mut rest) = (Counts::default(), Counts::default());
    for tick in history {
        some += &tick.canary;
        rest += &tick.stable;
    }
    let ratio = ratio_estimate(some, rest);
    let mut phi: f64 = 1.0;
    for length in BLOCKS {
        let mut blocks = Blocks::default();
        for block in history.chunks_exact(length as usize) {
            let (mut a, mut b) = (Counts::default(), Counts::default());
            for tick in block {
                a += &tick.canary;
                b += &tick.stable;
            }
            if comparable(a, b) {
                blocks.add(residual(ratio, a, b));
            }
            blocks.close();
        }
        phi = phi.max(blocks.estimate(1.0, HISTORY_BLOCKS));
    }
    phi
}
