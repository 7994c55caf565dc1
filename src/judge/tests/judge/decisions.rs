//! Decision quality: budgets kept, regressions found, good canaries promoted. Seeded, hence repeatable.

use serin_judge::{ErrorInput, ErrorParams, Metric, MetricVerdict, State, Test, TracePoint, judge_all};

use crate::support::{Counts, INTERVAL, Lcg, ORIGIN, arms, judge, test, window};

const RUNS: u64 = 300;

fn simulate(
    seed: u64,
    ticks: i32,
    rate: f64,
    error_ratio: f64,
    multiple: impl Fn(i32) -> f64,
) -> Vec<Counts> {
    let mut lcg = Lcg::new(seed);
    (0..ticks).map(|t| lcg.tick(rate, 0.1, error_ratio, multiple(t))).collect()
}

/// Seconds to the rollback in each run that has one.
fn rollbacks(ticks: i32, rate: f64, error_ratio: f64, multiple: impl Fn(i32) -> f64) -> Vec<i64> {
    let mut seconds: Vec<i64> = (0..RUNS)
        .filter_map(|seed| {
            let got = judge(&simulate(seed, ticks, rate, error_ratio, &multiple), ErrorParams::default());
            got.decided_at_ms.map(|at| (at - ORIGIN) / 1000)
        })
        .collect();
    seconds.sort_unstable();
    seconds
}

fn median(sorted: &[i64]) -> i64 {
    sorted[sorted.len() / 2]
}

fn trace(ticks: &[Counts], params: ErrorParams) -> Vec<TracePoint> {
    let (canary, stable) = arms(ticks);
    let input = ErrorInput { canary: &canary, stable: &stable, dispersion_prior: 1.0 };
    test(params).trace(&input, &window(ticks.len()))
}

#[test]
fn an_identical_canary_is_rolled_back_within_the_budget() {
    // Half an hour, looked at in every tick. The budget would be 3 of 300; the goal is 0.3 %.
    for rate in [1.0, 10.0, 100.0, 1000.0] {
        assert!(rollbacks(120, rate, 0.01, |_| 1.0).len() <= 1, "{rate} rps");
    }
}

#[test]
fn the_budget_holds_at_the_edge_of_the_tolerance() {
    for rate in [10.0, 100.0, 1000.0] {
        assert!(rollbacks(240, rate, 0.01, |_| 1.25).len() <= 3, "{rate} rps");
    }
}

#[test]
fn a_tolerated_difference_is_not_rolled_back_at_any_traffic() {
    assert!(rollbacks(120, 1000.0, 0.01, |_| 1.1).len() <= 1);
}

#[test]
fn a_shared_outage_is_not_the_canarys_fault() {
    let bad = (0..RUNS).filter(|seed| {
        let mut lcg = Lcg::new(*seed);
        let ticks: Vec<Counts> = (0..120)
            .map(|t| lcg.tick(100.0, 0.1, if (40..52).contains(&t) { 0.11 } else { 0.01 }, 1.0))
            .collect();
        judge(&ticks, ErrorParams::default()).decided_at_ms.is_some()
    });
    assert!(bad.count() <= 1);
}

#[test]
fn regressions_are_found_in_time() {
    // (rps, multiple, median at most, s): the goals at 1 % errors and a tenth of the traffic.
    for (rate, multiple, at_most) in
        [(10.0, 5.0, 285), (100.0, 5.0, 45), (1000.0, 5.0, 45), (100.0, 2.0, 420)]
    {
        let found = rollbacks(120, rate, 0.01, |_| multiple);
        assert!(found.len() as u64 * 100 >= RUNS * 99, "x{multiple} at {rate} rps: {} runs", found.len());
        assert!(median(&found) <= at_most, "x{multiple} at {rate} rps: {} s", median(&found));
    }
}

#[test]
fn a_regression_after_a_long_good_phase_is_found() {
    let onset = 1200;
    let found = rollbacks(160, 100.0, 0.01, |t| if i64::from(t) * 15 < onset { 1.0 } else { 5.0 });
    assert_eq!(found.len() as u64, RUNS);
    assert!(median(&found) - onset <= 120, "{} s", median(&found) - onset);
}

#[test]
fn no_single_tick_decides() {
    let bad = (1000.0, 1000.0, 9000.0, 90.0);
    let got = judge(&[bad], ErrorParams::default());
    assert_eq!((got.state, got.unsuspicious), (State::Undecided, false));
    let got = judge(&[bad, bad], ErrorParams::default());
    assert_eq!((got.state, got.decided_at_ms), (State::Fail, Some(ORIGIN + 2 * INTERVAL)));
}

#[test]
fn a_late_breakdown_is_found_within_five_ticks() {
    for good_ticks in [10, 40, 120] {
        let mut ticks = vec![(150.0, 1.0, 1350.0, 13.0); good_ticks];
        ticks.extend([(150.0, 150.0, 1350.0, 13.0); 5]);
        assert_eq!(judge(&ticks, ErrorParams::default()).state, State::Fail, "after {good_ticks} good ticks");
    }
}

