//! Several error metrics under one rollback budget.

use crate::error::TracePoint;
use crate::{ErrorInput, ErrorTest, ErrorVerdict, State, Window};

/// One error metric of an analysis.
#[derive(Debug, Clone, Copy)]
pub struct ErrorMetric<'a> {
    /// Name as the user wrote it.
    pub name: &'a str,
    /// Its validated parameters.
    pub test: ErrorTest,
    /// Its data.
    pub input: ErrorInput<'a>,
}

/// The verdict over several error metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct JointVerdict {
    /// Fail if decided; all Pass is Pass; any NoData is NoData; else, and without metrics, as in [`crate::merge`].
    pub state: State,
    /// Index of the metric with the largest evidence: at the decision if there is one, else now. None without
    /// metrics.
    pub leading: Option<usize>,
    /// log10 of the mean evidence after the last tick.
    pub rollback_evidence_log10: f64,
    /// End of the first tick at which the mean evidence reached `1/α`, milliseconds since the Unix epoch.
    pub decided_at_ms: Option<i64>,
    /// Verdicts in the order of the metrics. Only the leading one can be Fail, and only if the joint one is;
    /// `decided_at_ms` is set there only.
    pub verdicts: Vec<ErrorVerdict>,
}

/// Judges error metrics together: roll back when the mean of their evidences reaches `1/α`, with α the smallest of
/// their budgets. The mean of e-values is one whatever their dependence (Vovk and Wang 2021), and it is never worse
/// than giving each metric its part of the budget. With one metric this is [`ErrorTest::judge`].
pub fn judge_errors(metrics: &[ErrorMetric<'_>], window: &Window) -> JointVerdict {
    let (mut verdicts, traces): (Vec<ErrorVerdict>, Vec<Vec<TracePoint>>) =
        metrics.iter().map(|metric| metric.test.replay(&metric.input, window)).unzip();
    let budget = metrics.iter().map(|m| m.test.params().false_rollback_budget).fold(1.0, f64::min);

    let mut ends: Vec<i64> = traces.iter().flatten().map(|point| point.end_ms).collect();
    ends.sort_unstable();
    ends.dedup();
    let mut latest = vec![1.0; metrics.len()];
    let mut next = vec![0; metrics.len()];
    let mut decided = None;
    for end_ms in ends {
        for ((trace, next), latest) in traces.iter().zip(&mut next).zip(&mut latest) {
            // Metrics merge ticks on their own; one without a tick that ends here keeps its evidence.
            while let Some(point) = trace.get(*next).filter(|point| point.end_ms <= end_ms) {
                *latest = point.rollback_evidence;
                *next += 1;
            }
        }
        if decided.is_none() && mean(&latest) >= 1.0 / budget {
            decided = Some((end_ms, leading(&latest)));
        }
    }

    let leading = decided.map_or_else(|| leading(&latest), |(_, leading)| leading);
    for (index, verdict) in verdicts.iter_mut().enumerate() {
        let blamed = decided.filter(|_| leading == Some(index));
        verdict.decided_at_ms = blamed.map(|(end_ms, _)| end_ms);
        if blamed.is_some() {
            verdict.state = State::Fail;
        } else if verdict.state == State::Fail {
            // Over the threshold alone, but not with its share of the budget.
            verdict.state = if verdict.no_data.is_some() { State::NoData } else { State::Undecided };
        }
    }
    JointVerdict {
        state: joint_state(&verdicts),
        leading,
        rollback_evidence_log10: mean(&latest).log10(),
        decided_at_ms: decided.map(|(end_ms, _)| end_ms),
        verdicts,
    }
}

fn mean(evidence: &[f64]) -> f64 {
    if evidence.is_empty() { 1.0 } else { evidence.iter().map(|e| e / evidence.len() as f64).sum() }
}

fn leading(evidence: &[f64]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (index, value) in evidence.iter().enumerate() {
        if best.and_then(|b| evidence.get(b)).is_none_or(|largest| value > largest) {
            best = Some(index);
        }
    }
    best
}

fn joint_state(verdicts: &[ErrorVerdict]) -> State {
    let any = |state| verdicts.iter().any(|v| v.state == state);
    if any(State::Fail) {
        State::Fail
    } else if verdicts.is_empty() || any(State::NoData) {
        State::NoData
    } else if any(State::Undecided) {
        State::Undecided
    } else {
        State::Pass
    }
}
