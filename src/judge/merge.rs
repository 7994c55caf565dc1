//! One verdict from the verdicts of several metrics.

/// What a metric says about the canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Evidence against the canary is beyond the budget: roll back.
    Fail,
    /// Good enough to promote.
    Pass,
    /// Data, but not enough evidence either way.
    Undecided,
    /// Nothing to judge; never a failed check.
    NoData,
}

impl State {
    /// A failure once reached holds; without data nothing else does.
    pub(crate) fn settle(failed: bool, no_data: bool, passed: bool) -> Self {
        match (failed, no_data, passed) {
            (true, _, _) => Self::Fail,
            (false, true, _) => Self::NoData,
            (false, false, true) => Self::Pass,
            (false, false, false) => Self::Undecided,
        }
    }
}

/// Why there is nothing to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoDataReason {
    /// The canary has no usable sample: wrong query, or not scraped.
    NoSeries,
    /// The canary is scraped, but no closed tick has a request.
    NoRequests,
    /// The canary's newest sample is too old.
    Stale,
    /// The canary has data, the stable arm has none, or none that is recent.
    NoStable,
}

/// One metric's contribution to [`merge`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricState<'a> {
    /// Name as the user wrote it.
    pub name: &'a str,
    /// Its verdict.
    pub state: State,
    /// log10 of its evidence against the canary; a broken threshold, which is not statistical, may use infinity.
    pub evidence_log10: f64,
}

/// The verdict over all metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overall {
    /// Any Fail is Fail; all Pass is Pass; otherwise any NoData is NoData; else Undecided. No metric at all is
    /// NoData.
    pub state: State,
    /// The metric responsible: on Fail the failed one with the largest evidence (the first, if equal), on NoData
    /// or Undecided the first in that state; none on Pass.
    pub metric: Option<String>,
}

/// Merges the verdicts of metrics, in the order the user listed them.
///
/// Passing needs every metric, which needs no correction for their number. Failing by any one does: error metrics
/// that are judged together must come from [`crate::judge_all`], which shares one budget between them.
pub fn merge(metrics: &[MetricState<'_>]) -> Overall {
    let mut worst: Option<&MetricState<'_>> = None;
    for metric in metrics.iter().filter(|m| m.state == State::Fail) {
        if worst.is_none_or(|w| metric.evidence_log10 > w.evidence_log10) {
            worst = Some(metric);
        }
    }
    let first = |state| metrics.iter().find(|m| m.state == state);
    let of = |metric: &MetricState<'_>| Overall { state: metric.state, metric: Some(metric.name.to_owned()) };
    if let Some(metric) = worst.or_else(|| first(State::NoData)).or_else(|| first(State::Undecided)) {
        return of(metric);
    }
    let state = if metrics.is_empty() { State::NoData } else { State::Pass };
    Overall { state, metric: None }
}
