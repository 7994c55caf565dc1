//! Mean latency, from a sum and a count: all that some servers export. *Asymptotic*: the budgets hold for many blocks,
//! not exactly for few, and a mean does not see a tail. Buckets are better.
//!
//! Ticks are grouped into blocks longer than the time over which latencies stay alike. A block gives the paired
//! difference `D = mean_c − (1+m)·mean_s`; under the null "the canary's mean is at most `1+m` times the stable one's"
//! its mean is at most 0. Evidence after n blocks is the t-statistic's mixture over effect sizes `δ ~ N(0, 1/c²)`
//! (Lai, Sankhya 1976; Wang and Ramdas, arXiv 2310.03722), which needs no variance to be known:
//!
//! ```text
//! E_n = sqrt(c²/(n+c²)) · ( (n+c²)·V / ((n+c²)·V − S⁺²) )^(n/2),   S = ΣD, S⁺ = max(S, 0), V = ΣD²
//! ```
//!
//! For many blocks it becomes the normal mixture of the asymptotic confidence sequence (Waudby-Smith et al., arXiv
//! 2103.06476). As in the error test, evidence is mixed over the block in which a regression began.

use std::ops::AddAssign;

use crate::counters::{Grid, PodRows, Rows};
use crate::eprocess::start_mass;
use crate::error::SUSPICIOUS;
use crate::ticks::{self, Pair};
use crate::{EvidencePoint, MeanParams, NoDataReason, ParamError, Sample, State, Window};

/// c²: effects of up to some four standard deviations of a block are likely.
const PRECISION: f64 = 0.25;
/// Blocks with less than so many requests of an arm have no mean to speak of; they wait for the next tick.
const LEAST_REQUESTS: f64 = 10.0;
/// Keeps the evidence representable.
const MOST_LOG: f64 = 500.0;

/// A sum and its count, of one pod. Time and start as in [`crate::PodCounters`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MeanPod {
    /// Name, unique in its arm.
    pub pod: String,
    /// When the pod started, milliseconds since the Unix epoch, if known.
    pub started_ms: Option<i64>,
    /// Times of successful scrapes, if known.
    pub scraped_ms: Vec<i64>,
    /// Pairs of series, (sum, count), one for each set of labels.
    pub series: Vec<(Vec<Sample>, Vec<Sample>)>,
}

/// The raw data of one mean latency.
#[derive(Debug, Clone, Copy)]
pub struct MeanInput<'a> {
    /// Pods of the new version.
    pub canary: &'a [MeanPod],
    /// Pods of the version that serves now.
    pub stable: &'a [MeanPod],
}

/// What the test on means says.
#[derive(Debug, Clone, PartialEq)]
pub struct MeanVerdict {
    /// As in [`crate::ErrorVerdict`], but asymptotic.
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
    /// The canary's mean, in the sum's unit.
    pub canary_mean: Option<f64>,
    /// The stable version's mean.
    pub stable_mean: Option<f64>,
    /// The canary's requests.
    pub canary_requests: f64,
    /// Blocks compared.
    pub blocks: u64,
    /// Unusable scrapes of both arms.
    pub discarded: u64,
    /// Resets of both arms.
    pub resets: u64,
    /// End of the last closed tick, milliseconds since the Unix epoch.
    pub last_tick_end_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Total {
    sum: f64,
    count: f64,
}

impl Total {
    fn mean(self) -> Option<f64> {
        (self.count > 0.0).then_some(self.sum / self.count)
    }
}

impl AddAssign<&Self> for Total {
    fn add_assign(&mut self, other: &Self) {
        self.sum += other.sum;
        self.count += other.count;
    }
}

/// A validated test on means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanTest {
    params: MeanParams,
}

impl MeanTest {
    /// Takes parameters that hold together.
    pub fn new(params: MeanParams) -> Result<Self, ParamError> {
        params.validate()?;
        Ok(Self { params })
    }

    /// The parameters.
    pub fn params(&self) -> &MeanParams {
        &self.params
    }

    /// Replays the window and gives the verdict of this metric alone.
    pub fn judge(&self, input: &MeanInput<'_>, window: &Window) -> MeanVerdict {
        self.replay(input, window).0
    }

    pub(crate) fn replay(&self, input: &MeanInput<'_>, window: &Window) -> (MeanVerdict, Vec<EvidencePoint>) {
        let (canary, stable) = (read(input.canary, window), read(input.stable, window));
        let ticks = ticks::closed(&canary, &stable, window);
        let (mut worse, mut better) = (TProcess::new(Starts::Any), TProcess::new(Starts::First));
        let (mut all_canary, mut all_stable) = (Total::default(), Total::default());
        let mut trace = Vec::new();
        for block in blocks(&ticks, self.params.block_ticks) {
            all_canary += &block.canary;
            all_stable += &block.stable;
            if let (Some(canary), Some(stable)) = (block.canary.mean(), block.stable.mean()) {
                worse.update(canary - (1.0 + self.params.max_increase) * stable);
                better.update((1.0 + self.params.unacceptable_increase) * stable - canary);
            }
            trace.push(EvidencePoint {
                end_ms: block.end_ms,
                rollback_evidence: worse.value(),
                promotion_evidence: better.value(),
            });
        }

        let threshold = 1.0 / self.params.false_rollback_budget;
        let decided_at_ms = trace.iter().find(|p| p.rollback_evidence >= threshold).map(|p| p.end_ms);
        let no_data = no_data(&canary, &stable, &trace, window);
        let unsuspicious = worse.value() < SUSPICIOUS;
        let passed = unsuspicious && better.value() >= 1.0 / self.params.false_promotion_budget;
        let verdict = MeanVerdict {
            state: State::settle(decided_at_ms.is_some(), no_data.is_some(), passed),
            no_data,
            rollback_evidence_log10: worse.value().log10(),
            promotion_evidence_log10: better.value().log10(),
            decided_at_ms,
            unsuspicious,
            canary_mean: all_canary.mean(),
            stable_mean: all_stable.mean(),
            canary_requests: all_canary.count,
            blocks: trace.len() as u64,
            discarded: canary.discarded + stable.discarded,
            resets: canary.resets + stable.resets,
            last_tick_end_ms: ticks.last().map(|tick| tick.end_ms),
        };
        (verdict, trace)
    }
}

