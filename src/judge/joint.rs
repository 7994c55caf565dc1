//! Several error metrics under one rollback budget.

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
    let mut verdicts = Vec::with_capacity(metrics.len());
    let mut weighed = Vec::with_capacity(metrics.len());
    for metric in metrics {
        let (verdict, trace) = metric.test.replay(&metric.input, window);
        verdicts.push(verdict);
        let trace = trace.iter().map(|p| (p.end_ms, p.rollback_evidence)).collect();
        weighed.push(Weighed { weight: 1.0, trace });
    }
    let budget = metrics.iter().map(|m| m.test.params().false_rollback_budget).fold(1.0, f64::min);
    let Joint { evidence, decided, leading } = combine(&weighed, budget);
    for (index, verdict) in verdicts.iter_mut().enumerate() {
        let blamed = decided.filter(|(_, leading)| *leading == index);
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
        rollback_evidence_log10: evidence.log10(),
        decided_at_ms: decided.map(|(end_ms, _)| end_ms),
        verdicts,
    }
}

/// One metric's rollback evidence at the ends of its ticks, in order, and its share of the budget.
pub(crate) struct Weighed {
    pub weight: f64,
    pub trace: Vec<(i64, f64)>,
}

/// Evidences put together.
pub(crate) struct Joint {
    /// Weighted mean after the last tick.
    pub evidence: f64,
    /// End of the first tick at which the mean reached `1/α`, and the index of the metric that led then.
    pub decided: Option<(i64, usize)>,
    /// The metric that leads at the decision, else now.
    pub leading: Option<usize>,
}

pub(crate) fn combine(metrics: &[Weighed], budget: f64) -> Joint {
    let all: f64 = metrics.iter().map(|m| m.weight).sum();
    let mean = |latest: &[f64]| -> f64 {
        if metrics.is_empty() {
            1.0
        } else {
            latest.iter().zip(metrics).map(|(e, m)| e * m.weight / all).sum()
        }
    };
    let leader =
        |latest: &[f64]| leading(&latest.iter().zip(metrics).map(|(e, m)| e * m.weight).collect::<Vec<_>>());
    let mut ends: Vec<i64> = metrics.iter().flat_map(|m| &m.trace).map(|(end_ms, _)| *end_ms).collect();
    ends.sort_unstable();
    ends.dedup();
    let mut latest = vec![1.0; metrics.len()];
    let mut next = vec![0; metrics.len()];
    let mut decided = None;
    for end_ms in ends {
        for ((metric, next), latest) in metrics.iter().zip(&mut next).zip(&mut latest) {
            // Metrics merge ticks on their own; one without a tick that ends here keeps its evidence.
            while let Some((_, evidence)) = metric.trace.get(*next).filter(|(at, _)| *at <= end_ms) {
                *latest = *evidence;
                *next += 1;
            }
        }
        if decided.is_none() && mean(&latest) >= 1.0 / budget {
            decided = leader(&latest).map(|leading| (end_ms, leading));
        }
    }
    let leading = decided.map_or_else(|| leader(&latest), |(_, leading)| Some(leading));
    Joint { evidence: mean(&latest), decided, leading }
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
