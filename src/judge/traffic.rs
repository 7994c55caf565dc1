//! Does the canary get the share of requests it is given? If not, the gateway does not do what it was told, or the
//! canary hangs and finishes nothing, and no comparison means what it seems to. Never a reason to roll back.
//!
//! In each stretch of one weight w, the canary's x of n requests are tested against the binomial of w by the ratio of
//! the beta-binomial `B(α₁+x, α₂+n−x) / B(α₁, α₂)` to `w^x (1−w)^(n−x)`, with α = κ(w, 1−w): Lindon and Malek, NeurIPS
//! 2022, arXiv 2011.03567. The products of stretches are evidence as well. Connections that stick to a pod break the
//! binomial without anything being wrong, so an alarm also needs the share to be far off for minutes.

use crate::counters::Arm;
use crate::{ErrorInput, ParamError, Window, ticks};

/// κ: the prior's weight, in requests.
const PRIOR_REQUESTS: f64 = 10.0;

/// A weight and when it was set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeightStep {
    /// Time from which the weight holds, milliseconds since the Unix epoch.
    pub from_ms: i64,
    /// The canary's share of requests, within (0, 1); outside of it nothing is expected.
    pub share: f64,
}

/// Parameters of the check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrafficParams {
    /// Probability of ever calling a right share wrong.
    pub budget: f64,
    /// The share must be off by more than this part of what is expected, such as 0.25 ...
    pub tolerance: f64,
    /// ... over this time, milliseconds.
    pub for_ms: i64,
}

impl Default for TrafficParams {
    fn default() -> Self {
        Self { budget: 0.001, tolerance: 0.25, for_ms: 300_000 }
    }
}

/// What the check says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrafficVerdict {
    /// Whether traffic is not as configured, now.
    pub state: TrafficState,
    /// log10 of the evidence against the configured shares.
    pub evidence_log10: f64,
    /// Expected share of the canary over the last minutes, weighted by requests.
    pub expected_share: Option<f64>,
    /// Its share over the last minutes.
    pub share: Option<f64>,
}

/// Whether traffic is as configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrafficState {
    /// As configured, as far as can be seen.
    AsConfigured,
    /// Not as configured: no verdict from comparisons is worth anything.
    Off,
    /// No requests with an expected share.
    NoData,
}

/// A validated check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrafficCheck {
    params: TrafficParams,
}

/// Sums of one stretch of one weight.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Stretch {
    share: f64,
    canary: f64,
    stable: f64,
}

impl TrafficCheck {
    /// Takes parameters that hold together.
    pub fn new(params: TrafficParams) -> Result<Self, ParamError> {
        params.validate()?;
        Ok(Self { params })
    }

    /// Replays requests of both arms against the weights. A tick during which a weight changed is left out, and so
    /// is one that began before the first weight.
    pub fn judge(&self, input: &ErrorInput<'_>, weights: &[WeightStep], window: &Window) -> TrafficVerdict {
        let mut steps: Vec<WeightStep> = weights.to_vec();
        steps.sort_by(|a, b| a.from_ms.cmp(&b.from_ms).then(a.share.total_cmp(&b.share)));
        let (canary, stable) = (Arm::read(input.canary, window), Arm::read(input.stable, window));
        let ticks = ticks::closed(&canary, &stable, window);
        let last_ms = ticks.last().map(|tick| tick.end_ms);
        let mut stretches: Vec<Stretch> = Vec::new();
        let (mut recent, mut expected, mut recent_from_ms) = (Stretch::default(), 0.0, None);
        let mut begin_ms = window.origin_ms;
        for tick in &ticks {
            let from_ms = std::mem::replace(&mut begin_ms, tick.end_ms);
            let Some(share) = share_within(&steps, from_ms, tick.end_ms) else { continue };
            let (canary, stable) = (tick.canary.requests, tick.stable.requests);
            match stretches.last_mut() {
                Some(open) if open.share.total_cmp(&share).is_eq() => {
                    open.canary += canary;
                    open.stable += stable;
                }
                _ => stretches.push(Stretch { share, canary, stable }),
            }
            if last_ms.is_some_and(|last| tick.end_ms > last.saturating_sub(self.params.for_ms)) {
                recent.canary += canary;
                recent.stable += stable;
                expected += share * (canary + stable);
                recent_from_ms = recent_from_ms.or(Some(from_ms));
            }
        }

        let evidence: f64 = stretches.iter().map(Stretch::log_evidence).sum();
        let all = recent.canary + recent.stable;
        let expected_share = (all > 0.0).then(|| expected / all);
        let share = (all > 0.0).then(|| recent.canary / all);
        let long_enough = recent_from_ms
            .zip(last_ms)
            .is_some_and(|(from, to)| to.saturating_sub(from) >= self.params.for_ms);
        let far_off = share
            .zip(expected_share)
            .is_some_and(|(share, expected)| (share - expected).abs() > self.params.tolerance * expected);
        let state = if all <= 0.0 {
            TrafficState::NoData
        } else if evidence >= -self.params.budget.ln() && far_off && long_enough {
            TrafficState::Off
        } else {
            TrafficState::AsConfigured
        };
        TrafficVerdict { state, evidence_log10: evidence / std::f64::consts::LN_10, expected_share, share }
    }
}

/// The share that held all of the time, if there is one.
fn share_within(steps: &[WeightStep], from_ms: i64, to_ms: i64) -> Option<f64> {
    let at = |ms: i64| steps.iter().rev().find(|step| step.from_ms <= ms);
    let (first, last) = (at(from_ms)?, at(to_ms.saturating_sub(1))?);
    (first == last && first.share > 0.0 && first.share < 1.0).then_some(first.share)
}

impl Stretch {
    fn log_evidence(&self) -> f64 {
        let (a, b) = (PRIOR_REQUESTS * self.share, PRIOR_REQUESTS * (1.0 - self.share));
        let mixture = ln_beta(a + self.canary, b + self.stable) - ln_beta(a, b);
        mixture - self.canary * self.share.ln() - self.stable * (-self.share).ln_1p()
    }
}

fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// ln Γ(x) for x > 0: Stirling's series (Abramowitz and Stegun 6.1.41) after shifting x above 10 by the recurrence.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 10.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series =
        (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square * (1.0 / 1680.0)))) / x;
    shift + (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_of_gamma_is_the_tabulated_one() {
        for (x, want) in [
            (1.0, 0.0),
            (0.5, 0.572_364_942_924_700_1),
            (10.0, 12.801_827_480_081_469),
            (0.1, 2.252_712_651_734_206),
        ] {
            assert!((ln_gamma(x) - want).abs() < 1e-10, "{x}: {}", ln_gamma(x));
        }
    }

    #[test]
    fn a_share_as_expected_is_evidence_for_it() {
        let right = Stretch { share: 0.1, canary: 1000.0, stable: 9000.0 };
        let wrong = Stretch { share: 0.1, canary: 500.0, stable: 9500.0 };
        assert!(right.log_evidence() < 0.0);
        assert!(wrong.log_evidence() > 100.0);
    }
}
