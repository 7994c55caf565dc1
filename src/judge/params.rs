//! Parameters of the tests and their validation.

use std::fmt;

use crate::TrafficParams;

/// Why parameters cannot be used, in words for the person who wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamError(String);

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParamError {}

/// Parameters of the error-ratio test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorParams {
    /// ρ₀: the canary's error ratio may be this many times the stable one's without ever being rolled back for
    /// it. A tolerance below 1 makes no sense, and without any every real difference is significant at high
    /// traffic.
    pub max_ratio: f64,
    /// ρ₁: never promote early a canary whose error ratio may be this many times the stable one's.
    pub unacceptable_ratio: f64,
    /// δ₁: the error ratio (0 to 1) allowed by the service level objective, if there is one. A canary that is
    /// surely below it may be promoted whatever the ratio of the arms.
    pub slo_error_ratio: Option<f64>,
    /// δ₀: error ratios (0 to 1) at or below this never cause a rollback; 0 turns the floor off.
    pub floor_ratio: f64,
    /// α: probability of ever rolling back a canary that is within the tolerance, over all looks.
    pub false_rollback_budget: f64,
    /// α_P: probability of ever promoting early a canary at or over `unacceptable_ratio`.
    pub false_promotion_budget: f64,
}

impl Default for ErrorParams {
    fn default() -> Self {
        Self {
            max_ratio: 1.25,
            unacceptable_ratio: 2.0,
            slo_error_ratio: None,
            floor_ratio: 0.0,
            false_rollback_budget: 0.01,
            false_promotion_budget: 0.05,
        }
    }
}

impl ErrorParams {
    /// The defaults with an objective; the floor becomes a tenth of it.
    pub fn with_slo(slo_error_ratio: f64) -> Self {
        Self {
            slo_error_ratio: Some(slo_error_ratio),
            floor_ratio: slo_error_ratio / 10.0,
            ..Self::default()
        }
    }

    /// Checks ranges and their order; the message names the field and the allowed values.
    pub fn validate(&self) -> Result<(), ParamError> {
        if !inside(self.max_ratio, 1.0, 100.0) {
            return fail(format!("maxErrorRatio must be between 1 and 100, got {}", self.max_ratio));
        }
        if !(inside(self.unacceptable_ratio, 1.0, 1000.0) && self.unacceptable_ratio > self.max_ratio) {
            return fail(format!(
                "unacceptableRatio must be above maxErrorRatio ({}) and at most 1000, got {}",
                self.max_ratio, self.unacceptable_ratio
            ));
        }
        if let Some(slo) = self.slo_error_ratio
            && !inside(slo, 1e-9, 0.5)
        {
            return fail(format!("the SLO's error ratio must be between 1e-9 and 0.5, got {slo}"));
        }
        if self.floor_ratio != 0.0 && !inside(self.floor_ratio, 1e-12, 0.5) {
            return fail(format!(
                "the floor under which errors never matter must be 0 (off) or between 1e-12 and 0.5, got {}",
                self.floor_ratio
            ));
        }
        if let Some(slo) = self.slo_error_ratio
            && self.floor_ratio > slo
        {
            return fail(format!(
                "the floor ({}) must not be above the SLO's error ratio ({slo})",
                self.floor_ratio
            ));
        }
        budgets(self.false_rollback_budget, self.false_promotion_budget)
    }
}

/// Parameters of the threshold test on a gauge, in the gauge's own unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThresholdParams {
    /// The largest pod value must not be above this.
    pub max: Option<f64>,
    /// The smallest pod value must not be below this.
    pub min: Option<f64>,
    /// So many closed ticks with data in a row must break a bound before the verdict is Fail.
    pub consecutive: u32,
}

impl Default for ThresholdParams {
    fn default() -> Self {
        Self { max: None, min: None, consecutive: 3 }
    }
}

impl ThresholdParams {
    /// Checks that there is a usable bound.
    pub fn validate(&self) -> Result<(), ParamError> {
        if self.max.is_none() && self.min.is_none() {
            return fail("a threshold needs max or min".into());
        }
        if self.max.is_some_and(|b| !b.is_finite()) || self.min.is_some_and(|b| !b.is_finite()) {
            return fail("max and min must be finite numbers".into());
        }
        if let (Some(max), Some(min)) = (self.max, self.min)
            && min > max
        {
            return fail(format!("min ({min}) must not be above max ({max})"));
        }
        if self.consecutive == 0 {
            return fail("consecutive must be at least 1".into());
        }
        Ok(())
    }
}

/// What a tolerated slowdown means between the edges of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CoarseEdges {
    /// Interpolate the stable version's latencies in two ways, and take the more tolerant. Right for smooth
    /// latencies; for others the effective tolerance may be smaller than wanted.
    #[default]
    Interpolate,
    /// Take the next lower edge. Never stricter than wanted whatever the latencies look like; with coarse edges much
    /// more tolerant.
    NextLower,
}

/// Parameters of the latency test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyParams {
    /// m: the canary may be slower by this part, such as 0.2, without ever being rolled back for it.
    pub max_increase: f64,
    /// m₁: never promote early a canary that may be slower by this part.
    pub unacceptable_increase: f64,
    /// What to do where edges are too far apart.
    pub coarse_edges: CoarseEdges,
    /// α, as in [`ErrorParams`].
    pub false_rollback_budget: f64,
    /// α_P, as in [`ErrorParams`].
    pub false_promotion_budget: f64,
}

impl Default for LatencyParams {
    fn default() -> Self {
        Self {
            max_increase: 0.2,
            unacceptable_increase: 0.5,
            coarse_edges: CoarseEdges::default(),
            false_rollback_budget: 0.01,
            false_promotion_budget: 0.05,
        }
    }
}

