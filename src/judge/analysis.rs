//! All metrics of an analysis, of whatever kind, under one rollback budget.

use crate::joint::{Weighed, combine};
use crate::{
    ErrorInput, ErrorTest, ErrorVerdict, GaugePod, LatencyInput, LatencyTest, LatencyVerdict, MeanInput,
    MeanTest, MeanVerdict, MetricState, QualityInput, ScoreInput, ScoreTest, ScoreVerdict, State,
    ThresholdTest, ThresholdVerdict, Window, merge, quality,
};

/// What is compared, and its data.
#[derive(Debug, Clone, Copy)]
pub enum Test<'a> {
    /// Errors among requests.
    Errors(ErrorTest, ErrorInput<'a>),
    /// Bad ones among all.
    Quality(ErrorTest, QualityInput<'a>),
    /// Latency from buckets.
    Latency(LatencyTest, LatencyInput<'a>),
    /// Mean latency; asymptotic.
    Mean(MeanTest, MeanInput<'a>),
    /// A bounded score.
    Score(ScoreTest, ScoreInput<'a>),
    /// A bound on a gauge of the canary alone; outside of the budget.
    Threshold(ThresholdTest, &'a [GaugePod]),
}

/// One metric of an analysis.
#[derive(Debug, Clone, Copy)]
pub struct Metric<'a> {
    /// Name as the user wrote it.
    pub name: &'a str,
    /// Its share of the rollback budget, relative to the others'; one that is not positive counts as 1.
    pub weight: f64,
    /// What is compared.
    pub test: Test<'a>,
}

/// The verdict of one metric, for itself.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricVerdict {
    /// Errors among requests.
    Errors(ErrorVerdict),
    /// Bad ones among all.
    Quality(ErrorVerdict),
    /// Latency from buckets.
    Latency(LatencyVerdict),
    /// Mean latency; asymptotic.
    Mean(MeanVerdict),
    /// A bounded score.
    Score(ScoreVerdict),
    /// A bound on a gauge.
    Threshold(ThresholdVerdict),
}

impl MetricVerdict {
    /// The state that the metric's own budget would give.
    pub fn state(&self) -> State {
        match self {
            Self::Errors(v) | Self::Quality(v) => v.state,
            Self::Latency(v) => v.state,
            Self::Mean(v) => v.state,
            Self::Score(v) => v.state,
            Self::Threshold(v) => v.state,
        }
    }

    /// log10 of the rollback evidence; a bound that was broken often enough is beyond evidence.
    pub fn rollback_evidence_log10(&self) -> f64 {
        match self {
            Self::Errors(v) | Self::Quality(v) => v.rollback_evidence_log10,
            Self::Latency(v) => v.rollback_evidence_log10,
            Self::Mean(v) => v.rollback_evidence_log10,
            Self::Score(v) => v.rollback_evidence_log10,
            Self::Threshold(v) if v.state == State::Fail => f64::INFINITY,
            Self::Threshold(_) => 0.0,
        }
    }

    /// log10 of the promotion evidence; none for a bound.
    pub fn promotion_evidence_log10(&self) -> Option<f64> {
        match self {
            Self::Errors(v) | Self::Quality(v) => Some(v.promotion_evidence_log10),
            Self::Latency(v) => Some(v.promotion_evidence_log10),
            Self::Mean(v) => Some(v.promotion_evidence_log10),
            Self::Score(v) => Some(v.promotion_evidence_log10),
            Self::Threshold(_) => None,
        }
    }

    /// Whether the rollback evidence is below 3.
    pub fn is_unsuspicious(&self) -> bool {
        match self {
            Self::Errors(v) | Self::Quality(v) => v.unsuspicious,
            Self::Latency(v) => v.unsuspicious,
            Self::Mean(v) => v.unsuspicious,
            Self::Score(v) => v.unsuspicious,
            Self::Threshold(v) => v.state != State::Fail,
        }
    }

    /// Whether the budgets hold only for many blocks.
    pub fn is_asymptotic(&self) -> bool {
        matches!(self, Self::Mean(_))
    }

    fn has_no_data(&self) -> bool {
        match self {
            Self::Errors(v) | Self::Quality(v) => v.no_data.is_some(),
            Self::Latency(v) => v.no_data.is_some(),
            Self::Mean(v) => v.no_data.is_some(),
            Self::Score(v) => v.no_data.is_some(),
            Self::Threshold(v) => v.no_data.is_some(),
        }
    }
}

/// The verdict over all metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// As in [`crate::merge`].
    pub state: State,
    /// Index of the metric with the largest weighted evidence, at the decision if there is one, else now.
    pub leading: Option<usize>,
    /// log10 of the weighted mean of the evidences after the last tick, bounds left out.
    pub rollback_evidence_log10: f64,
    /// End of the tick that decided against the canary, milliseconds since the Unix epoch.
    pub decided_at_ms: Option<i64>,
    /// Whether the evidence is below 3 in every metric.
    pub unsuspicious: bool,
    /// States of the metrics within the shared budget: only the leading one of a failed analysis, and broken bounds,
    /// are Fail.
    pub states: Vec<State>,
    /// Verdicts of the metrics, each for itself.
    pub verdicts: Vec<MetricVerdict>,
}

/// Judges all metrics together: roll back when the weighted mean of their evidences reaches `1/α`, with α the smallest
/// of their budgets, or when a bound is broken. The mean of e-values is one whatever their dependence (Vovk and Wang,
/// Annals of Statistics 2021). Passing needs every metric.
pub fn judge_all(metrics: &[Metric<'_>], window: &Window) -> Analysis {
    let mut verdicts = Vec::with_capacity(metrics.len());
    let mut weighed = Vec::with_capacity(metrics.len());
    let mut budget: f64 = 1.0;
    let mut broken: Option<(i64, usize)> = None;
    for (index, metric) in metrics.iter().enumerate() {
        let (verdict, trace, own_budget) = replay(&metric.test, window);
        if let MetricVerdict::Threshold(v) = &verdict {
            let at = v.decided_at_ms.map(|at| (at, index));
            broken = [broken, at].into_iter().flatten().min();
        }
        budget = budget.min(own_budget);
        verdicts.push(verdict);
        if let Some(trace) = trace {
            let weight = if metric.weight > 0.0 && metric.weight.is_finite() { metric.weight } else { 1.0 };
            weighed.push((index, Weighed { weight, trace }));
        }
    }
    let (indices, weighed): (Vec<usize>, Vec<Weighed>) = weighed.into_iter().unzip();
    let joint = combine(&weighed, budget);
    let of = |at: usize| indices.get(at).copied();
    let by_evidence = joint.decided.and_then(|(end_ms, at)| Some((end_ms, of(at)?)));
    let decided = [by_evidence, broken].into_iter().flatten().min();

    let states: Vec<State> = verdicts
        .iter()
        .enumerate()
        .map(|(index, verdict)| match verdict.state() {
            _ if by_evidence.is_some_and(|(_, blamed)| blamed == index) => State::Fail,
            State::Fail if !matches!(verdict, MetricVerdict::Threshold(_)) => {
                // Over the threshold alone, but not with its share of the budget.
                State::settle(false, verdict.has_no_data(), false)
            }
            state => state,
        })
        .collect();
    let merged: Vec<MetricState<'_>> = metrics
        .iter()
        .zip(&states)
        .map(|(metric, state)| MetricState { name: metric.name, state: *state, evidence_log10: 0.0 })
        .collect();
    Analysis {
        state: merge(&merged).state,
        leading: decided.map(|(_, index)| index).or_else(|| joint.leading.and_then(of)),
        rollback_evidence_log10: joint.evidence.log10(),
        decided_at_ms: decided.map(|(end_ms, _)| end_ms),
        unsuspicious: verdicts.iter().all(MetricVerdict::is_unsuspicious),
        states,
        verdicts,
    }
}

type Trace = Vec<(i64, f64)>;

/// The metric's own verdict, its evidence over time if it has any, and its budget.
fn replay(test: &Test<'_>, window: &Window) -> (MetricVerdict, Option<Trace>, f64) {
    let points = |trace: Vec<crate::EvidencePoint>| -> Option<Trace> {
        Some(trace.iter().map(|p| (p.end_ms, p.rollback_evidence)).collect())
    };
    let ticks = |trace: Vec<crate::TracePoint>| -> Option<Trace> {
        Some(trace.iter().map(|p| (p.end_ms, p.rollback_evidence)).collect())
    };
    match test {
        Test::Errors(test, input) => {
            let (verdict, trace) = test.replay(input, window);
            (MetricVerdict::Errors(verdict), ticks(trace), test.params().false_rollback_budget)
        }
        Test::Quality(test, input) => {
            let (verdict, trace) = quality::replay(test, input, window);
            (MetricVerdict::Quality(verdict), ticks(trace), test.params().false_rollback_budget)
        }
        Test::Latency(test, input) => {
            let (verdict, trace) = test.replay(input, window);
            (MetricVerdict::Latency(verdict), points(trace), test.params().false_rollback_budget)
        }
        Test::Mean(test, input) => {
            let (verdict, trace) = test.replay(input, window);
            (MetricVerdict::Mean(verdict), points(trace), test.params().false_rollback_budget)
        }
        Test::Score(test, input) => {
            let (verdict, trace) = test.replay(input, window);
            (MetricVerdict::Score(verdict), points(trace), test.params().false_rollback_budget)
        }
        Test::Threshold(test, pods) => (MetricVerdict::Threshold(test.judge(pods, window)), None, 1.0),
    }
}
