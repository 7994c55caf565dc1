//! The error-ratio test: is the canary's error ratio worse than tolerated, or good enough to promote?
//!
//! Rollback evidence is the smaller of two processes, which is evidence against the union of their nulls: "the
//! ratio of the arms is within the tolerance" and "the canary is under the floor". Promotion evidence is against
//! "the ratio is unacceptable"; with an objective against "... and the canary misses it", the mean of the two.

use crate::counters::{Arm, Counts};
use crate::dispersion::{Dispersion, ratio_estimate};
use crate::eprocess::{FloorProcess, ObjectiveProcess, RatioProcess};
use crate::forecast::requests_until;
use crate::ticks::{self, Tick};
use crate::{ErrorParams, NoDataReason, ParamError, PodCounters, State, Window};

/// A canary with this much evidence against it is not promoted and not given more traffic, although it is far from
/// a rollback.
pub(crate) const SUSPICIOUS: f64 = 3.0;

/// The raw data of one error metric.
#[derive(Debug, Clone, Copy)]
pub struct ErrorInput<'a> {
    /// Pods of the new version.
    pub canary: &'a [PodCounters],
    /// Pods of the version that serves now.
    pub stable: &'a [PodCounters],
    /// φ₀: dispersion to start with, see [`crate::dispersion_prior`]; 1 if unknown. Fixed for the whole analysis.
    pub dispersion_prior: f64,
}

/// Requests and errors of an arm in all closed ticks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ArmTotals {
    /// Requests.
    pub requests: f64,
    /// Those of them that failed.
    pub errors: f64,
}

impl From<Counts> for ArmTotals {
    fn from(counts: Counts) -> Self {
        Self { requests: counts.requests, errors: counts.errors }
    }
}

/// The state of the evidence after one tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TracePoint {
    /// End of the tick, milliseconds since the Unix epoch.
    pub end_ms: i64,
    /// The canary's requests and errors in the tick.
    pub canary: ArmTotals,
    /// The stable version's requests and errors in the tick.
    pub stable: ArmTotals,
    /// Evidence for rolling back (not its logarithm).
    pub rollback_evidence: f64,
    /// Evidence for promoting (not its logarithm).
    pub promotion_evidence: f64,
    /// Dispersion φ after the tick.
    pub phi: f64,
}

/// What the error test says.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorVerdict {
    /// Fail: the rollback evidence reached `1/α` at any tick of the window. Pass: the promotion evidence is at
    /// least `1/α_P` now and the rollback evidence below 3. NoData: see `no_data`.
    pub state: State,
    /// Why there is nothing to judge; may be present beside Fail, which holds once reached.
    pub no_data: Option<NoDataReason>,
    /// log10 of the rollback evidence after the last closed tick.
    pub rollback_evidence_log10: f64,
    /// log10 of the promotion evidence after the last closed tick.
    pub promotion_evidence_log10: f64,
    /// End of the first tick at which the rollback evidence reached `1/α`, milliseconds since the Unix epoch.
    pub decided_at_ms: Option<i64>,
    /// Whether the rollback evidence is below 3, so that the ramp may go on.
    pub unsuspicious: bool,
    /// The canary's totals.
    pub canary: ArmTotals,
    /// The stable version's totals.
    pub stable: ArmTotals,
    /// Estimated ratio of the error ratios, canary to stable; none before both have requests.
    pub ratio: Option<f64>,
    /// Dispersion φ of the errors, at least 1.
    pub phi: f64,
    /// Closed ticks, merged ones counted once.
    pub ticks: u64,
    /// Unusable samples left out, both arms.
    pub discarded: u64,
    /// Counter resets, both arms.
    pub resets: u64,
    /// End of the last closed tick, milliseconds since the Unix epoch.
    pub last_tick_end_ms: Option<i64>,
    /// Canary requests still needed for promotion at the error ratios and traffic shares seen so far; none if it
    /// would not be reached.
    pub requests_needed: Option<u64>,
}

/// A validated error test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorTest {
    params: ErrorParams,
}

impl ErrorTest {
    /// Takes parameters that hold together.
    pub fn new(params: ErrorParams) -> Result<Self, ParamError> {
        params.validate()?;
        Ok(Self { params })
    }

    /// The parameters.
    pub fn params(&self) -> &ErrorParams {
        &self.params
    }

    /// Replays the window and gives the verdict of this metric alone. Several error metrics of one analysis share
    /// the budget: use [`crate::judge_all`].
    pub fn judge(&self, input: &ErrorInput<'_>, window: &Window) -> ErrorVerdict {
        self.replay(input, window).0
    }

    /// The evidence after every closed tick, to explain a verdict.
    pub fn trace(&self, input: &ErrorInput<'_>, window: &Window) -> Vec<TracePoint> {
        self.replay(input, window).1
    }

    pub(crate) fn replay(&self, input: &ErrorInput<'_>, window: &Window) -> (ErrorVerdict, Vec<TracePoint>) {
        let (canary, stable) = (Arm::read(input.canary, window), Arm::read(input.stable, window));
        self.replay_arms(&canary, &stable, input.dispersion_prior, window)
    }

