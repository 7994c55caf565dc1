//! What holds whatever was scraped.

use proptest::prelude::*;
use serin_judge::{
    ErrorInput, ErrorParams, ErrorTest, ErrorVerdict, GaugePod, PodCounters, Sample, Series, ThresholdParams,
    ThresholdTest, TracePoint, Window, dispersion_prior,
};

use crate::support::{Counts, INTERVAL, ORIGIN, arms, at, judge, test, window};

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (0..2000_u32).prop_map(f64::from),
        2 => 0.0..2000.0_f64,
        1 => prop::sample::select(vec![
            f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -0.0, 5e-324, 1e-300, 1e15, 9_007_199_254_740_992.0, 1e308,
        ]),
    ]
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        20 => (-40_000..400_000_i64).prop_map(|ms| ORIGIN + ms),
        1 => prop::sample::select(vec![i64::MIN, -1, 0, i64::MAX]),
    ]
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    prop::collection::vec((time(), value()).prop_map(|(at_ms, value)| Sample { at_ms, value }), 0..40)
}

fn pods() -> impl Strategy<Value = Vec<PodCounters>> {
    let series = (any::<bool>(), samples()).prop_map(|(error, samples)| Series { error, samples });
    let pod = (
        0..4_u8,
        prop::option::of(time()),
        prop::collection::vec(time(), 0..4),
        prop::collection::vec(series, 0..4),
    )
        .prop_map(|(name, started_ms, scraped_ms, series)| PodCounters {
            pod: format!("pod-{name}"),
            started_ms,
            scraped_ms,
            series,
        });
    prop::collection::vec(pod, 0..5)
}

fn any_window() -> impl Strategy<Value = Window> {
    let odd = prop::sample::select(vec![i64::MIN, -1, 0, 1, i64::MAX]);
    prop_oneof![
        20 => (0..420_000_i64).prop_map(|ms| Window::new(ORIGIN, INTERVAL, ORIGIN + ms)),
        1 => (odd.clone(), odd.clone(), odd).prop_map(|(a, b, c)| {
            Window { origin_ms: a, interval_ms: b, now_ms: c, stale_after_ms: b }
        }),
    ]
}

fn counts() -> impl Strategy<Value = Counts> {
    let arm = || {
        (0..3000_u32, 0.0..1.0_f64)
            .prop_map(|(n, share)| (f64::from(n), (f64::from(n) * share * share).floor()))
    };
    (arm(), arm()).prop_map(|((nc, ec), (ns, es))| (nc, ec, ns, es))
}

fn params() -> impl Strategy<Value = ErrorParams> {
    prop::sample::select(vec![
        ErrorParams::default(),
        ErrorParams::with_slo(0.01),
        ErrorParams { floor_ratio: 0.4, max_ratio: 1.0, ..ErrorParams::default() },
        ErrorParams { max_ratio: 100.0, unacceptable_ratio: 1000.0, ..ErrorParams::with_slo(0.5) },
    ])
}

/// Everything in bits, for comparisons that NaN would pass or fail wrongly.
fn bits(verdict: &ErrorVerdict, trace: &[TracePoint]) -> String {
    format!("{verdict:?} {trace:?}")
}

fn run(
    test: ErrorTest,
    canary: &[PodCounters],
    stable: &[PodCounters],
    window: &Window,
) -> (ErrorVerdict, Vec<TracePoint>) {
    let input = ErrorInput { canary, stable, dispersion_prior: 1.5 };
    (test.judge(&input, window), test.trace(&input, window))
}