#[test]
fn a_rollback_holds_although_the_canary_recovers() {
    let mut ticks = vec![];
    while judge(&ticks, ErrorParams::default()).state != State::Fail {
        ticks.push((150.0, 6.0, 1350.0, 13.0));
    }
    let decided = judge(&ticks, ErrorParams::default()).decided_at_ms;
    ticks.extend([(150.0, 0.0, 1350.0, 13.0); 40]);
    let got = judge(&ticks, ErrorParams::default());
    assert!(got.rollback_evidence_log10 < 2.0);
    assert_eq!((got.state, got.decided_at_ms), (State::Fail, decided));
}

#[test]
fn a_difference_below_the_floor_is_not_rolled_back() {
    // 0.001 % against 0.01 %: ten times worse, and nobody cares.
    let ticks = vec![(10_000.0, 1.0, 100_000.0, 1.0); 60];
    let floor = ErrorParams { floor_ratio: 5e-4, ..ErrorParams::default() };
    assert_eq!(judge(&ticks, ErrorParams::default()).state, State::Fail);
    let got = judge(&ticks, floor);
    assert_ne!(got.state, State::Fail);
    // Well above the floor it decides as without.
    let ticks = vec![(10_000.0, 100.0, 100_000.0, 100.0); 60];
    assert_eq!(judge(&ticks, floor).decided_at_ms, judge(&ticks, ErrorParams::default()).decided_at_ms);
}

#[test]
fn a_good_canary_is_promoted_and_a_bad_one_is_not() {
    let passed = |multiple: f64| {
        (0..RUNS).filter(move |seed| {
            let ticks = simulate(*seed, 120, 100.0, 0.01, |_| multiple);
            let points = trace(&ticks, ErrorParams::default());
            points.iter().any(|p| p.promotion_evidence >= 20.0 && p.rollback_evidence < 3.0)
        })
    };
    assert!(passed(1.0).count() as u64 * 100 >= RUNS * 95);
    assert!(passed(2.0).count() as u64 * 100 <= RUNS * 5);
}

#[test]
fn being_surely_under_the_objective_is_enough_for_promotion() {
    // Twice the errors of the stable version, both far below the objective.
    let ticks = vec![(1500.0, 2.0, 1500.0, 1.0); 60];
    assert_ne!(judge(&ticks, ErrorParams::default()).state, State::Pass);
    assert_eq!(judge(&ticks, ErrorParams::with_slo(0.02)).state, State::Pass);
}

#[test]
fn the_requests_a_promotion_needs_are_about_right() {
    for params in [ErrorParams::default(), ErrorParams::with_slo(0.025)] {
        let steady = |ticks| vec![(150.0, 1.5, 1350.0, 13.5); ticks];
        let first = judge(&steady(3), params);
        assert_eq!(first.state, State::Undecided);
        let needed = first.requests_needed.unwrap() as f64;
        let passes_after =
            (4..100).find(|ticks| judge(&steady(*ticks), params).state == State::Pass).unwrap();
        let seen = 150.0 * (passes_after - 3) as f64;
        // Few errors make a rough estimate, on the cautious side.
        assert!(needed <= seen * 1.5 && needed + 150.0 >= seen * 0.75, "{needed} foretold, {seen} seen");
        assert_eq!(judge(&steady(passes_after), params).requests_needed, Some(0));
    }
    let hopeless = judge(&[(150.0, 15.0, 1350.0, 13.5); 2], ErrorParams::default());
    assert_eq!(hopeless.requests_needed, None);
}

#[test]
fn several_metrics_share_the_budget() {
    let good = arms(&[(150.0, 1.0, 1350.0, 13.0); 30]);
    let bad = arms(&[(150.0, 15.0, 1350.0, 13.0); 30]);
    let input = |(canary, stable)| ErrorInput { canary, stable, dispersion_prior: 1.0 };
    let (good, bad) = (input((&good.0, &good.1)), input((&bad.0, &bad.1)));
    let metric = |name, input| {
        let test = Test::Errors(test(ErrorParams::default()), input);
        Metric { name, weight: 1.0, test }
    };
    let alone = judge_all(&[metric("bad", bad)], &window(30));
    let among = judge_all(&[metric("a", good), metric("bad", bad), metric("b", good)], &window(30));
    assert_eq!((alone.state, alone.leading), (State::Fail, Some(0)));
    assert_eq!((among.state, among.leading), (State::Fail, Some(1)));
    assert!(among.decided_at_ms >= alone.decided_at_ms);
    let single = test(ErrorParams::default()).judge(&bad, &window(30));
    assert_eq!(alone.decided_at_ms, single.decided_at_ms);
    assert_eq!(alone.verdicts, [MetricVerdict::Errors(single)]);
    let failed: Vec<bool> = among.states.iter().map(|state| *state == State::Fail).collect();
    assert_eq!(failed, [false, true, false]);
    assert_eq!(judge_all(&[], &window(30)).state, State::NoData);
}
