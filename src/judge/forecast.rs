//! How much more traffic a promotion needs.

/// Beyond this many requests the answer is "not at these rates".
const MOST: f64 = 1e12;

/// Canary requests until a sum of exponentially growing evidences, given as (evidence now, growth of its logarithm
/// per request), reaches `target`; none if at these rates it never does.
///
/// The sum is convex in the number of requests, so from below the target it crosses at most once and bisection
/// finds where.
pub(crate) fn requests_until(parts: &[(f64, f64)], target: f64) -> Option<u64> {
    // Counts at the edge of what a float holds have no rate to go by.
    if parts.iter().any(|(evidence, growth)| !(evidence.is_finite() && growth.is_finite())) {
        return None;
    }
    let at = |requests: f64| -> f64 {
        // Bounded well below overflow, well above any target.
        parts.iter().map(|(evidence, growth)| evidence * (requests * growth).min(300.0).exp()).sum()
    };
    if at(0.0) >= target {
        return Some(0);
    }
    let mut enough = 1.0;
    while at(enough) < target {
        enough *= 2.0;
        if enough > MOST {
            return None;
        }
    }
    let mut few = 0.0;
    while enough - few > 1.0 {
        let middle = f64::midpoint(few, enough);
        if at(middle) >= target { enough = middle } else { few = middle }
    }
    Some(whole(enough))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and MOST, which u64 holds
fn whole(requests: f64) -> u64 {
    requests.ceil() as u64
}
