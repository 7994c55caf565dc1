//! The latency test: is the canary more than tolerably slower?
//!
//! At each bucket edge the requests over it are counted like errors, and tested like them, with the ratio that a
//! tolerable slowdown gives there (see `tail`). Evidence for rolling back is the mean over the edges, which are
//! dependent: the mean of e-values is one all the same (Vovk and Wang, Annals of Statistics 2021). Evidence for
//! promoting is the smallest: every edge must speak against an unacceptable slowdown. No quantile is estimated.

use crate::counters::Grid;
use crate::dispersion::Dispersion;
use crate::eprocess::RatioProcess;
use crate::error::SUSPICIOUS;
use crate::histogram::{self, HistogramPod, Over, common_edges};
use crate::profile::at_edge;
use crate::tail::Tail;
use crate::ticks::{self, Pair};
use crate::{LatencyParams, LatencyProfile, NoDataReason, ParamError, State, Window};

/// Edges with more or fewer of the stable version's requests over them are not compared: there is too little to see,
/// or nothing of the tail.
const USABLE_SHARES: std::ops::Range<f64> = 0.002..0.5;
/// A profile on fewer requests is not used; the first ticks of the analysis make one instead.
const LEAST_HISTORY: f64 = 1000.0;
/// A ratio this close to 1 cannot be told from it.
const LEAST_UNACCEPTABLE: f64 = 1.05;

/// The raw data of one latency metric.
#[derive(Debug, Clone, Copy)]
pub struct LatencyInput<'a> {
    /// Pods of the new version.
    pub canary: &'a [HistogramPod],
    /// Pods of the version that serves now.
    pub stable: &'a [HistogramPod],
    /// The stable version before the analysis. Without one on at least 1,000 requests, the stable version's first
    /// ticks of the analysis are learned from, and only later ones are judged.
    pub profile: &'a LatencyProfile,
}

/// Why latencies cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LatencyNoData {
    /// As for other metrics.
    Data(NoDataReason),
    /// The two versions, or the stable one and its history, have no bucket edge in common.
    NoCommonEdge,
    /// No edge has between 0.2 % and 50 % of the stable version's requests over it and another edge far enough below
    /// it to express the tolerated slowdown.
    NoUsableEdge,
    /// Too few requests of the stable version yet to know its latencies.
    Learning,
}

/// One edge of the histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EdgeVerdict {
    /// Upper edge of the bucket, in the histogram's unit.
    pub le: f64,
    /// Share of the canary's requests over it.
    pub canary_share: f64,
    /// Share of the stable version's requests over it, in the analysis.
    pub stable_share: f64,
    /// Ratio of the shares that is tolerated here.
    pub max_ratio: f64,
    /// log10 of this edge's evidence for rolling back.
    pub rollback_evidence_log10: f64,
    /// log10 of this edge's evidence for promoting; none where an unacceptable slowdown cannot be told from none.
    pub promotion_evidence_log10: Option<f64>,
    /// Dispersion φ.
    pub phi: f64,
    /// Slowdown that surely moves past a whole bucket here, such as 1.0 for a step of 2. Where it is more than the
    /// tolerated one, that one was interpolated, and a different shape of latencies may make it more or less strict.
    pub bucket_step: f64,
}

impl EdgeVerdict {
    /// Whether the edges around this one are too far apart to express `max_increase` without interpolation.
    pub fn is_coarse(&self, max_increase: f64) -> bool {
        self.bucket_step > max_increase * (1.0 + 1e-9)
    }
}

/// What the latency test says.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyVerdict {
    /// As in [`crate::ErrorVerdict`].
    pub state: State,
    /// Why there is nothing to judge; may be present beside Fail, which holds once reached.
    pub no_data: Option<LatencyNoData>,
    /// log10 of the mean of the edges' rollback evidence after the last closed tick.
    pub rollback_evidence_log10: f64,
    /// log10 of the smallest promotion evidence after the last closed tick.
    pub promotion_evidence_log10: f64,
    /// End of the first tick at which the rollback evidence reached `1/α`, milliseconds since the Unix epoch.
    pub decided_at_ms: Option<i64>,
    /// Whether the rollback evidence is below 3.
    pub unsuspicious: bool,
    /// The canary's requests.
    pub canary_requests: f64,
    /// The stable version's requests.
    pub stable_requests: f64,
    /// The edges that were compared.
    pub edges: Vec<EdgeVerdict>,
    /// Whether the tolerated slowdown had to be interpolated at an edge.
    pub coarse: bool,
    /// Ticks that were learned from instead of judged.
    pub learned: u64,
    /// Closed ticks that were judged.
    pub ticks: u64,
    /// Unusable scrapes of both arms.
    pub discarded: u64,
    /// Resets of both arms.
    pub resets: u64,
    /// End of the last closed tick, milliseconds since the Unix epoch.
    pub last_tick_end_ms: Option<i64>,
}

