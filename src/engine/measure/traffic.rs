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
    let weights: Vec<WeightStep> =
        m.weights.iter().map(|w| WeightStep { from_ms: w.at.timestamp_millis(), share: share(w) }).collect();
    let input = ErrorInput { canary: &arms.canary, stable: &arms.stable, dispersion_prior: 1.0 };
    let found = TrafficCheck::new(TrafficParams::default()).ok()?.judge(&input, &weights, window);
    let (share, expected) = found.share.zip(found.expected_share)?;
    (found.state == TrafficState::Off).then(|| {
        format!("it gets {:.1} % of the requests instead of {:.1} %", 100.0 * share, 100.0 * expected)
    })
}

/// The candidate's share of all requests that both versions get. Copies come on top of what users ask: of 100 requests and
/// 25 copies of them, 125 in all, a shadow has 25.
fn share(w: &WeightRecord) -> f64 {
    match (f64::from(w.weight), f64::from(w.mirror_percent)) {
        (_, copies) if copies > 0.0 => copies / (100.0 + copies),
        (weight, _) => weight / 100.0,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serin_judge::{PodCounters, Sample, Series};

    use super::*;
    use crate::measure::Arms;

    const SECONDS: i32 = 900;

    fn pod(name: &str, per_second: f64) -> PodCounters {
        let sample =
            |s: i32| Sample { at_ms: i64::from(s) * 1000, value: (per_second * f64::from(s + 60)).floor() };
        let samples = (-4..=SECONDS / 15).map(|n| sample(n * 15)).collect();
        PodCounters {
            pod: name.into(),
            series: vec![Series { error: false, samples }],
            ..PodCounters::default()
        }
    }

    /// What is said of a candidate with so many requests a second beside a stable version with 10.
    fn said(weight: i32, mirror_percent: i32, per_second: f64) -> Option<String> {
        let start = DateTime::from_timestamp(0, 0).unwrap_or_default();
        let m = Measurement {
            candidate: Some("new".to_owned()),
            stable: "old".to_owned(),
            from: start,
            origin: start,
            metrics: Vec::new(),
            weights: vec![WeightRecord { weight, mirror_percent, at: start }],
        };
        let arms = Arms { canary: vec![pod("new", per_second)], stable: vec![pod("old", 10.0)] };
        mismatch(&m, &[Samples::Errors(arms)], &Window::new(0, 15_000, i64::from(SECONDS) * 1000))
    }

    #[test]
    fn copies_come_on_top_of_what_users_ask() {
        assert_eq!(said(0, 100, 10.0), None);
        assert_eq!(said(0, 25, 2.5), None);
        assert_eq!(said(50, 0, 10.0), None);
        let none = said(0, 100, 2.0).unwrap_or_default();
        assert_eq!(none, "it gets 16.7 % of the requests instead of 50.0 %");
        assert_eq!(said(0, 25, 10.0).unwrap_or_default(), "it gets 50.0 % of the requests instead of 20.0 %");
    }
}
