//! Whether the candidate gets the share of the requests that its weight says.

use serin_api::WeightRecord;
use serin_judge::{ErrorInput, TrafficCheck, TrafficParams, TrafficState, WeightStep, Window};

use super::{Measurement, Samples};

/// What is wrong with the shares, if anything has been for five minutes. Needs a metric that counts requests.
pub(super) fn mismatch(m: &Measurement, samples: &[Samples], window: &Window) -> Option<String> {
    if m.weights.is_empty() {
        return None;
    }
    let arms = samples.iter().find_map(|samples| match samples {
        Samples::Errors(arms) => Some(arms),
        _ => None,
    })?;
    // Copies come on top of what all others get: of 100 requests and 25 copies, 125 in all, a shadow has 25.
    let share = |w: &WeightRecord| match (f64::from(w.weight), f64::from(w.mirror_percent)) {
        (_, copies) if copies > 0.0 => copies / (100.0 + copies),
        (weight, _) => weight / 100.0,
    };
    let weights: Vec<WeightStep> =
        m.weights.iter().map(|w| WeightStep { from_ms: w.at.timestamp_millis(), share: share(w) }).collect();
    let input = ErrorInput { canary: &arms.canary, stable: &arms.stable, dispersion_prior: 1.0 };
    let found = TrafficCheck::new(TrafficParams::default()).ok()?.judge(&input, &weights, window);
    let (share, expected) = found.share.zip(found.expected_share)?;
    (found.state == TrafficState::Off).then(|| {
        format!("it gets {:.1} % of the requests instead of {:.1} %", 100.0 * share, 100.0 * expected)
    })
}
