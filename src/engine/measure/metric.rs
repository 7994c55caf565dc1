//! The judge's test of a metric as the spec has it.

use serin_api::{
    Analysis, Better, ErrorRatio, Failures, Latency, Metric, MetricKind, Quality, Score, Threshold,
    metrics::Pair, quantity,
};
use serin_judge::{
    CoarseEdges, Direction, ErrorInput, ErrorParams, ErrorTest, ErrorVerdict, LatencyInput, LatencyParams,
    LatencyProfile, LatencyTest, MeanInput, MeanParams, MeanTest, Part, QualityInput, QualityPod, ScoreInput,
    ScoreParams, ScoreTest, Test, ThresholdParams, ThresholdTest, Window, dispersion_prior, judge_quality,
};

use super::{Arms, Samples};

/// Clustering of bad answers before the analysis: none, as far as is known.
const UNKNOWN_DISPERSION: f64 = 1.0;

/// What the stable version was like before the candidate had traffic.
pub(super) struct Before {
    /// Clustering of its errors.
    dispersion: f64,
    /// Its latencies.
    profile: LatencyProfile,
}

impl Before {
    /// From the samples before the analysis; without any it says nothing.
    pub(super) fn read(samples: &Samples, before: &Window) -> Self {
        let mut found = Self { dispersion: UNKNOWN_DISPERSION, profile: LatencyProfile::default() };
        match samples {
            Samples::Errors(a) => found.dispersion = dispersion_prior(&a.stable, before),
            Samples::Latency(a) => found.profile = LatencyProfile::read(&a.stable, before),
            _ => {}
        }
        found
    }
}

/// The test and its data; an error for what the validation of a spec should have refused.
pub(super) fn test<'a>(
    analysis: &Analysis,
    metric: &'a Metric,
    samples: &'a Samples,
    before: &'a Before,
) -> Result<Test<'a>, &'static str> {
    const NO_TEST: &str = "its parameters contradict each other";
    match (metric.kind(), samples) {
        (Some(MetricKind::ErrorRatio(e)), Samples::Errors(a)) => {
            let test = ErrorTest::new(error_params(analysis, e)).map_err(|_| NO_TEST)?;
            let input =
                ErrorInput { canary: &a.canary, stable: &a.stable, dispersion_prior: before.dispersion };
            Ok(Test::Errors(test, input))
        }
        (Some(MetricKind::ErrorRatio(e)), Samples::Quality(a)) => {
            let test = ErrorTest::new(error_params(analysis, e)).map_err(|_| NO_TEST)?;
            Ok(Test::Quality(test, quality(a, part_of_requests(e))))
        }
        (Some(MetricKind::Quality(q)), Samples::Quality(a)) => {
            let test = ErrorTest::new(quality_params(analysis, q)).map_err(|_| NO_TEST)?;
            Ok(Test::Quality(test, quality(a, if q.bad.is_some() { Part::Bad } else { Part::Good })))
        }
        (Some(MetricKind::Latency(l)), Samples::Latency(a)) => {
            let test = LatencyTest::new(latency_params(analysis, l)).map_err(|_| NO_TEST)?;
            Ok(Test::Latency(
                test,
                LatencyInput { canary: &a.canary, stable: &a.stable, profile: &before.profile },
            ))
        }
        (Some(MetricKind::MeanLatency(l)), Samples::Mean(a)) => {
            let params = MeanParams {
                max_increase: percent(l.max_increase_percent),
                unacceptable_increase: percent(l.unacceptable_increase_percent),
                block_ticks: block_ticks(analysis),
                false_rollback_budget: permille(analysis.false_rollback_budget_permille),
                false_promotion_budget: permille(analysis.false_promotion_budget_permille),
            };
            let test = MeanTest::new(params).map_err(|_| NO_TEST)?;
            Ok(Test::Mean(test, MeanInput { canary: &a.canary, stable: &a.stable }))
        }
        (Some(MetricKind::Score(s)), Samples::Score(a)) => {
            let params = score_params(analysis, s).ok_or(NO_TEST)?;
            let test = ScoreTest::new(params).map_err(|_| NO_TEST)?;
            Ok(Test::Score(test, ScoreInput { canary: &a.canary, stable: &a.stable }))
        }
        (Some(MetricKind::Threshold(t)), Samples::Gauge(pods)) => {
            let test = ThresholdTest::new(threshold_params(t)).map_err(|_| NO_TEST)?;
            Ok(Test::Threshold(test, pods))
        }
        _ => Err("it is not of one kind"),
    }
}

