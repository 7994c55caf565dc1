//! The promise: whoever looks at any time rolls a tolerable canary back with at most the budget's probability.

use proptest::prelude::*;
use serin_judge::{
    ArmTotals, Direction, ErrorEvidence, ErrorInput, ErrorParams, ErrorTest, GaugePod, LatencyCounts,
    LatencyParams, LatencyProfile, LatencyTest, Part, QualityInput, QualityPod, ScoreInput, ScoreParams,
    ScoreTest, State, judge_quality, ratio_interval,
};

use crate::support::{Lcg, arms, at, judge, sample, series, window};

/// Share of runs in which the evidence ever reaches 1/α, stopped at any of the ticks.
fn ever(
    runs: u64,
    seed: u64,
    ticks: i64,
    test: &ErrorTest,
    draw: impl Fn(&mut Lcg) -> (ArmTotals, ArmTotals),
) -> f64 {
    let limit = 1.0 / test.params().false_rollback_budget;
    let alarms = (0..runs).filter(|run| {
        let mut lcg = Lcg::new(seed.wrapping_mul(1_000_003).wrapping_add(*run));
        let mut evidence = ErrorEvidence::new(test, 1.0);
        (0..ticks).any(|tick| {
            let (canary, stable) = draw(&mut lcg);
            evidence.add(tick, canary, stable).rollback_evidence >= limit
        })
    });
    alarms.count() as f64 / runs as f64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// At the very edge of the tolerance, where the evidence is a martingale: the largest allowed probability.
    #[test]
    fn false_alarms_stay_within_the_budget(
        seed in any::<u64>(),
        rate in prop::sample::select(vec![2.0, 20.0, 200.0]),
        share in 0.02..0.5_f64,
        error_ratio in 0.002..0.2_f64,
        max_ratio in 1.0..2.0_f64,
        budget in prop::sample::select(vec![0.01, 0.05, 0.1]),
    ) {
        let params = ErrorParams { max_ratio, unacceptable_ratio: 4.0, false_rollback_budget: budget, ..ErrorParams::default() };
        let runs = 400;
        let found = ever(runs, seed, 60, &ErrorTest::new(params).unwrap(), |lcg| {
            let (nc, ec, ns, es) = lcg.tick(rate, share, error_ratio, max_ratio);
            (ArmTotals { requests: nc, errors: ec }, ArmTotals { requests: ns, errors: es })
        });
        // Four standard errors of a fraction at the budget.
        let room = 4.0 * (budget * (1.0 - budget) / runs as f64).sqrt();
        prop_assert!(found <= budget + room, "{found} of {budget}");
    }

    /// Errors that come in clusters no larger than the dispersion that is known.
    #[test]
    fn clusters_within_the_dispersion_stay_within_the_budget(seed in any::<u64>(), size in 2..8_u32) {
        let (size, budget, runs) = (f64::from(size), 0.05, 400_u64);
        let test = ErrorTest::new(ErrorParams { false_rollback_budget: budget, ..ErrorParams::default() }).unwrap();
        let alarms = (0..runs).filter(|run| {
            let mut lcg = Lcg::new(seed.wrapping_mul(1_000_003).wrapping_add(*run));
            let mut evidence = ErrorEvidence::new(&test, size);
            (0..60).any(|tick| {
                let arm = |lcg: &mut Lcg, requests: f64, ratio: f64| {
                    ArmTotals { requests, errors: size * lcg.poisson(requests * ratio / size) }
                };
                let (canary, stable) = (arm(&mut lcg, 300.0, 0.0125), arm(&mut lcg, 1200.0, 0.01));
                evidence.add(tick, canary, stable).rollback_evidence >= 1.0 / budget
            })
        });
        let found = alarms.count() as f64 / runs as f64;
        prop_assert!(found <= budget + 4.0 * (budget * (1.0 - budget) / runs as f64).sqrt(), "{found}");
    }

    /// Shares over edges that are common: the test may only become slower.
    #[test]
    fn latency_alarms_stay_within_the_budget(seed in any::<u64>(), share in 0.01..0.45_f64, rate in 20.0..2000.0_f64) {
        let (budget, runs) = (0.05, 300_u64);
        let params = LatencyParams { max_increase: 1.0, unacceptable_increase: 2.0, false_rollback_budget: budget, ..LatencyParams::default() };
        let test = LatencyTest::new(params).unwrap();
        // At the edge of 2 s, twice as slow means the share that is over 1 s.
        let (slow, all) = (share, (2.0 * share).min(0.9));
        let profile = LatencyProfile { edges: vec![1.0, 2.0], shares: vec![all, slow], phi: vec![1.0; 2], requests: 1e6 };
        let binomial = |lcg: &mut Lcg, n: f64, p: f64| {
            let mean = n * p;
            if mean < 20.0 { lcg.poisson(mean).min(n) } else {
                let normal = (-2.0 * lcg.uniform().ln()).sqrt() * (std::f64::consts::TAU * lcg.uniform()).cos();
                (mean + (mean * (1.0 - p)).sqrt() * normal).round().clamp(0.0, n)
            }
        };
        let alarms = (0..runs).filter(|run| {
            let mut lcg = Lcg::new(seed.wrapping_mul(1_000_003).wrapping_add(*run));
            let mut evidence = LatencyCounts::new(&test, &profile);
            (0..40).any(|tick| {
                let (n_c, n_s) = (lcg.poisson(0.2 * rate), lcg.poisson(0.8 * rate));
                let (c, s) = (binomial(&mut lcg, n_c, all), binomial(&mut lcg, n_s, slow));
                evidence.add(tick, (n_c, &[n_c, c]), (n_s, &[n_s, s])).rollback_evidence >= 1.0 / budget
            })
        });
        let found = alarms.count() as f64 / runs as f64;
        prop_assert!(found <= budget + 4.0 * (budget * (1.0 - budget) / runs as f64).sqrt(), "{found}");
    }
}