impl LatencyParams {
    /// Checks ranges and their order; the message names the field and the allowed values.
    pub fn validate(&self) -> Result<(), ParamError> {
        increases(self.max_increase, self.unacceptable_increase)?;
        budgets(self.false_rollback_budget, self.false_promotion_budget)
    }
}

/// Parameters of the test on mean latencies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanParams {
    /// m, as in [`LatencyParams`], of the mean.
    pub max_increase: f64,
    /// m₁, as in [`LatencyParams`], of the mean.
    pub unacceptable_increase: f64,
    /// Ticks that make a block; a minute is usually longer than latencies stay alike.
    pub block_ticks: u32,
    /// α, as in [`ErrorParams`].
    pub false_rollback_budget: f64,
    /// α_P, as in [`ErrorParams`].
    pub false_promotion_budget: f64,
}

impl Default for MeanParams {
    fn default() -> Self {
        Self {
            max_increase: 0.2,
            unacceptable_increase: 0.5,
            block_ticks: 4,
            false_rollback_budget: 0.01,
            false_promotion_budget: 0.05,
        }
    }
}

impl MeanParams {
    /// Checks ranges and their order; the message names the field and the allowed values.
    pub fn validate(&self) -> Result<(), ParamError> {
        increases(self.max_increase, self.unacceptable_increase)?;
        block(self.block_ticks)?;
        budgets(self.false_rollback_budget, self.false_promotion_budget)
    }
}

/// Which way a score is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// More is better: accuracy, acceptance.
    #[default]
    Higher,
    /// Less is better: loss, drift.
    Lower,
}

/// Parameters of the test on bounded scores, in the score's own unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreParams {
    /// Least possible score. Bounds as tight as they are true make the test faster.
    pub min: f64,
    /// Largest possible score.
    pub max: f64,
    /// Which way is better.
    pub better: Direction,
    /// The canary's score may be worse by this without ever being rolled back for it.
    pub margin: f64,
    /// Never promote early a canary whose score may be worse by this.
    pub unacceptable_margin: f64,
    /// Ticks that make a block.
    pub block_ticks: u32,
    /// α, as in [`ErrorParams`].
    pub false_rollback_budget: f64,
    /// α_P, as in [`ErrorParams`].
    pub false_promotion_budget: f64,
}

impl Default for ScoreParams {
    fn default() -> Self {
        Self {
            min: 0.0,
            max: 1.0,
            better: Direction::default(),
            margin: 0.01,
            unacceptable_margin: 0.05,
            block_ticks: 4,
            false_rollback_budget: 0.01,
            false_promotion_budget: 0.05,
        }
    }
}

impl ScoreParams {
    /// Checks ranges and their order; the message names the field and the allowed values.
    pub fn validate(&self) -> Result<(), ParamError> {
        let width = self.max - self.min;
        if !(self.min.is_finite() && self.max.is_finite() && width.is_finite() && width > 0.0) {
            return fail(format!("min ({}) must be below max ({}), and both finite", self.min, self.max));
        }
        if !inside(self.margin, 0.0, width) {
            return fail(format!("margin must be between 0 and max - min ({width}), got {}", self.margin));
        }
        if !(inside(self.unacceptable_margin, 0.0, width) && self.unacceptable_margin > self.margin) {
            return fail(format!(
                "unacceptableMargin must be above margin ({}) and at most max - min ({width}), got {}",
                self.margin, self.unacceptable_margin
            ));
        }
        block(self.block_ticks)?;
        budgets(self.false_rollback_budget, self.false_promotion_budget)
    }
}

impl TrafficParams {
    /// Checks ranges; the message names the field and the allowed values.
    pub fn validate(&self) -> Result<(), ParamError> {
        if !inside(self.budget, 1e-12, 0.1) {
            return fail(format!(
                "the traffic check's budget must be between 1e-12 and 0.1, got {}",
                self.budget
            ));
        }
        if !inside(self.tolerance, 0.0, 1.0) {
            return fail(format!(
                "the traffic check's tolerance must be between 0 and 1, got {}",
                self.tolerance
            ));
        }
        if self.for_ms < 0 {
            return fail(format!("the traffic check's time must not be negative, got {} ms", self.for_ms));
        }
        Ok(())
    }
}

// Written so that NaN fails every check.
fn inside(value: f64, low: f64, high: f64) -> bool {
    value >= low && value <= high
}

fn fail(message: String) -> Result<(), ParamError> {
    Err(ParamError(message))
}

fn budgets(rollback: f64, promotion: f64) -> Result<(), ParamError> {
    // Above a tenth one capped scrape could decide alone.
    if !inside(rollback, 1e-9, 0.1) {
        return fail(format!("falseRollbackBudget must be between 1e-9 and 0.1, got {rollback}"));
    }
    if !inside(promotion, 1e-9, 0.2) {
        return fail(format!("falsePromotionBudget must be between 1e-9 and 0.2, got {promotion}"));
    }
    Ok(())
}

fn increases(max: f64, unacceptable: f64) -> Result<(), ParamError> {
    let percent = |increase: f64| increase * 100.0;
    if !inside(max, 0.01, 10.0) {
        return fail(format!("maxLatencyIncrease must be between 1 % and 1000 %, got {} %", percent(max)));
    }
    if !(inside(unacceptable, 0.01, 100.0) && unacceptable > max) {
        return fail(format!(
            "unacceptableIncrease must be above maxLatencyIncrease ({} %) and at most 10000 %, got {} %",
            percent(max),
            percent(unacceptable)
        ));
    }
    Ok(())
}

fn block(ticks: u32) -> Result<(), ParamError> {
    if (1..=1000).contains(&ticks) {
        return Ok(());
    }
    fail(format!("a block must have between 1 and 1000 ticks, got {ticks}"))
}
