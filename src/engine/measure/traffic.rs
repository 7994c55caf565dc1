//! Whether the candidate gets the share of the requests that its weight says.

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
    let share = |weight: i32| f64::from(weight) / 100.0;
    let weights: Vec<WeightStep> = m
        .weights
        .iter()
        .map(|w| WeightStep { from_ms: w.at.timestamp_millis(), share: share(w.weight) })
        .collect();
    let input = ErrorInput { canary: &arms.canary, stable: &arms.stable, dispersion_prior: 1.0 };
    let found = TrafficCheck::new(TrafficParams::default()).ok()?.judge(&input, &weights, window);
    let (share, expected) = found.share.zip(found.expected_share)?;
    (found.state == TrafficState::Off).then(|| {
        format!("it gets {:.1} % of the requests instead of {:.1} %", 100.0 * share, 100.0 * expected)
    })
}
