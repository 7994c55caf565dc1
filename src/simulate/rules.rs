//! Rules at a fixed weight: when, in seconds, would each have rolled back?

use serin_judge::{ArmTotals, ErrorEvidence, ErrorParams, ErrorTest};

use crate::SCRAPE_SECONDS;
use crate::traffic::Scrape;

/// Scrapes in a minute, the period of Argo's and Flagger's checks.
const MINUTE: usize = 4;

/// Argo Rollouts: fail when more than three measurements of a minute are over the limit; no data is a failure too.
pub(crate) fn argo(scrapes: &[Scrape], limit: f64) -> Option<f64> {
    let over = failed_checks(scrapes, limit).position(|failed| failed > 3.0)?;
    Some((over + 1) as f64 * 60.0)
}

/// Flagger: five failed checks, acted upon at the next.
pub(crate) fn flagger(scrapes: &[Scrape], limit: f64) -> Option<f64> {
    let over = failed_checks(scrapes, limit).position(|failed| failed >= 5.0)?;
    Some((over + 2) as f64 * 60.0)
}

fn failed_checks(scrapes: &[Scrape], limit: f64) -> impl Iterator<Item = f64> {
    scrapes.chunks_exact(MINUTE).scan(0.0, move |failed, minute| {
        let (n, e) = canary_sums(minute);
        *failed += if n <= 0.0 || e > limit * n { 1.0 } else { 0.0 };
        Some(*failed)
    })
}

fn canary_sums(scrapes: &[Scrape]) -> (f64, f64) {
    scrapes.iter().fold((0.0, 0.0), |(n, e), s| (n + s.canary.requests, e + s.canary.errors))
}

/// Kayenta's judge, once at the end: error ratios by the minute, of the canary and of a baseline of the same size.
pub(crate) fn kayenta(canary: &[Scrape], baseline: &[Scrape]) -> Option<f64> {
    let ratios = |scrapes: &[Scrape]| -> Vec<f64> {
        scrapes
            .chunks_exact(MINUTE)
            .map(|minute| {
                let (n, e) = canary_sums(minute);
                e / n.max(1.0)
            })
            .collect()
    };
    is_high(&ratios(canary), &ratios(baseline)).then_some(canary.len() as f64 * SCRAPE_SECONDS)
}

/// Kayenta calls a metric High if the lower end of the Mann-Whitney interval of the shift (98 %, normal
/// approximation) is above a quarter of the shift, and the mean is higher.
pub(crate) fn is_high(canary: &[f64], baseline: &[f64]) -> bool {
    let (m, n) = (canary.len() as f64, baseline.len() as f64);
    let mut shifts: Vec<f64> = canary.iter().flat_map(|c| baseline.iter().map(move |b| c - b)).collect();
    if shifts.is_empty() {
        return false;
    }
    shifts.sort_by(f64::total_cmp);
    let rank = (m * n / 2.0 - 2.326_347_874 * (m * n * (m + n + 1.0) / 12.0).sqrt()).floor().max(0.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and the number of shifts
    let lower = shifts.get(rank as usize).copied().unwrap_or(0.0);
    let middle = shifts.len() / 2;
    let at = |index: usize| shifts.get(index).copied().unwrap_or(0.0);
    let median =
        if shifts.len().is_multiple_of(2) { f64::midpoint(at(middle - 1), at(middle)) } else { at(middle) };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    lower > 0.25 * median.abs() && mean(canary) > mean(baseline)
}

/// A z-test of 5 % at every scrape.
pub(crate) fn z_test(scrapes: &[Scrape]) -> Option<f64> {
    let mut sums = Scrape { canary: ArmTotals::default(), stable: ArmTotals::default() };
    for (t, scrape) in scrapes.iter().enumerate() {
        add(&mut sums, scrape);
        if z_is_high(&sums) {
            return Some(seconds(t));
        }
    }
    None
}

pub(crate) fn add(sums: &mut Scrape, more: &Scrape) {
    sums.canary.requests += more.canary.requests;
    sums.canary.errors += more.canary.errors;
    sums.stable.requests += more.stable.requests;
    sums.stable.errors += more.stable.errors;
}

pub(crate) fn z_is_high(sums: &Scrape) -> bool {
    let (c, s) = (sums.canary, sums.stable);
    if c.requests < 30.0 || c.errors <= 0.0 {
        return false;
    }
    let p = (c.errors + s.errors) / (c.requests + s.requests);
    let error = ((p * (1.0 - p)).max(1e-12) * (1.0 / c.requests + 1.0 / s.requests.max(1.0))).sqrt();
    (c.errors / c.requests - s.errors / s.requests.max(1.0)) / error > 1.645
}

/// The judge, with the given parameters.
pub(crate) fn judge(scrapes: &[Scrape], params: ErrorParams, phi: f64) -> Option<f64> {
    let mut evidence = ErrorEvidence::new(&ErrorTest::new(params).ok()?, phi);
    let decided = scrapes.iter().zip(0..).position(|(scrape, t)| {
        let point = evidence.add(t, scrape.canary, scrape.stable);
        point.rollback_evidence >= 1.0 / params.false_rollback_budget
    })?;
    Some(seconds(decided))
}

/// Wald's test that knows the error ratio and the size of the regression: what no rule can beat by much.
pub(crate) fn oracle(scrapes: &[Scrape], error_ratio: f64, multiple: f64) -> Option<f64> {
    let params = ErrorParams::default();
    if multiple <= params.max_ratio {
        return None;
    }
    let (q0, q1) = ((params.max_ratio * error_ratio).min(0.99), (multiple * error_ratio).min(0.99));
    let mut log = 0.0;
    let decided = scrapes.iter().position(|Scrape { canary, .. }| {
        log += canary.errors * (q1 / q0).ln()
            + (canary.requests - canary.errors) * ((1.0 - q1) / (1.0 - q0)).ln();
        log >= -params.false_rollback_budget.ln()
    })?;
    Some(seconds(decided))
}

/// End of scrape `t`.
pub(crate) fn seconds(t: usize) -> f64 {
    (t + 1) as f64 * SCRAPE_SECONDS
}