proptest! {
    #[test]
    fn anything_scraped_gives_finite_evidence(canary in pods(), stable in pods(), window in any_window(), params in params()) {
        let (verdict, trace) = run(test(params), &canary, &stable, &window);
        prop_assert!(verdict.rollback_evidence_log10.is_finite() && verdict.promotion_evidence_log10.is_finite());
        prop_assert!(verdict.phi.is_finite() && verdict.phi >= 1.0);
        prop_assert!(verdict.ratio.is_none_or(|ratio| ratio.is_finite() && ratio > 0.0));
        for point in &trace {
            prop_assert!(point.rollback_evidence > 0.0 && point.promotion_evidence > 0.0);
            for arm in [point.canary, point.stable] {
                prop_assert!(arm.errors >= 0.0 && arm.errors <= arm.requests && arm.requests.is_finite());
            }
        }
        prop_assert!(trace.windows(2).all(|pair| pair[0].end_ms <= pair[1].end_ms));
        let phi = dispersion_prior(&stable, &window);
        prop_assert!(phi.is_finite() && phi >= 1.0);
    }

    #[test]
    fn replay_is_bit_identical_and_order_does_not_matter(canary in pods(), stable in pods(), window in any_window()) {
        let test = test(ErrorParams::with_slo(0.01));
        let (verdict, trace) = run(test, &canary, &stable, &window);
        let want = bits(&verdict, &trace);
        let (verdict, trace) = run(test, &canary, &stable, &window);
        prop_assert_eq!(&bits(&verdict, &trace), &want);
        let backwards = |pods: &[PodCounters]| -> Vec<PodCounters> {
            pods.iter().rev().cloned().map(|mut pod| {
                pod.series.reverse();
                pod.series.iter_mut().for_each(|series| series.samples.reverse());
                pod
            }).collect()
        };
        let (verdict, trace) = run(test, &backwards(&canary), &backwards(&stable), &window);
        prop_assert_eq!(&bits(&verdict, &trace), &want);
    }

    #[test]
    fn an_earlier_look_sees_a_prefix(ticks in prop::collection::vec(counts(), 2..30), earlier in 1..30_usize) {
        let (canary, stable) = arms(&ticks);
        let test = test(ErrorParams::default());
        let (_, all) = run(test, &canary, &stable, &window(ticks.len()));
        let looked_at = Window::new(ORIGIN, INTERVAL, at(i64::try_from(earlier.min(ticks.len() - 1)).unwrap()));
        let (_, seen) = run(test, &canary, &stable, &looked_at);
        prop_assert_eq!(&seen[..], &all[..seen.len()]);
    }

    #[test]
    fn a_tick_without_requests_in_an_arm_leaves_the_evidence(
        ticks in prop::collection::vec(counts(), 0..20), idle in counts(), canary in any::<bool>(), params in params(),
    ) {
        // With an objective, canary requests without stable ones still count for promotion.
        let empty = if canary { (0.0, 0.0, idle.2, idle.3) } else { (idle.0, idle.1, 0.0, 0.0) };
        let before = judge(&ticks, params);
        let mut more = ticks;
        more.push(empty);
        let after = judge(&more, params);
        let same = |a: f64, b: f64| (a - b).abs() < 1e-12;
        prop_assert!(same(before.rollback_evidence_log10, after.rollback_evidence_log10));
        if canary || params.slo_error_ratio.is_none() {
            prop_assert!(same(before.promotion_evidence_log10, after.promotion_evidence_log10));
        }
    }

    /// Holds in the latest tick, for requests that fail instead of succeeding. It need not hold for an earlier tick
    /// (more dispersion tempers later ticks more), nor for additional failed requests (they also raise the canary's
    /// expected share).
    #[test]
    fn more_errors_in_the_latest_tick_never_lower_rollback_evidence(
        ticks in prop::collection::vec(counts(), 1..20), extra in 1..100_u32, params in params(),
    ) {
        let before = judge(&ticks, params);
        let mut worse = ticks;
        if let Some(last) = worse.last_mut() {
            last.1 = (last.1 + f64::from(extra)).min(last.0);
        }
        let after = judge(&worse, params);
        prop_assert!(after.rollback_evidence_log10 >= before.rollback_evidence_log10 - 1e-12);
    }

    #[test]
    fn any_gauge_gives_a_verdict(a in samples(), b in samples(), window in any_window()) {
        let test = ThresholdTest::new(ThresholdParams { max: Some(1000.0), min: Some(1.0), consecutive: 2 }).unwrap();
        let pod = |pod: &str, samples: &[Sample]| GaugePod { pod: pod.into(), samples: samples.to_vec() };
        let got = test.judge(&[pod("a", &a), pod("b", &b)], &window);
        prop_assert!(got.last_value.is_none_or(f64::is_finite));
        prop_assert_eq!(got, test.judge(&[pod("b", &b), pod("a", &a)], &window));
    }
}

#[test]
fn parameters_are_checked() {
    let refused = |change: fn(&mut ErrorParams)| {
        let mut params = ErrorParams::default();
        change(&mut params);
        ErrorTest::new(params).is_err()
    };
    assert!(refused(|p| p.max_ratio = 0.9));
    assert!(refused(|p| p.max_ratio = f64::NAN));
    assert!(refused(|p| p.unacceptable_ratio = 1.25));
    assert!(refused(|p| p.unacceptable_ratio = f64::INFINITY));
    assert!(refused(|p| p.slo_error_ratio = Some(0.0)));
    assert!(refused(|p| p.slo_error_ratio = Some(f64::NAN)));
    assert!(refused(|p| p.floor_ratio = -1.0));
    assert!(refused(|p| p.floor_ratio = f64::NAN));
    assert!(refused(|p| (p.slo_error_ratio, p.floor_ratio) = (Some(0.01), 0.02)));
    assert!(refused(|p| p.false_rollback_budget = 0.0));
    assert!(refused(|p| p.false_promotion_budget = 1.0));
    assert!(!refused(|_| ()));
}