    pub(crate) fn replay_arms(
        &self,
        canary: &Arm,
        stable: &Arm,
        dispersion_prior: f64,
        window: &Window,
    ) -> (ErrorVerdict, Vec<TracePoint>) {
        let ticks = ticks::closed(canary, stable, window);

        let mut evidence = Evidence::new(&self.params, dispersion_prior);
        let trace: Vec<TracePoint> = ticks.iter().map(|tick| evidence.update(tick)).collect();
        let threshold = 1.0 / self.params.false_rollback_budget;
        let decided_at_ms = trace.iter().find(|p| p.rollback_evidence >= threshold).map(|p| p.end_ms);

        let (rollback, promotion) = (evidence.rollback(), evidence.promotion());
        let no_data = self.no_data(canary, stable, &evidence, window);
        let unsuspicious = rollback < SUSPICIOUS;
        let passed = unsuspicious && promotion >= 1.0 / self.params.false_promotion_budget;
        let state = State::settle(decided_at_ms.is_some(), no_data.is_some(), passed);
        let comparable = evidence.canary.requests > 0.0 && evidence.stable.requests > 0.0;
        let verdict = ErrorVerdict {
            state,
            no_data,
            rollback_evidence_log10: rollback.log10(),
            promotion_evidence_log10: promotion.log10(),
            decided_at_ms,
            unsuspicious,
            canary: evidence.canary.into(),
            stable: evidence.stable.into(),
            ratio: comparable.then(|| ratio_estimate(evidence.canary, evidence.stable)),
            phi: evidence.dispersion.phi(),
            ticks: trace.len() as u64,
            discarded: canary.discarded + stable.discarded,
            resets: canary.resets + stable.resets,
            last_tick_end_ms: trace.last().map(|p| p.end_ms),
            requests_needed: evidence.requests_needed(1.0 / self.params.false_promotion_budget),
        };
        (verdict, trace)
    }

    fn no_data(
        &self,
        canary: &Arm,
        stable: &Arm,
        evidence: &Evidence,
        window: &Window,
    ) -> Option<NoDataReason> {
        let current = |arm: &Arm| arm.newest_ms.is_some_and(|at| !window.is_stale(at));
        // With an objective the canary can be judged good without stable requests, not without stable scrapes.
        let needs_stable = self.params.slo_error_ratio.is_none();
        if canary.newest_ms.is_none() {
            Some(NoDataReason::NoSeries)
        } else if !current(canary) {
            Some(NoDataReason::Stale)
        } else if !current(stable) {
            Some(NoDataReason::NoStable)
        } else if evidence.canary.requests <= 0.0 {
            Some(NoDataReason::NoRequests)
        } else if needs_stable && evidence.stable.requests <= 0.0 {
            Some(NoDataReason::NoStable)
        } else {
            None
        }
    }
}

/// All processes of one metric, fed tick by tick.
pub(crate) struct Evidence {
    relative: RatioProcess,
    floor: Option<FloorProcess>,
    better: RatioProcess,
    objective: Option<ObjectiveProcess>,
    dispersion: Dispersion,
    canary: Counts,
    stable: Counts,
}

impl Evidence {
    pub(crate) fn new(params: &ErrorParams, dispersion_prior: f64) -> Self {
        Self {
            relative: RatioProcess::rollback(params.max_ratio),
            floor: (params.floor_ratio > 0.0).then(|| FloorProcess::new(params.floor_ratio)),
            better: RatioProcess::promotion(params.unacceptable_ratio),
            objective: params.slo_error_ratio.map(ObjectiveProcess::new),
            dispersion: Dispersion::new(dispersion_prior),
            canary: Counts::default(),
            stable: Counts::default(),
        }
    }

    pub(crate) fn update(&mut self, tick: &Tick) -> TracePoint {
        // Tempering must not look at the tick it tempers: φ is updated last.
        let phi = self.dispersion.phi();
        self.relative.update(tick, phi);
        self.better.update(tick, phi);
        if let Some(floor) = &mut self.floor {
            floor.update(tick, phi);
        }
        if let Some(objective) = &mut self.objective {
            objective.update(tick);
        }
        self.dispersion.update(tick);
        self.canary += &tick.canary;
        self.stable += &tick.stable;
        TracePoint {
            end_ms: tick.end_ms,
            canary: tick.canary.into(),
            stable: tick.stable.into(),
            rollback_evidence: self.rollback(),
            promotion_evidence: self.promotion(),
            phi: self.dispersion.phi(),
        }
    }

    pub(crate) fn rollback(&self) -> f64 {
        let relative = self.relative.value();
        self.floor.as_ref().map_or(relative, |floor| relative.min(floor.value()))
    }

    pub(crate) fn promotion(&self) -> f64 {
        let better = self.better.value();
        self.objective.as_ref().map_or(better, |objective| f64::midpoint(better, objective.value()))
    }

    fn requests_needed(&self, target: f64) -> Option<u64> {
        if self.canary.requests <= 0.0 {
            return None;
        }
        let canary = (self.canary.errors + 0.5) / (self.canary.requests + 1.0);
        let stable = (self.stable.errors + 0.5) / (self.stable.requests + 1.0);
        let stable_per_canary = self.stable.requests / self.canary.requests;
        let phi = self.dispersion.phi();
        let share = if self.objective.is_some() { 0.5 } else { 1.0 };
        let mut parts: Vec<(f64, f64)> = self.better.growth(canary, stable, stable_per_canary, phi).collect();
        if let Some(objective) = &self.objective {
            parts.extend(objective.growth(canary));
        }
        for (evidence, _) in &mut parts {
            *evidence *= share;
        }
        requests_until(&parts, target)
    }
}
