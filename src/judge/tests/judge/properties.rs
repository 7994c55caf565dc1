//! What holds whatever was scraped.

use proptest::prelude::*;
use serin_judge::{
    Bucket, ErrorInput, ErrorParams, ErrorTest, ErrorVerdict, GaugePod, Histogram, HistogramPod,
    LatencyCounts, LatencyInput, LatencyParams, LatencyProfile, LatencyTest, MeanInput, MeanParams, MeanPod,
    MeanTest, PodCounters, Sample, ScoreInput, ScoreParams, ScoreTest, Series, ThresholdParams,
    ThresholdTest, TracePoint, TrafficCheck, TrafficParams, WarmUp, WeightStep, Window, dispersion_prior,
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

fn histograms() -> impl Strategy<Value = Vec<HistogramPod>> {
    let edge = prop::sample::select(vec![f64::NAN, -1.0, 0.0, 0.1, 0.25, 0.5, 1.0, 1e300, f64::INFINITY]);
    let bucket = (edge, samples()).prop_map(|(le, samples)| Bucket { le, samples });
    let pod = (0..3_u8, prop::option::of(time()), prop::collection::vec(bucket, 0..7)).prop_map(
        |(name, started_ms, buckets)| HistogramPod {
            pod: format!("pod-{name}"),
            started_ms,
            scraped_ms: vec![],
            histograms: vec![Histogram { buckets }],
        },
    );
    prop::collection::vec(pod, 0..4)
}

fn mean_pods(pods: &[HistogramPod]) -> Vec<MeanPod> {
    let series = |pod: &HistogramPod| {
        let all = pod.histograms.iter().flat_map(|h| h.buckets.chunks_exact(2));
        all.map(|pair| (pair[0].samples.clone(), pair[1].samples.clone())).collect()
    };
    pods.iter().map(|p| MeanPod { pod: p.pod.clone(), series: series(p), ..MeanPod::default() }).collect()
}

fn gauges(pods: &[HistogramPod]) -> Vec<GaugePod> {
    let samples = |pod: &HistogramPod| -> Vec<Sample> {
        pod.histograms.iter().flat_map(|h| &h.buckets).flat_map(|b| b.samples.clone()).collect()
    };
    pods.iter().map(|p| GaugePod { pod: p.pod.clone(), samples: samples(p) }).collect()
}

fn reversed(pods: &[HistogramPod]) -> Vec<HistogramPod> {
    let mut pods = pods.to_vec();
    pods.reverse();
    for histogram in pods.iter_mut().flat_map(|pod| &mut pod.histograms) {
        histogram.buckets.iter_mut().for_each(|bucket| bucket.samples.reverse());
    }
    pods
}

proptest! {
    #[test]
    fn any_histogram_gives_finite_evidence_in_any_order(canary in histograms(), stable in histograms(), window in any_window()) {
        let test = LatencyTest::new(LatencyParams::default()).unwrap();
        let known = LatencyProfile { edges: vec![0.1, 0.25, 0.5, 1.0], shares: vec![0.6, 0.3, 0.1, 0.01], phi: vec![1.0; 4], requests: 1e4 };
        for profile in [LatencyProfile::read(&stable, &window), known] {
            prop_assert!(profile.shares.iter().all(|share| share.is_finite() && *share > 0.0));
            prop_assert!(profile.phi.iter().all(|phi| phi.is_finite() && *phi >= 1.0));
            let got = test.judge(&LatencyInput { canary: &canary, stable: &stable, profile: &profile }, &window);
            prop_assert!(got.rollback_evidence_log10.is_finite() && got.promotion_evidence_log10.is_finite());
            prop_assert!(got.edges.iter().all(|e| e.canary_share <= 1.0 && e.stable_share <= 1.0 && e.max_ratio >= 1.02));
            let (a, b) = (reversed(&canary), reversed(&stable));
            let again = test.judge(&LatencyInput { canary: &a, stable: &b, profile: &profile }, &window);
            prop_assert_eq!(format!("{got:?}"), format!("{again:?}"));
        }
    }

    #[test]
    fn any_sum_score_and_share_give_finite_evidence(canary in histograms(), stable in histograms(), window in any_window(), from in time()) {
        let (c, s) = (mean_pods(&canary), mean_pods(&stable));
        let test = MeanTest::new(MeanParams { block_ticks: 1, ..MeanParams::default() }).unwrap();
        let got = test.judge(&MeanInput { canary: &c, stable: &s }, &window);
        prop_assert!(got.rollback_evidence_log10.is_finite() && got.promotion_evidence_log10.is_finite());
        let (c, s) = (gauges(&canary), gauges(&stable));
        let test = ScoreTest::new(ScoreParams { max: 1e4, margin: 1.0, unacceptable_margin: 10.0, ..ScoreParams::default() }).unwrap();
        let got = test.judge(&ScoreInput { canary: &c, stable: &s }, &window);
        prop_assert!(got.rollback_evidence_log10.is_finite() && got.promotion_evidence_log10.is_finite());
        let warm = WarmUp { age_ms: 30_000, requests: 100.0 };
        prop_assert_eq!(warm.histograms(&canary).len(), canary.len());
        let (c, s) = (arms(&[(5.0, 0.0, 9.0, 1.0); 3]).0, vec![]);
        for share in [f64::NAN, -1.0, 0.0, 1e-300, 0.5, 1.0] {
            let check = TrafficCheck::new(TrafficParams::default()).unwrap();
            let input = ErrorInput { canary: &c, stable: &s, dispersion_prior: 1.0 };
            let got = check.judge(&input, &[WeightStep { from_ms: from, share }], &window);
            prop_assert!(got.evidence_log10.is_finite());
        }
    }

    #[test]
    fn a_slower_latest_tick_never_lowers_the_evidence(
        ticks in prop::collection::vec((1..500_u32, 0..500_u32, 1..5000_u32, 0..5000_u32), 1..15), more in 1..50_u32,
    ) {
        let test = LatencyTest::new(LatencyParams { max_increase: 1.0, unacceptable_increase: 2.0, ..LatencyParams::default() }).unwrap();
        let profile = LatencyProfile { edges: vec![1.0, 2.0], shares: vec![0.3, 0.1], phi: vec![1.0; 2], requests: 1e5 };
        let run = |slower: u32| {
            let mut evidence = LatencyCounts::new(&test, &profile);
            let mut last = 0.0;
            for (index, (n_c, c, n_s, s)) in ticks.iter().enumerate() {
                let extra = if index + 1 == ticks.len() { slower } else { 0 };
                let arm = |n: u32, over: u32| (f64::from(n), [f64::from(n.min(2 * over)), f64::from(over.min(n))]);
                let ((n_c, over_c), (n_s, over_s)) = (arm(*n_c, c + extra), arm(*n_s, *s));
                last = evidence.add(0, (n_c, &over_c), (n_s, &over_s)).rollback_evidence;
            }
            last
        };
        prop_assert!(run(more) >= run(0) * (1.0 - 1e-12));
    }
}