/// Evidence after one tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvidencePoint {
    /// End of the tick, milliseconds since the Unix epoch.
    pub end_ms: i64,
    /// Evidence for rolling back (not its logarithm).
    pub rollback_evidence: f64,
    /// Evidence for promoting (not its logarithm).
    pub promotion_evidence: f64,
}

/// A validated latency test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyTest {
    params: LatencyParams,
}

impl LatencyTest {
    /// Takes parameters that hold together.
    pub fn new(params: LatencyParams) -> Result<Self, ParamError> {
        params.validate()?;
        Ok(Self { params })
    }

    /// The parameters.
    pub fn params(&self) -> &LatencyParams {
        &self.params
    }

    /// Replays the window and gives the verdict of this metric alone.
    pub fn judge(&self, input: &LatencyInput<'_>, window: &Window) -> LatencyVerdict {
        self.replay(input, window).0
    }

    /// The evidence after every judged tick, to explain a verdict.
    pub fn trace(&self, input: &LatencyInput<'_>, window: &Window) -> Vec<EvidencePoint> {
        self.replay(input, window).1
    }

    pub(crate) fn replay(
        &self,
        input: &LatencyInput<'_>,
        window: &Window,
    ) -> (LatencyVerdict, Vec<EvidencePoint>) {
        let shared = common_edges(input.canary.iter().chain(input.stable));
        let known = input.profile.requests >= LEAST_HISTORY;
        let mut edges = shared;
        if known {
            edges.retain(|edge| input.profile.edges.iter().any(|e| e.total_cmp(edge).is_eq()));
        }
        let canary = histogram::read(input.canary, &edges, window);
        let stable = histogram::read(input.stable, &edges, window);
        let ticks = ticks::closed(&canary, &stable, window);

        let learned = if known { Some((0, input.profile.clone())) } else { learn(&edges, &ticks) };
        let mut evidence = learned
            .as_ref()
            .map(|(_, profile)| LatencyEvidence::new(&self.params, profile, &edges))
            .unwrap_or_default();
        let learned = learned.map_or(ticks.len(), |(ticks, _)| ticks);
        let trace: Vec<EvidencePoint> =
            ticks.iter().skip(learned).map(|tick| evidence.update(tick)).collect();

        let no_data = no_data(&canary, &stable, &edges, trace.is_empty(), &evidence, window);
        let verdict = self.verdict(&evidence, &trace, no_data);
        let verdict = LatencyVerdict {
            learned: learned as u64,
            discarded: canary.discarded + stable.discarded,
            resets: canary.resets + stable.resets,
            last_tick_end_ms: ticks.last().map(|tick| tick.end_ms),
            ..verdict
        };
        (verdict, trace)
    }

    fn verdict(
        &self,
        evidence: &LatencyEvidence,
        trace: &[EvidencePoint],
        no_data: Option<LatencyNoData>,
    ) -> LatencyVerdict {
        let threshold = 1.0 / self.params.false_rollback_budget;
        let decided_at_ms = trace.iter().find(|p| p.rollback_evidence >= threshold).map(|p| p.end_ms);
        let (rollback, promotion) = (evidence.rollback(), evidence.promotion());
        let unsuspicious = rollback < SUSPICIOUS;
        let passed = unsuspicious && promotion >= 1.0 / self.params.false_promotion_budget;
        let edges: Vec<EdgeVerdict> = evidence.verdicts();
        LatencyVerdict {
            state: State::settle(decided_at_ms.is_some(), no_data.is_some(), passed),
            no_data,
            rollback_evidence_log10: rollback.log10(),
            promotion_evidence_log10: promotion.log10(),
            decided_at_ms,
            unsuspicious,
            canary_requests: evidence.canary.requests,
            stable_requests: evidence.stable.requests,
            coarse: edges.iter().any(|edge| edge.is_coarse(self.params.max_increase)),
            edges,
            learned: 0,
            ticks: trace.len() as u64,
            discarded: 0,
            resets: 0,
            last_tick_end_ms: None,
        }
    }
}

/// A profile from the stable version's first ticks, and their number; none while there are too few requests.
fn learn(edges: &[f64], ticks: &[Pair<Over>]) -> Option<(usize, LatencyProfile)> {
    let mut total = Over::default();
    for (index, tick) in ticks.iter().enumerate() {
        total += &tick.stable;
        if total.requests >= LEAST_HISTORY {
            let unknown = vec![1.0; edges.len()];
            return Some((index + 1, LatencyProfile::new(edges.to_vec(), &total, unknown)));
        }
    }
    None
}