fn scores(values: impl Fn(i64) -> f64, ticks: i64) -> Vec<GaugePod> {
    vec![GaugePod {
        pod: "p".into(),
        samples: (0..ticks).map(|tick| sample(at(tick), values(tick))).collect(),
    }]
}

#[test]
fn a_bet_on_scores_keeps_the_budget_and_wins_when_it_should() {
    let ticks = 400_i64;
    let params =
        ScoreParams { margin: 0.05, unacceptable_margin: 0.3, block_ticks: 1, ..ScoreParams::default() };
    let test = ScoreTest::new(params).unwrap();
    let run = |seed: u64, worse: f64| {
        let noise: Vec<(f64, f64)> = {
            let mut lcg = Lcg::new(seed);
            (0..ticks).map(|_| (lcg.uniform() - 0.5, lcg.uniform() - 0.5)).collect()
        };
        let at = |tick: i64| noise[usize::try_from(tick).unwrap()];
        let canary = scores(|t| 0.75 - worse + 0.2 * at(t).0, ticks);
        let stable = scores(|t| 0.75 + 0.2 * at(t).1, ticks);
        let window = window(usize::try_from(ticks).unwrap());
        test.judge(&ScoreInput { canary: &canary, stable: &stable }, &window).state
    };
    let share = |worse, state| (0..200).filter(|seed| run(*seed, worse) == state).count();
    assert!(share(0.05, State::Fail) <= 4);
    assert_eq!(share(0.0, State::Fail), 0);
    assert!(share(0.4, State::Fail) >= 195);
    assert!(share(0.0, State::Pass) >= 195);
    assert_eq!(share(0.5, State::Pass), 0);
    // The other way round, less is better.
    let lower = ScoreTest::new(ScoreParams { better: Direction::Lower, ..params }).unwrap();
    let (high, low) = (scores(|_| 0.9, ticks), scores(|_| 0.4, ticks));
    let window = window(usize::try_from(ticks).unwrap());
    assert_eq!(lower.judge(&ScoreInput { canary: &high, stable: &low }, &window).state, State::Fail);
    assert_eq!(test.judge(&ScoreInput { canary: &high, stable: &low }, &window).state, State::Pass);
}

#[test]
fn quality_counts_like_errors() {
    let ticks = [(150.0, 15.0, 1350.0, 13.0); 20];
    let pods = |name: &str, part: Part, canary: bool| {
        let of = |tick: &(f64, f64, f64, f64)| if canary { (tick.0, tick.1) } else { (tick.2, tick.3) };
        let total = series(false, ticks.iter().map(|t| of(t).0)).samples;
        let counted = series(
            false,
            ticks.iter().map(|t| match part {
                Part::Bad => of(t).1,
                Part::Good => of(t).0 - of(t).1,
            }),
        );
        vec![QualityPod {
            pod: name.into(),
            total: vec![total],
            part: vec![counted.samples],
            ..QualityPod::default()
        }]
    };
    let test = ErrorTest::new(ErrorParams::default()).unwrap();
    let want = judge(&ticks, ErrorParams::default());
    assert_eq!(want.state, State::Fail);
    for part in [Part::Bad, Part::Good] {
        let (canary, stable) = (pods("c", part, true), pods("s", part, false));
        let input = QualityInput { canary: &canary, stable: &stable, part, dispersion_prior: 1.0 };
        assert_eq!(judge_quality(&test, &input, &window(20)), want);
    }
}

#[test]
fn the_interval_of_the_ratio_holds_the_truth() {
    let mut missed = 0;
    for seed in 0..60 {
        let mut lcg = Lcg::new(seed);
        let ticks: Vec<_> = (0..40).map(|_| lcg.tick(50.0, 0.2, 0.02, 2.0)).collect();
        let (canary, stable) = arms(&ticks);
        let input = ErrorInput { canary: &canary, stable: &stable, dispersion_prior: 1.0 };
        let got = ratio_interval(&input, 0.05, &window(40)).unwrap();
        missed += u32::from(!(got.low..=got.high).contains(&2.0));
        assert!(got.low > 1.0 && got.high < 4.0, "{got:?}");
    }
    assert!(missed <= 5, "{missed}");
    let (canary, stable) = arms(&[]);
    let input = ErrorInput { canary: &canary, stable: &stable, dispersion_prior: 1.0 };
    assert_eq!(ratio_interval(&input, 0.05, &window(1)), None);
}
