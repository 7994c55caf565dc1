//! The traffic ramp.

use serin_judge::{ErrorParams, LADDER, first_rung, needed_per_tick, next_rung};

#[test]
fn the_bound_is_the_published_one() {
    let needed = |q| needed_per_tick(q, &ErrorParams::default()).round();
    assert_eq!((needed(0.01), needed(0.001)), (142.0, 1444.0));
}

#[test]
fn the_first_rung_follows_the_traffic() {
    let rung = |rps| first_rung(rps, 0.01, 15.0, &ErrorParams::default());
    assert_eq!([1.0, 10.0, 100.0, 200.0, 1000.0].map(rung), [25, 25, 10, 5, 1]);
}

#[test]
fn any_input_gives_a_rung_of_at_most_a_quarter() {
    let odd = [0.0, -1.0, 1e-300, 0.2, 0.5, 1.0, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let wide = ErrorParams { max_ratio: 90.0, unacceptable_ratio: 100.0, ..ErrorParams::default() };
    for params in [ErrorParams::default(), ErrorParams::with_slo(0.5), wide] {
        for rps in odd {
            for q in odd {
                assert!(needed_per_tick(q, &params) > 0.0, "{q}");
                let rung = first_rung(rps, q, 15.0, &params);
                assert!(LADDER.contains(&rung) && rung <= 25, "{rps} {q} {rung}");
            }
        }
    }
}

#[test]
fn rungs_follow_each_other() {
    let mut rungs = vec![1];
    while let Some(next) = next_rung(rungs[rungs.len() - 1]) {
        rungs.push(next);
    }
    assert_eq!(rungs, LADDER);
    assert_eq!([next_rung(0), next_rung(3), next_rung(100)], [Some(1), Some(5), None]);
}
