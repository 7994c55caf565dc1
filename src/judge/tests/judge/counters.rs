//! What deltas come from which samples.

use serin_judge::{
    ErrorInput, ErrorParams, ErrorVerdict, NoDataReason, PodCounters, Series, State, TracePoint, Window,
};

use crate::support::{INTERVAL, ORIGIN, at, judge_pods, pod, sample, test, window};

fn steady(name: &str, ticks: usize) -> PodCounters {
    pod(name, std::iter::repeat_n((100.0, 1.0), ticks))
}

/// A pod with one series of samples `(tick, value)` in the middle of their ticks.
fn raw(error: bool, values: &[(i64, f64)]) -> PodCounters {
    let samples = values.iter().map(|(tick, value)| sample(at(*tick), *value)).collect();
    PodCounters { pod: "c".into(), series: vec![Series { error, samples }], ..PodCounters::default() }
}

fn trace_at(canary: &[PodCounters], stable: &[PodCounters], window: &Window) -> Vec<TracePoint> {
    test(ErrorParams::default()).trace(&ErrorInput { canary, stable, dispersion_prior: 1.0 }, window)
}

fn judge(canary: PodCounters, ticks: usize) -> ErrorVerdict {
    judge_pods(&[canary], &[steady("s", ticks)], ErrorParams::default(), &window(ticks))
}

fn canary_requests(canary: PodCounters, ticks: usize) -> Vec<f64> {
    let points = trace_at(&[canary], &[steady("s", ticks)], &window(ticks));
    points.iter().map(|p| p.canary.requests).collect()
}

#[test]
fn a_reset_counts_the_new_value() {
    let got = judge(raw(false, &[(-1, 500.0), (0, 510.0), (1, 7.0), (2, 9.0)]), 3);
    assert_eq!((got.canary.requests, got.resets), (19.0, 1));
}

#[test]
fn the_first_scrape_of_an_old_pod_is_a_baseline() {
    assert_eq!(canary_requests(raw(false, &[(0, 500.0), (1, 510.0)]), 2), [0.0, 10.0]);
}

#[test]
fn the_first_scrape_of_a_young_pod_counts() {
    let mut canary = raw(false, &[(0, 4.0), (1, 10.0)]);
    canary.started_ms = Some(at(0) - INTERVAL + 1);
    assert_eq!(canary_requests(canary.clone(), 2), [4.0, 6.0]);
    canary.started_ms = Some(at(0) - INTERVAL);
    assert_eq!(canary_requests(canary, 2), [0.0, 6.0]);
}

/// Its container was started anew after its first scrape: what that one had counted is as old as before.
#[test]
fn the_first_scrape_before_a_restart_is_a_baseline() {
    let mut canary = raw(false, &[(0, 500.0), (1, 510.0), (2, 3.0)]);
    canary.started_ms = Some(at(1) + INTERVAL / 2);
    assert_eq!(canary_requests(canary.clone(), 3), [0.0, 10.0, 3.0]);
    canary.started_ms = Some(at(0) + INTERVAL - 1);
    assert_eq!(canary_requests(canary, 3), [500.0, 10.0, 3.0], "clocks differ");
}

#[test]
fn a_new_series_of_a_known_pod_counts_from_zero() {
    let mut canary = raw(false, &[(-1, 500.0), (0, 510.0), (1, 520.0)]);
    canary.series.push(Series { error: true, samples: vec![sample(at(1), 3.0)] });
    let got = judge(canary, 2);
    assert_eq!((got.canary.requests, got.canary.errors), (23.0, 3.0));
}

#[test]
fn a_series_of_a_pod_known_to_be_scraped_without_any_counts_from_zero() {
    let mut canary = raw(false, &[(2, 3.0)]);
    canary.scraped_ms = vec![at(0), at(1), at(2)];
    assert_eq!(canary_requests(canary, 3), [0.0, 0.0, 3.0]);
}

#[test]
fn a_series_that_was_only_unusable_before_is_not_new() {
    let mut canary = raw(false, &[(-1, 500.0), (0, 510.0), (1, 520.0)]);
    let samples = vec![sample(at(-1), f64::NAN), sample(at(0), 700.0), sample(at(1), 701.0)];
    canary.series.push(Series { error: true, samples });
    let got = judge(canary, 2);
    assert_eq!((got.canary.errors, got.discarded), (1.0, 1));
}

#[test]
fn a_vanished_series_ends() {
    let mut canary = raw(false, &[(-1, 500.0), (0, 510.0), (1, 520.0), (2, 530.0)]);
    canary.series.push(Series { error: true, samples: vec![sample(at(-1), 1.0), sample(at(0), 2.0)] });
    let got = judge(canary, 3);
    assert_eq!((got.canary.requests, got.canary.errors, got.ticks), (31.0, 1.0, 3));
}