fn no_data(
    canary: &Grid<Over>,
    stable: &Grid<Over>,
    edges: &[f64],
    nothing_judged: bool,
    evidence: &LatencyEvidence,
    window: &Window,
) -> Option<LatencyNoData> {
    let current = |arm: &Grid<Over>| arm.newest_ms.is_some_and(|at| !window.is_stale(at));
    if canary.newest_ms.is_none() {
        Some(LatencyNoData::Data(NoDataReason::NoSeries))
    } else if !current(canary) {
        Some(LatencyNoData::Data(NoDataReason::Stale))
    } else if !current(stable) {
        Some(LatencyNoData::Data(NoDataReason::NoStable))
    } else if edges.is_empty() {
        Some(LatencyNoData::NoCommonEdge)
    } else if nothing_judged {
        Some(LatencyNoData::Learning)
    } else if evidence.edges.is_empty() {
        Some(LatencyNoData::NoUsableEdge)
    } else if evidence.canary.requests <= 0.0 {
        Some(LatencyNoData::Data(NoDataReason::NoRequests))
    } else if evidence.stable.requests <= 0.0 {
        Some(LatencyNoData::Data(NoDataReason::NoStable))
    } else {
        None
    }
}

/// One edge's processes.
#[derive(Debug, Clone)]
struct EdgeProcess {
    /// Index into the edges that are read.
    edge: usize,
    le: f64,
    max_ratio: f64,
    bucket_step: f64,
    worse: RatioProcess,
    better: Option<RatioProcess>,
    dispersion: Dispersion,
}

/// All edges of one metric, fed tick by tick.
#[derive(Debug, Clone, Default)]
pub(crate) struct LatencyEvidence {
    edges: Vec<EdgeProcess>,
    canary: Over,
    stable: Over,
}

impl LatencyEvidence {
    pub(crate) fn new(params: &LatencyParams, profile: &LatencyProfile, edges: &[f64]) -> Self {
        let tail = Tail { edges: &profile.edges, shares: &profile.shares };
        let processes = edges.iter().enumerate().filter_map(|(edge, le)| {
            let known = profile.edges.iter().position(|e| e.total_cmp(le).is_eq())?;
            let share = profile.shares.get(known).copied().filter(|share| USABLE_SHARES.contains(share))?;
            let max_ratio = tail.tolerated(known, params.max_increase, params.coarse_edges)?;
            let unacceptable = tail
                .unacceptable(known, params.unacceptable_increase)
                .filter(|ratio| *ratio >= LEAST_UNACCEPTABLE);
            Some(EdgeProcess {
                edge,
                le: *le,
                max_ratio,
                bucket_step: tail.step(known)?,
                worse: RatioProcess::rollback_of_share(max_ratio, share),
                better: unacceptable.map(RatioProcess::promotion),
                dispersion: Dispersion::new(profile.phi.get(known).copied().unwrap_or(1.0)),
            })
        });
        Self { edges: processes.collect(), canary: Over::default(), stable: Over::default() }
    }

    pub(crate) fn update(&mut self, pair: &Pair<Over>) -> EvidencePoint {
        for process in &mut self.edges {
            let tick = at_edge(pair, process.edge);
            // Tempering must not look at the tick it tempers: φ is updated last.
            let phi = process.dispersion.phi();
            process.worse.update(&tick, phi);
            if let Some(better) = &mut process.better {
                better.update(&tick, phi);
            }
            process.dispersion.update(&tick);
        }
        self.canary += &pair.canary;
        self.stable += &pair.stable;
        EvidencePoint {
            end_ms: pair.end_ms,
            rollback_evidence: self.rollback(),
            promotion_evidence: self.promotion(),
        }
    }

    pub(crate) fn rollback(&self) -> f64 {
        if self.edges.is_empty() {
            return 1.0;
        }
        self.edges.iter().map(|process| process.worse.value()).sum::<f64>() / self.edges.len() as f64
    }

    pub(crate) fn promotion(&self) -> f64 {
        let least = self.edges.iter().filter_map(|p| p.better.as_ref()).map(RatioProcess::value);
        least.reduce(f64::min).unwrap_or(1.0)
    }

    fn verdicts(&self) -> Vec<EdgeVerdict> {
        let share = |arm: &Over, edge: usize| {
            if arm.requests > 0.0 { arm.over.get(edge).copied().unwrap_or(0.0) / arm.requests } else { 0.0 }
        };
        self.edges
            .iter()
            .map(|process| EdgeVerdict {
                le: process.le,
                canary_share: share(&self.canary, process.edge),
                stable_share: share(&self.stable, process.edge),
                max_ratio: process.max_ratio,
                rollback_evidence_log10: process.worse.value().log10(),
                promotion_evidence_log10: process.better.as_ref().map(|better| better.value().log10()),
                phi: process.dispersion.phi(),
                bucket_step: process.bucket_step,
            })
            .collect()
    }
}
