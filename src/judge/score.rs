//! Scores within known bounds, such as a running accuracy that a server exports as a gauge: by betting.
//!
//! Best is to count: with counters of labelled and of wrong answers, [`crate::judge_quality`] needs far less time.
//!
//! Each block of ticks gives one pair of means, and with them `D = (g_s − g_c + r)/(2r)` in [0, 1], where r is the
//! width of the bounds (for a score where less is better, the other way round). Under the null "the canary's score is
//! worse by at most the margin" the mean of D is at most `m = (margin + r)/(2r)`. A bet on more,
//!
//! ```text
//! K_t = Π (1 + λ_t (D_t − m)),   λ_t = clip((μ̂ − m) / (σ̂² + (μ̂ − m)²), 0, 1/(2m))
//! ```
//!
//! with μ̂ and σ̂² from earlier blocks, multiplies its stake by at most one on average (Waudby-Smith and Ramdas, JRSS B
//! 2024, arXiv 2010.09686). Blocks have to be longer than the time over which the scores are correlated.

use std::collections::BTreeMap;

use crate::eprocess::start_mass;
use crate::error::SUSPICIOUS;
use crate::{Direction, EvidencePoint, GaugePod, NoDataReason, ParamError, ScoreParams, State, Window};

/// Keeps the products representable.
const LEAST: f64 = 1e-200;
const MOST: f64 = 1e200;

/// The raw data of one score.
#[derive(Debug, Clone, Copy)]
pub struct ScoreInput<'a> {
    /// Pods of the new version.
    pub canary: &'a [GaugePod],
    /// Pods of the version that serves now.
    pub stable: &'a [GaugePod],
}

/// What the test on scores says.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreVerdict {
    /// As in [`crate::ErrorVerdict`].
    pub state: State,
    /// Why there is nothing to judge; may be present beside Fail, which holds once reached.
    pub no_data: Option<NoDataReason>,
    /// log10 of the rollback evidence after the last block.
    pub rollback_evidence_log10: f64,
    /// log10 of the promotion evidence after the last block.
    pub promotion_evidence_log10: f64,
    /// End of the block at which the rollback evidence first reached `1/α`, milliseconds since the Unix epoch.
    pub decided_at_ms: Option<i64>,
    /// Whether the rollback evidence is below 3.
    pub unsuspicious: bool,
    /// Mean over the blocks of the canary's score.
    pub canary_mean: Option<f64>,
    /// Mean over the blocks of the stable version's score.
    pub stable_mean: Option<f64>,
    /// Blocks compared.
    pub blocks: u64,
    /// Samples that are no number or out of bounds.
    pub discarded: u64,
    /// End of the last compared block, milliseconds since the Unix epoch.
    pub last_tick_end_ms: Option<i64>,
}

/// A validated test on scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreTest {
    params: ScoreParams,
}

/// Pods' values of one arm, by block.
#[derive(Default)]
struct Gauges {
    blocks: BTreeMap<i64, Vec<f64>>,
    newest_ms: Option<i64>,
    discarded: u64,
}

impl ScoreTest {
    /// Takes parameters that hold together.
    pub fn new(params: ScoreParams) -> Result<Self, ParamError> {
        params.validate()?;
        Ok(Self { params })
    }

    /// The parameters.
    pub fn params(&self) -> &ScoreParams {
        &self.params
    }

    /// Replays the window and gives the verdict of this metric alone.
    pub fn judge(&self, input: &ScoreInput<'_>, window: &Window) -> ScoreVerdict {
        self.replay(input, window).0
    }