#[test]
fn a_gap_is_merged_for_both_arms() {
    let points =
        trace_at(&[raw(false, &[(-1, 0.0), (0, 10.0), (3, 40.0), (4, 50.0)])], &[steady("s", 5)], &window(5));
    let seen: Vec<_> = points.iter().map(|p| (p.end_ms, p.canary.requests, p.stable.requests)).collect();
    let end = |tick: i64| ORIGIN + (tick + 1) * INTERVAL;
    assert_eq!(seen, [(end(0), 10.0, 100.0), (end(3), 30.0, 300.0), (end(4), 10.0, 100.0)]);
}

#[test]
fn a_gap_of_one_pod_among_several_is_not_merged() {
    let canary = [steady("c-0", 3), PodCounters { pod: "c-1".into(), ..raw(false, &[(-1, 0.0), (2, 30.0)]) }];
    let points = trace_at(&canary, &[steady("s", 3)], &window(3));
    assert_eq!(points.iter().map(|p| p.canary.requests).collect::<Vec<_>>(), [100.0, 100.0, 130.0]);
}

#[test]
fn order_and_duplicates_do_not_matter_and_the_larger_duplicate_holds() {
    let ordered = raw(false, &[(-1, 500.0), (0, 510.0), (1, 520.0)]);
    let shuffled = raw(false, &[(1, 520.0), (0, 3.0), (-1, 500.0), (0, 510.0), (1, 520.0)]);
    assert_eq!(judge(ordered, 2), judge(shuffled, 2));
}

#[test]
fn unusable_values_are_as_if_not_scraped() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e308] {
        let got = judge(raw(false, &[(-1, 500.0), (0, bad), (1, 520.0)]), 2);
        assert_eq!((got.canary.requests, got.ticks, got.discarded), (20.0, 1, 1), "{bad}");
    }
}

#[test]
fn samples_before_the_origin_are_baselines_only() {
    let got = judge(raw(false, &[(-3, 100.0), (-2, 200.0), (-1, 300.0), (0, 310.0)]), 1);
    assert_eq!(got.canary.requests, 10.0);
}

#[test]
fn samples_after_now_are_ignored() {
    let (canary, stable) = ([steady("c", 10)], [steady("s", 10)]);
    let early = Window::new(ORIGIN, INTERVAL, at(5));
    let points = trace_at(&canary, &stable, &early);
    // Tick 4 is closed by the scrape in tick 5, tick 5 is open.
    assert_eq!(points.last().map(|p| p.end_ms), Some(ORIGIN + 5 * INTERVAL));
    assert_eq!(points[..], trace_at(&canary, &stable, &window(10))[..5]);
}

#[test]
fn the_newest_tick_waits_for_the_slower_arm_three_intervals_long() {
    let (canary, stable) = ([steady("c", 2)], [steady("s", 6)]);
    let end = ORIGIN + 2 * INTERVAL;
    let ticks = |now| trace_at(&canary, &stable, &Window::new(ORIGIN, INTERVAL, now)).len();
    assert_eq!((ticks(end + 3 * INTERVAL), ticks(end + 3 * INTERVAL + 1)), (1, 2));
}

#[test]
fn reasons_for_no_data_are_told_apart() {
    let reason = |canary: &[PodCounters], stable: &[PodCounters], now_ms| {
        let window = Window::new(ORIGIN, INTERVAL, now_ms);
        let got = judge_pods(canary, stable, ErrorParams::default(), &window);
        assert_eq!(got.state, if got.no_data.is_some() { State::NoData } else { State::Undecided });
        got.no_data
    };
    let now = window(2).now_ms;
    let (canary, stable) = ([steady("c", 2)], [steady("s", 2)]);
    assert_eq!(reason(&[], &stable, now), Some(NoDataReason::NoSeries));
    assert_eq!(reason(&canary, &[], now), Some(NoDataReason::NoStable));
    assert_eq!(reason(&canary, &stable, now + INTERVAL), Some(NoDataReason::Stale));
    let idle = [raw(false, &[(-1, 5.0), (0, 5.0), (1, 5.0)])];
    assert_eq!(reason(&idle, &stable, now), Some(NoDataReason::NoRequests));
    assert_eq!(reason(&canary, &idle, now), Some(NoDataReason::NoStable));
    assert_eq!(reason(&canary, &stable, now), None);
}

#[test]
fn without_stable_data_a_failing_canary_is_not_rolled_back() {
    let canary = pod("c", std::iter::repeat_n((100.0, 90.0), 40));
    let got = judge_pods(&[canary], &[], ErrorParams::with_slo(0.01), &window(40));
    assert_eq!((got.state, got.no_data), (State::NoData, Some(NoDataReason::NoStable)));
    assert!(got.rollback_evidence_log10 <= 0.0);
}