fn read(pods: &[MeanPod], window: &Window) -> Grid<Total> {
    let pods = pods
        .iter()
        .map(|pod| PodRows {
            name: &pod.pod,
            started_ms: pod.started_ms,
            scraped_ms: &pod.scraped_ms,
            rows: pod.series.iter().map(|(sum, count)| Rows::join(0, &[count, sum], window)).collect(),
        })
        .collect();
    Grid::from_rows(pods, 2, window, |sums| match sums {
        [count, sum] => Total { sum: *sum, count: *count },
        _ => Total::default(),
    })
}

/// Ticks added up to blocks; a block ends when it has its ticks and enough requests on both sides.
fn blocks(ticks: &[Pair<Total>], block_ticks: u32) -> Vec<Pair<Total>> {
    let mut blocks = Vec::new();
    let mut open: Option<Pair<Total>> = None;
    let mut length = 0;
    for tick in ticks {
        let block = open.get_or_insert(Pair { end_ms: tick.end_ms, ..Pair::default() });
        block.end_ms = tick.end_ms;
        block.canary += &tick.canary;
        block.stable += &tick.stable;
        length += 1;
        if length >= block_ticks && block.canary.count.min(block.stable.count) >= LEAST_REQUESTS {
            blocks.extend(open.take());
            length = 0;
        }
    }
    blocks
}

fn no_data(
    canary: &Grid<Total>,
    stable: &Grid<Total>,
    trace: &[EvidencePoint],
    window: &Window,
) -> Option<NoDataReason> {
    let current = |arm: &Grid<Total>| arm.newest_ms.is_some_and(|at| !window.is_stale(at));
    if canary.newest_ms.is_none() {
        Some(NoDataReason::NoSeries)
    } else if !current(canary) {
        Some(NoDataReason::Stale)
    } else if !current(stable) {
        Some(NoDataReason::NoStable)
    } else if trace.is_empty() {
        Some(NoDataReason::NoRequests)
    } else {
        None
    }
}

/// When what is looked for may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Starts {
    /// With the first block.
    First,
    /// With any block.
    Any,
}

/// One start's sums.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Since {
    mass: f64,
    n: f64,
    sum: f64,
    squares: f64,
}

impl Since {
    fn evidence(&self) -> f64 {
        if self.squares <= 0.0 {
            return 1.0;
        }
        let (n, spread) = (self.n, self.n + PRECISION);
        let sum = self.sum.max(0.0);
        // By the Cauchy-Schwarz inequality S² ≤ n·V, so the rest is at least c²·V.
        let rest = (spread * self.squares - sum * sum).max(PRECISION * self.squares);
        let log = 0.5 * (PRECISION / spread).ln() + n / 2.0 * (spread * self.squares / rest).ln();
        log.clamp(-MOST_LOG, MOST_LOG).exp()
    }
}

/// The t-mixture over starts.
#[derive(Debug, Clone)]
struct TProcess {
    starts: Starts,
    since: Vec<Since>,
    scale: f64,
    spent: f64,
    value: f64,
}

impl TProcess {
    fn new(starts: Starts) -> Self {
        Self { starts, since: Vec::new(), scale: 0.0, spent: 0.0, value: 1.0 }
    }

    fn update(&mut self, difference: f64) {
        if !difference.is_finite() {
            return;
        }
        // The statistic does not depend on the unit; dividing by the first difference keeps squares in range.
        if self.scale == 0.0 {
            self.scale = difference.abs();
        }
        let scaled = if self.scale > 0.0 { (difference / self.scale).clamp(-1e100, 1e100) } else { 0.0 };
        let step = self.since.len();
        let mass = match (self.starts, step) {
            (Starts::First, 0) => 1.0,
            (Starts::First, _) => 0.0,
            (Starts::Any, step) => start_mass(step as f64),
        };
        self.spent += mass;
        if mass > 0.0 {
            self.since.push(Since { mass, ..Since::default() });
        }
        for since in &mut self.since {
            since.n += 1.0;
            since.sum += scaled;
            since.squares += scaled * scaled;
        }
        let started: f64 = self.since.iter().map(|since| since.mass * since.evidence()).sum();
        self.value = started + (1.0 - self.spent).max(0.0);
    }

    fn value(&self) -> f64 {
        self.value
    }
}
