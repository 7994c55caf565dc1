//! Bad among all: two counters of which one counts part of what the other counts, such as labelled predictions and the
//! wrong ones, answers and the rejected ones, requests and the failed ones. Judged like errors.

use crate::counters::{Arm, Counts, PodRows, Rows};
use crate::{ErrorTest, ErrorVerdict, Sample, TracePoint, Window};

/// What the second counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Part {
    /// Those that are bad: wrong, rejected, failed.
    #[default]
    Bad,
    /// Those that are good: correct, accepted.
    Good,
}

/// Counters of all and of a part of them, of one pod. Time and start as in [`crate::PodCounters`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QualityPod {
    /// Name, unique in its arm.
    pub pod: String,
    /// When the pod started, milliseconds since the Unix epoch, if known.
    pub started_ms: Option<i64>,
    /// Times of successful scrapes, if known.
    pub scraped_ms: Vec<i64>,
    /// Series that count all.
    pub total: Vec<Vec<Sample>>,
    /// Series that count the part.
    pub part: Vec<Vec<Sample>>,
}

/// The raw data of one quality metric.
#[derive(Debug, Clone, Copy)]
pub struct QualityInput<'a> {
    /// Pods of the new version.
    pub canary: &'a [QualityPod],
    /// Pods of the version that serves now.
    pub stable: &'a [QualityPod],
    /// What `part` counts.
    pub part: Part,
    /// φ₀, as in [`crate::ErrorInput`].
    pub dispersion_prior: f64,
}

/// The error test on these counters: "requests" are all, "errors" the bad ones.
pub fn judge_quality(test: &ErrorTest, input: &QualityInput<'_>, window: &Window) -> ErrorVerdict {
    replay(test, input, window).0
}

pub(crate) fn replay(
    test: &ErrorTest,
    input: &QualityInput<'_>,
    window: &Window,
) -> (ErrorVerdict, Vec<TracePoint>) {
    let (canary, stable) = (read(input.canary, input.part, window), read(input.stable, input.part, window));
    test.replay_arms(&canary, &stable, input.dispersion_prior, window)
}

/// In a tick, the part is at most all of it: a part that was counted in an earlier scrape than its whole loses the
/// difference.
fn read(pods: &[QualityPod], part: Part, window: &Window) -> Arm {
    let rows = |slot: usize, series: &[Vec<Sample>]| -> Vec<Rows> {
        series.iter().map(|samples| Rows::join(slot, &[samples], window)).collect()
    };
    let pods = pods
        .iter()
        .map(|pod| PodRows {
            name: &pod.pod,
            started_ms: pod.started_ms,
            scraped_ms: &pod.scraped_ms,
            rows: [rows(0, &pod.total), rows(1, &pod.part)].concat(),
        })
        .collect();
    Arm::from_rows(pods, 2, window, |sums| match sums {
        [total, counted] => {
            let counted = counted.min(*total);
            let errors = match part {
                Part::Bad => counted,
                Part::Good => total - counted,
            };
            Counts { requests: *total, errors }
        }
        _ => Counts::default(),
    })
}
