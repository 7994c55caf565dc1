//! All metrics together, the traffic check, and what follows.

use serin_judge::{
    AtHorizon, Conclusion, ErrorInput, ErrorParams, GaugePod, Horizon, Inconclusive, LatencyInput,
    LatencyParams, LatencyProfile, LatencyTest, Metric, Progress, State, Test, ThresholdParams,
    ThresholdTest, TrafficCheck, TrafficParams, TrafficState, WeightStep, conclude, judge_all,
};

use crate::support::{Counts, INTERVAL, ORIGIN, arms, at, histogram_pod, sample, test, window};

const GOOD: Counts = (150.0, 1.0, 1350.0, 13.0);

#[test]
fn one_bad_metric_of_any_kind_decides_and_is_named() {
    let (canary, stable) = arms(&[GOOD; 30]);
    let errors = ErrorInput { canary: &canary, stable: &stable, dispersion_prior: 1.0 };
    let edges = [0.1, 0.5];
    let (slow, fast) = (
        vec![histogram_pod("c", &edges, std::iter::repeat_n(vec![150.0, 120.0, 60.0], 30))],
        vec![histogram_pod("s", &edges, std::iter::repeat_n(vec![1350.0, 500.0, 60.0], 30))],
    );
    let profile =
        LatencyProfile { edges: edges.to_vec(), shares: vec![0.37, 0.045], phi: vec![1.0; 2], requests: 1e5 };
    let latency = LatencyInput { canary: &slow, stable: &fast, profile: &profile };
    let latency = Test::Latency(LatencyTest::new(LatencyParams::default()).unwrap(), latency);
    let errors = Test::Errors(test(ErrorParams::default()), errors);
    let metrics =
        [Metric { name: "e", weight: 1.0, test: errors }, Metric { name: "l", weight: 1.0, test: latency }];
    let got = judge_all(&metrics, &window(30));
    assert_eq!(
        (got.state, got.leading, &got.states[..]),
        (State::Fail, Some(1), &[State::Pass, State::Fail][..])
    );
    assert!(!got.unsuspicious);
    // A metric with nearly all of the budget leaves the other one waiting longer.
    let late = judge_all(&[Metric { weight: 1e6, ..metrics[0] }, metrics[1]], &window(30));
    assert!(late.decided_at_ms > got.decided_at_ms);

    // A broken bound decides by itself, whatever the evidence, and before it if it was earlier.
    let gauge = [GaugePod { pod: "c".into(), samples: (0..30).map(|t| sample(at(t), 99.0)).collect() }];
    let bound = ThresholdTest::new(ThresholdParams { max: Some(10.0), min: None, consecutive: 1 }).unwrap();
    let got = judge_all(
        &[metrics[0], Metric { name: "g", weight: 1.0, test: Test::Threshold(bound, &gauge) }],
        &window(30),
    );
    assert_eq!((got.state, got.leading, got.decided_at_ms), (State::Fail, Some(1), Some(ORIGIN + INTERVAL)));
    assert_eq!(judge_all(&[], &window(30)).state, State::NoData);
}

#[test]
fn a_share_that_is_off_for_minutes_is_noticed() {
    let check = TrafficCheck::new(TrafficParams::default()).unwrap();
    let judge = |ticks: &[Counts], weights: &[WeightStep]| {
        let (canary, stable) = arms(ticks);
        let input = ErrorInput { canary: &canary, stable: &stable, dispersion_prior: 1.0 };
        check.judge(&input, weights, &window(ticks.len()))
    };
    let tenth = [WeightStep { from_ms: ORIGIN, share: 0.1 }];
    assert_eq!(judge(&[GOOD; 40], &tenth).state, TrafficState::AsConfigured);
    let half = (70.0, 0.0, 1430.0, 10.0);
    let got = judge(&[half; 40], &tenth);
    assert_eq!(got.state, TrafficState::Off);
    assert!(got.evidence_log10 > 100.0 && (got.share.unwrap() - 70.0 / 1500.0).abs() < 1e-9);
    // Not long enough, and not far enough off whatever the evidence.
    assert_eq!(judge(&[half; 10], &tenth).state, TrafficState::AsConfigured);
    let near = judge(&[(130.0, 0.0, 1370.0, 10.0); 200], &tenth);
    assert!(near.evidence_log10 > 3.0);
    assert_eq!(near.state, TrafficState::AsConfigured);
    // A hanging canary finishes nothing.
    assert_eq!(judge(&[(0.0, 0.0, 1350.0, 10.0); 40], &tenth).state, TrafficState::Off);
    // The weight is followed, and the tick of its change left out.
    let mut ticks = vec![GOOD; 21];
    ticks.extend([(750.0, 7.0, 750.0, 7.0); 40]);
    let steps = [tenth[0], WeightStep { from_ms: ORIGIN + 20 * INTERVAL + 1, share: 0.5 }];
    let got = judge(&ticks, &steps);
    assert_eq!(got.state, TrafficState::AsConfigured);
    assert!(got.evidence_log10 < 0.0, "{got:?}");
    assert_eq!(judge(&ticks, &[]).state, TrafficState::NoData);
}

#[test]
fn conclusions() {
    let horizon = Horizon { after_ms: 1000, then: AtHorizon::Promote, least_requests: 50.0 };
    let running = Progress {
        state: State::Undecided,
        unsuspicious: true,
        traffic: TrafficState::AsConfigured,
        elapsed_ms: 10,
        canary_requests: 100.0,
        requests_needed: Some(7),
    };
    let over = Progress { elapsed_ms: 1000, ..running };
    assert_eq!(conclude(&running, &horizon), Conclusion::Wait);
    assert_eq!(conclude(&Progress { state: State::Pass, ..running }, &horizon), Conclusion::Promote);
    assert_eq!(conclude(&Progress { state: State::Fail, ..running }, &horizon), Conclusion::RollBack);
    assert_eq!(conclude(&over, &horizon), Conclusion::Promote);
    assert_eq!(conclude(&Progress { unsuspicious: false, ..over }, &horizon), Conclusion::Hold);
    assert_eq!(conclude(&Progress { state: State::NoData, ..over }, &horizon), Conclusion::Hold);
    assert_eq!(
        conclude(&Progress { canary_requests: 3.0, ..over }, &horizon),
        Conclusion::Inconclusive(Inconclusive::TooFewRequests(Some(7)))
    );
    let roll_back = Horizon { then: AtHorizon::RollBack, ..horizon };
    assert_eq!(conclude(&over, &roll_back), Conclusion::RollBack);
    // Wrong traffic is never a rollback, and never a promotion.
    for state in [State::Pass, State::Undecided, State::NoData] {
        let off = Progress { state, traffic: TrafficState::Off, ..over };
        let want = Conclusion::Inconclusive(Inconclusive::TrafficNotAsConfigured);
        assert_eq!((conclude(&off, &horizon), conclude(&off, &roll_back)), (want, want));
    }
}
