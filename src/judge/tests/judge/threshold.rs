//! Bounds on gauges.

use serin_judge::{GaugePod, NoDataReason, State, ThresholdParams, ThresholdTest, ThresholdVerdict};

use crate::support::{INTERVAL, ORIGIN, at, sample, window};

const MAX: ThresholdParams = ThresholdParams { max: Some(10.0), min: None, consecutive: 3 };

fn gauge(values: &[f64]) -> GaugePod {
    let samples = (0..).zip(values).map(|(tick, value)| sample(at(tick), *value)).collect();
    GaugePod { pod: "c".into(), samples }
}

fn judge(params: ThresholdParams, pods: &[&[f64]]) -> ThresholdVerdict {
    let ticks = pods.iter().map(|p| p.len()).max().unwrap_or(0);
    let pods: Vec<GaugePod> = pods.iter().map(|values| gauge(values)).collect();
    ThresholdTest::new(params).unwrap().judge(&pods, &window(ticks))
}

#[test]
fn a_run_of_broken_ticks_fails_and_holds() {
    let got = judge(MAX, &[&[1.0, 11.0, 11.0, 11.0, 1.0]]);
    assert_eq!((got.state, got.decided_at_ms), (State::Fail, Some(ORIGIN + 4 * INTERVAL)));
    assert_eq!((got.last_value, got.broken, got.ticks), (Some(1.0), 0, 5));
}

#[test]
fn interrupted_runs_do_not_fail() {
    assert_eq!(judge(MAX, &[&[11.0, 11.0, 1.0, 11.0, 11.0]]).state, State::Undecided);
    assert_eq!(judge(MAX, &[&[11.0, 11.0, 1.0, 11.0, 10.0]]).state, State::Pass);
}

#[test]
fn the_worst_pod_counts() {
    assert_eq!(judge(MAX, &[&[1.0; 3], &[11.0; 3]]).last_value, Some(11.0));
    let min = ThresholdParams { max: None, min: Some(0.5), consecutive: 2 };
    let got = judge(min, &[&[0.9, 0.9], &[0.4, 0.4]]);
    assert_eq!((got.state, got.last_value), (State::Fail, Some(0.4)));
}

#[test]
fn a_gap_neither_breaks_nor_mends() {
    let got = judge(MAX, &[&[11.0, 11.0, f64::NAN, 11.0]]);
    assert_eq!((got.state, got.ticks, got.discarded), (State::Fail, 3, 1));
}

#[test]
fn infinite_values_break_bounds() {
    let got = judge(MAX, &[&[f64::INFINITY; 3]]);
    assert_eq!((got.state, got.last_value), (State::Fail, Some(f64::MAX)));
}

#[test]
fn no_data_has_its_reason() {
    assert_eq!(judge(MAX, &[&[f64::NAN]]).no_data, Some(NoDataReason::NoSeries));
    let test = ThresholdTest::new(MAX).unwrap();
    let mut late = window(1);
    late.now_ms += INTERVAL;
    assert_eq!(test.judge(&[gauge(&[1.0])], &late).no_data, Some(NoDataReason::Stale));
    late.now_ms = at(0);
    let open = test.judge(&[gauge(&[1.0])], &late);
    assert_eq!((open.state, open.no_data), (State::NoData, Some(NoDataReason::NoRequests)));
}

#[test]
fn parameters_are_checked() {
    let refused = |params| ThresholdTest::new(params).unwrap_err().to_string();
    assert_eq!(refused(ThresholdParams::default()), "a threshold needs max or min");
    assert_eq!(refused(ThresholdParams { consecutive: 0, ..MAX }), "consecutive must be at least 1");
    assert_eq!(refused(ThresholdParams { min: Some(11.0), ..MAX }), "min (11) must not be above max (10)");
    assert_eq!(refused(ThresholdParams { max: Some(f64::NAN), ..MAX }), "max and min must be finite numbers");
}
