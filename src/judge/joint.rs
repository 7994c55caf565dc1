//! Several metrics under one rollback budget: roll back when the mean of their evidences reaches `1/α`. The mean of
//! e-values is one whatever their dependence (Vovk and Wang, Annals of Statistics 2021), and it is never worse than giving
//! each metric its part of the budget.

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
