//! How many times the stable version's errors the canary has: an interval that may be looked at at any time.
//!
//! It consists of the ratios that the data do not speak against: for each ratio the two-sided version of the error
//! test's evidence, with alternatives on both sides, is below `1/α`. The probability that the true ratio is ever
//! outside is at most α.

use crate::counters::Arm;
use crate::dispersion::Dispersion;
use crate::eprocess::RatioProcess;
use crate::ticks::{self, Tick};
use crate::{ErrorInput, Window};

/// The ratios searched, as powers of ten.
const SEARCHED: std::ops::RangeInclusive<i32> = -30..=40;
const PER_POWER: f64 = 10.0;
/// Halvings of the last step of the search.
const HALVINGS: u32 = 20;

/// An interval of ratios, canary's error ratio to the stable one's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RatioInterval {
    /// Lower end; 0 if no ratio is too small.
    pub low: f64,
    /// Upper end; infinite if no ratio is too large.
    pub high: f64,
}

/// The ratios that are not excluded at level α by the closed ticks of the window; none without a comparable tick.
pub fn ratio_interval(input: &ErrorInput<'_>, alpha: f64, window: &Window) -> Option<RatioInterval> {
    let (canary, stable) = (Arm::read(input.canary, window), Arm::read(input.stable, window));
    of_ticks(&ticks::closed(&canary, &stable, window), input.dispersion_prior, alpha)
}

pub(crate) fn of_ticks(all: &[Tick], dispersion_prior: f64, alpha: f64) -> Option<RatioInterval> {
    let mut dispersion = Dispersion::new(dispersion_prior);
    let ticks: Vec<(Tick, f64)> = all
        .iter()
        .map(|tick| {
            let phi = dispersion.phi();
            dispersion.update(tick);
            (*tick, phi)
        })
        .filter(|(tick, _)| tick.canary.requests > 0.0 && tick.stable.requests > 0.0)
        .collect();
    if ticks.is_empty() {
        return None;
    }
    let threshold = 1.0 / alpha.clamp(1e-9, 0.5);
    let possible = |ratio: f64| {
        let mut process = RatioProcess::two_sided(ratio);
        for (tick, phi) in &ticks {
            process.update(tick, *phi);
        }
        process.value() < threshold
    };
    let at = |step: i32| 10.0_f64.powf(f64::from(step) / PER_POWER);
    let (Some(first), Some(last)) =
        (SEARCHED.clone().find(|s| possible(at(*s))), SEARCHED.rev().find(|s| possible(at(*s))))
    else {
        // All excluded, which a false null can bring about: nothing can be said.
        return Some(RatioInterval { low: 0.0, high: f64::INFINITY });
    };
    let edge = |mut outside: f64, mut inside: f64| {
        for _ in 0..HALVINGS {
            let middle = (outside * inside).sqrt();
            if possible(middle) { inside = middle } else { outside = middle }
        }
        outside
    };
    let low = if first == *SEARCHED.start() { 0.0 } else { edge(at(first - 1), at(first)) };
    let high = if last == *SEARCHED.end() { f64::INFINITY } else { edge(at(last + 1), at(last)) };
    Some(RatioInterval { low, high })
}
