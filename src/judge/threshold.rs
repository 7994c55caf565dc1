//! A plain bound on a gauge of the canary pods.

use std::collections::BTreeMap;

use crate::{GaugePod, NoDataReason, ParamError, State, ThresholdParams, Window};

/// A validated threshold test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThresholdTest {
    params: ThresholdParams,
}

/// What the threshold test says.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdVerdict {
    /// Fail: a bound was broken in enough ticks in a row, at any time in the window. Pass: not broken in the last
    /// tick. Undecided: broken there, but not often enough. NoData: no closed tick, or stale.
    pub state: State,
    /// Why there is nothing to judge.
    pub no_data: Option<NoDataReason>,
    /// End of the tick that completed the first failing run, milliseconds since the Unix epoch.
    pub decided_at_ms: Option<i64>,
    /// Pods' worst value in the last closed tick: the largest if it breaks `max` or there is no `min`, else the
    /// smallest.
    pub last_value: Option<f64>,
    /// Closed ticks in a row that break a bound, up to the last one.
    pub broken: u32,
    /// Closed ticks with data.
    pub ticks: u64,
    /// NaN samples left out.
    pub discarded: u64,
    /// End of the last closed tick with data, milliseconds since the Unix epoch.
    pub last_tick_end_ms: Option<i64>,
}

impl ThresholdTest {
    /// Takes parameters that hold together.
    pub fn new(params: ThresholdParams) -> Result<Self, ParamError> {
        params.validate()?;
        Ok(Self { params })
    }

    /// Replays the gauge's samples.
    ///
    /// A tick without samples is a gap: it neither breaks a bound nor ends a run of broken ticks. Infinite values
    /// are comparable and count as the largest finite ones.
    pub fn judge(&self, canary: &[GaugePod], window: &Window) -> ThresholdVerdict {
        let mut ticks: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
        let mut newest = None;
        let mut discarded = 0;
        for sample in canary.iter().flat_map(|pod| &pod.samples) {
            if sample.at_ms > window.now_ms {
                continue;
            }
            if sample.value.is_nan() {
                discarded += 1;
                continue;
            }
            newest = newest.max(Some(sample.at_ms));
            let tick = window.tick_of(sample.at_ms);
            if tick >= 0 {
                let value = sample.value.clamp(f64::MIN, f64::MAX);
                let (low, high) = ticks.entry(tick).or_insert((value, value));
                *low = low.min(value);
                *high = high.max(value);
            }
        }

        let mut verdict = ThresholdVerdict {
            state: State::NoData,
            no_data: None,
            decided_at_ms: None,
            last_value: None,
            broken: 0,
            ticks: 0,
            discarded,
            last_tick_end_ms: None,
        };
        for (tick, (low, high)) in ticks {
            let end_ms = window.end_of(tick);
            if !window.is_closed(end_ms, newest) {
                break;
            }
            let over = self.params.max.is_some_and(|max| high > max);
            let under = self.params.min.is_some_and(|min| low < min);
            verdict.broken = if over || under { verdict.broken.saturating_add(1) } else { 0 };
            verdict.last_value = Some(if over || self.params.min.is_none() { high } else { low });
            verdict.ticks += 1;
            verdict.last_tick_end_ms = Some(end_ms);
            if verdict.broken >= self.params.consecutive {
                verdict.decided_at_ms = verdict.decided_at_ms.or(Some(end_ms));
            }
        }

        verdict.no_data = match newest {
            None => Some(NoDataReason::NoSeries),
            Some(at_ms) if window.is_stale(at_ms) => Some(NoDataReason::Stale),
            // Scraped, but the first tick is still open: the same wait as for a first request.
            Some(_) if verdict.ticks == 0 => Some(NoDataReason::NoRequests),
            Some(_) => None,
        };
        verdict.state = if verdict.decided_at_ms.is_some() {
            State::Fail
        } else if verdict.no_data.is_some() {
            State::NoData
        } else if verdict.broken == 0 {
            State::Pass
        } else {
            State::Undecided
        };
        verdict
    }
}
