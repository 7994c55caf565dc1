//! How much traffic the canary gets: from the traffic there is, not a fixed share.
//!
//! The harm before a rollback hardly depends on the weight, because a regression is found after about the same
//! number of canary requests; a weight above what brings those in one scrape only adds harm.

use crate::ErrorParams;

/// Shares of traffic the ramp goes through, percent.
pub const LADDER: [u8; 6] = [1, 2, 5, 10, 25, 50];
/// The first rung is never above this, percent.
const FIRST_RUNG_MAX: u8 = 25;
/// The regression the first rung is sized for: five times the errors.
const DESIGN_RATIO: f64 = 5.0;
/// Assumed when the stable version shows no error and there is no floor: nothing measured is below this in a
/// reasonable time anyway.
const LEAST_ERROR_RATIO: f64 = 1e-4;

/// Bernoulli Kullback-Leibler divergence in nats.
fn kl(p: f64, q: f64) -> f64 {
    p * (p / q).ln() + (1.0 - p) * ((1.0 - p) / (1.0 - q)).ln()
}

/// n*: canary requests by which a fivefold error ratio can be told from the tolerated one at the rollback budget
/// (Wald's bound, `ln(1/α) / kl(5q‖ρ₀q)`), with `error_ratio` the stable version's, 0 to 1.
pub fn needed_per_tick(error_ratio: f64, params: &ErrorParams) -> f64 {
    // `max` also replaces NaN. The upper end keeps both probabilities below 1; above it errors are so common that
    // n* is a handful of requests.
    let base = error_ratio.max(params.floor_ratio).clamp(LEAST_ERROR_RATIO, 0.9 / DESIGN_RATIO);
    let tolerated = (params.max_ratio * base).min(0.9);
    // A tolerance near or above the design ratio would never be told from it: look for twice the tolerance then.
    let bad = (DESIGN_RATIO * base).max(2.0 * tolerated).min(0.95);
    (1.0 / params.false_rollback_budget).ln() / kl(bad, tolerated)
}

/// First share of traffic, percent: the lowest rung that brings [`needed_per_tick`] canary requests per scrape, at
/// most 25 %. `requests_per_second` is the whole service's, `error_ratio` the stable version's (0 to 1),
/// `interval_s` the scrape interval. Unknown or no traffic gives 25 %.
pub fn first_rung(requests_per_second: f64, error_ratio: f64, interval_s: f64, params: &ErrorParams) -> u8 {
    let needed = needed_per_tick(error_ratio, params);
    let per_tick = requests_per_second * interval_s;
    LADDER
        .into_iter()
        .find(|rung| *rung >= FIRST_RUNG_MAX || per_tick * f64::from(*rung) / 100.0 >= needed)
        .unwrap_or(FIRST_RUNG_MAX)
}

/// The next rung above the present share, percent; none from 50 % on, where the next step is promotion.
pub fn next_rung(current: u8) -> Option<u8> {
    LADDER.into_iter().find(|rung| *rung > current)
}