fn quality(arms: &Arms<QualityPod>, part: Part) -> QualityInput<'_> {
    QualityInput { canary: &arms.canary, stable: &arms.stable, part, dispersion_prior: UNKNOWN_DISPERSION }
}

/// Which part of all requests a server counts apart.
fn part_of_requests(e: &ErrorRatio) -> Part {
    match e.failures.as_ref().and_then(Failures::pair) {
        Some(Pair::Succeeded { .. }) => Part::Good,
        _ => Part::Bad,
    }
}

/// The stable version alone. The judge wants two arms; its pods stand for both, and only the totals are read.
pub(super) fn baseline(
    test: &ErrorTest,
    e: &ErrorRatio,
    samples: &Samples,
    window: &Window,
) -> Option<ErrorVerdict> {
    match samples {
        Samples::Errors(Arms { stable, .. }) => {
            let input = ErrorInput { canary: stable, stable, dispersion_prior: UNKNOWN_DISPERSION };
            Some(test.judge(&input, window))
        }
        Samples::Quality(Arms { stable, .. }) => {
            let input = QualityInput {
                canary: stable,
                stable,
                part: part_of_requests(e),
                dispersion_prior: UNKNOWN_DISPERSION,
            };
            Some(judge_quality(test, &input, window))
        }
        _ => None,
    }
}

fn percent(value: i32) -> f64 {
    f64::from(value) / 100.0
}
fn permille(value: i32) -> f64 {
    f64::from(value) / 1000.0
}

/// Means and scores are compared in blocks longer than the time over which they stay alike: a minute.
fn block_ticks(analysis: &Analysis) -> u32 {
    const BLOCK_SECONDS: i32 = 60;
    let ticks = (BLOCK_SECONDS + analysis.interval_seconds - 1) / analysis.interval_seconds.max(1);
    u32::try_from(ticks).unwrap_or(1).max(1)
}

pub(super) fn error_params(analysis: &Analysis, e: &ErrorRatio) -> ErrorParams {
    ratio_params(analysis, e.max_ratio_percent, e.unacceptable_ratio_percent, e.slo_error_permille)
}

fn quality_params(analysis: &Analysis, q: &Quality) -> ErrorParams {
    ratio_params(analysis, q.max_ratio_percent, q.unacceptable_ratio_percent, q.slo_bad_permille)
}

fn ratio_params(analysis: &Analysis, max: i32, unacceptable: i32, slo: i32) -> ErrorParams {
    let slo = (slo > 0).then(|| permille(slo));
    ErrorParams {
        max_ratio: percent(max),
        unacceptable_ratio: percent(unacceptable),
        slo_error_ratio: slo,
        floor_ratio: slo.map_or(0.0, |s| s / 10.0),
        false_rollback_budget: permille(analysis.false_rollback_budget_permille),
        false_promotion_budget: permille(analysis.false_promotion_budget_permille),
    }
}

fn latency_params(analysis: &Analysis, l: &Latency) -> LatencyParams {
    LatencyParams {
        max_increase: percent(l.max_increase_percent),
        unacceptable_increase: percent(l.unacceptable_increase_percent),
        coarse_edges: CoarseEdges::default(),
        false_rollback_budget: permille(analysis.false_rollback_budget_permille),
        false_promotion_budget: permille(analysis.false_promotion_budget_permille),
    }
}

fn score_params(analysis: &Analysis, s: &Score) -> Option<ScoreParams> {
    Some(ScoreParams {
        min: quantity::parse(&s.min)?,
        max: quantity::parse(&s.max)?,
        better: match s.better {
            Better::Higher => Direction::Higher,
            Better::Lower => Direction::Lower,
        },
        margin: quantity::parse(&s.margin)?,
        unacceptable_margin: quantity::parse(&s.unacceptable_margin)?,
        block_ticks: block_ticks(analysis),
        false_rollback_budget: permille(analysis.false_rollback_budget_permille),
        false_promotion_budget: permille(analysis.false_promotion_budget_permille),
    })
}

fn threshold_params(t: &Threshold) -> ThresholdParams {
    let bound = |b: &Option<String>| b.as_deref().and_then(quantity::parse);
    ThresholdParams { max: bound(&t.max), min: bound(&t.min), ..ThresholdParams::default() }
}