    pub(crate) fn replay(
        &self,
        input: &ScoreInput<'_>,
        window: &Window,
    ) -> (ScoreVerdict, Vec<EvidencePoint>) {
        let (canary, stable) = (self.read(input.canary, window), self.read(input.stable, window));
        let both = canary.newest_ms.min(stable.newest_ms);
        let width = self.params.max - self.params.min;
        let scaled = |difference: f64| f64::midpoint(difference / width, 1.0);
        let mut worse = Bets::new(scaled(self.params.margin), true);
        let mut better = Bets::new(1.0 - scaled(self.params.unacceptable_margin), false);
        let (mut sum_canary, mut sum_stable) = (0.0, 0.0);
        let mut trace = Vec::new();
        for (block, values) in &canary.blocks {
            let end_ms = self.end_of(*block, window);
            let Some(others) = stable.blocks.get(block).filter(|_| window.is_closed(end_ms, both)) else {
                continue;
            };
            let (c, s) = (mean(values), mean(others));
            sum_canary += c;
            sum_stable += s;
            let loss = match self.params.better {
                Direction::Higher => s - c,
                Direction::Lower => c - s,
            };
            let d = scaled(loss).clamp(0.0, 1.0);
            worse.update(d);
            better.update(1.0 - d);
            let (rollback_evidence, promotion_evidence) = (worse.value(), better.value());
            trace.push(EvidencePoint { end_ms, rollback_evidence, promotion_evidence });
        }

        let threshold = 1.0 / self.params.false_rollback_budget;
        let decided_at_ms = trace.iter().find(|p| p.rollback_evidence >= threshold).map(|p| p.end_ms);
        let no_data = no_data(&canary, &stable, trace.is_empty(), window);
        let unsuspicious = worse.value() < SUSPICIOUS;
        let passed = unsuspicious && better.value() >= 1.0 / self.params.false_promotion_budget;
        let blocks = trace.len() as f64;
        let verdict = ScoreVerdict {
            state: State::settle(decided_at_ms.is_some(), no_data.is_some(), passed),
            no_data,
            rollback_evidence_log10: worse.value().log10(),
            promotion_evidence_log10: better.value().log10(),
            decided_at_ms,
            unsuspicious,
            canary_mean: (blocks > 0.0).then(|| sum_canary / blocks),
            stable_mean: (blocks > 0.0).then(|| sum_stable / blocks),
            blocks: trace.len() as u64,
            discarded: canary.discarded + stable.discarded,
            last_tick_end_ms: trace.last().map(|p| p.end_ms),
        };
        (verdict, trace)
    }

    fn length(&self) -> i64 {
        i64::from(self.params.block_ticks.max(1))
    }

    fn end_of(&self, block: i64, window: &Window) -> i64 {
        window.end_of(block.saturating_mul(self.length()).saturating_add(self.length() - 1))
    }

    fn read(&self, pods: &[GaugePod], window: &Window) -> Gauges {
        let mut found = Gauges::default();
        for sample in pods.iter().flat_map(|pod| &pod.samples).filter(|s| s.at_ms <= window.now_ms) {
            if !(self.params.min..=self.params.max).contains(&sample.value) {
                found.discarded += 1;
                continue;
            }
            found.newest_ms = found.newest_ms.max(Some(sample.at_ms));
            let tick = window.tick_of(sample.at_ms);
            if tick >= 0 {
                found.blocks.entry(tick / self.length()).or_default().push(sample.value);
            }
        }
        // Sorted, so that the sum does not depend on the order of pods.
        for values in found.blocks.values_mut() {
            values.sort_by(f64::total_cmp);
        }
        found
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().map(|value| value / values.len() as f64).sum()
}

fn no_data(canary: &Gauges, stable: &Gauges, nothing: bool, window: &Window) -> Option<NoDataReason> {
    let current = |arm: &Gauges| arm.newest_ms.is_some_and(|at| !window.is_stale(at));
    if canary.newest_ms.is_none() {
        Some(NoDataReason::NoSeries)
    } else if !current(canary) {
        Some(NoDataReason::Stale)
    } else if !current(stable) {
        Some(NoDataReason::NoStable)
    } else if nothing {
        Some(NoDataReason::NoRequests)
    } else {
        None
    }
}

/// The capital of bets that "the mean is above `m`", mixed over the block they begin with.
#[derive(Debug, Clone)]
struct Bets {
    m: f64,
    late_starts: bool,
    capital: f64,
    spent: f64,
    n: f64,
    sum: f64,
    squares: f64,
}

impl Bets {
    fn new(m: f64, late_starts: bool) -> Self {
        // As if one block of one half, with variance one quarter, had been seen.
        Self { m, late_starts, capital: 0.0, spent: 0.0, n: 0.0, sum: 0.5, squares: 0.25 }
    }

    fn update(&mut self, d: f64) {
        let mass = match (self.late_starts, self.n > 0.0) {
            (true, _) => start_mass(self.n),
            (false, false) => 1.0,
            (false, true) => 0.0,
        };
        self.spent += mass;
        let mean = self.sum / (self.n + 1.0);
        let variance = self.squares / (self.n + 1.0);
        let edge = mean - self.m;
        let bet = (edge / (variance + edge * edge)).clamp(0.0, 0.5 / self.m);
        self.capital = ((self.capital + mass) * (1.0 + bet * (d - self.m))).clamp(LEAST, MOST);
        self.n += 1.0;
        self.sum += d;
        let mean = self.sum / (self.n + 1.0);
        self.squares += (d - mean) * (d - mean);
    }

    fn value(&self) -> f64 {
        self.capital + (1.0 - self.spent).max(0.0)
    }
}
