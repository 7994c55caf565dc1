//! The judge against the reference implementation, tick by tick.

use serde::Deserialize;
use serin_judge::{
    ErrorInput, ErrorParams, LatencyInput, LatencyParams, LatencyProfile, LatencyTest, TracePoint,
    dispersion_prior,
};

use crate::support::{Counts, arms, histogram_pod, pod, test, window};

#[derive(Deserialize)]
struct Vectors {
    max_ratio: f64,
    unacceptable_ratio: f64,
    slo: f64,
    cases: Vec<Case>,
    histories: Vec<History>,
    latency: Vec<Latency>,
}

/// Canary and stable, each all requests and those over each edge, and the evidence.
type LatencyTick = (Vec<f64>, Vec<f64>, f64);

#[derive(Deserialize)]
struct Latency {
    name: String,
    edges: Vec<f64>,
    requests: f64,
    shares: Vec<f64>,
    max_ratios: Vec<(f64, f64)>,
    ticks: Vec<LatencyTick>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    phi0: f64,
    ticks: Vec<[f64; 8]>,
}

#[derive(Deserialize)]
struct History {
    phi: f64,
    ticks: Vec<Counts>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../testdata/vectors.json")).unwrap()
}

fn close(got: f64, want: f64) -> bool {
    (got - want).abs() <= 1e-9 * want.abs()
}

fn trace(case: &Case, params: ErrorParams) -> Vec<TracePoint> {
    let ticks: Vec<Counts> = case.ticks.iter().map(|t| (t[0], t[1], t[2], t[3])).collect();
    let (canary, stable) = arms(&ticks);
    let input = ErrorInput { canary: &canary, stable: &stable, dispersion_prior: case.phi0 };
    test(params).trace(&input, &window(ticks.len()))
}

#[test]
fn evidence_equals_the_reference_at_every_tick() {
    let vectors = vectors();
    let relative = ErrorParams {
        max_ratio: vectors.max_ratio,
        unacceptable_ratio: vectors.unacceptable_ratio,
        ..ErrorParams::default()
    };
    let with_slo = ErrorParams { slo_error_ratio: Some(vectors.slo), ..relative };
    for case in &vectors.cases {
        let (plain, slo) = (trace(case, relative), trace(case, with_slo));
        assert_eq!((plain.len(), slo.len()), (case.ticks.len(), case.ticks.len()), "{}", case.name);
        for (tick, want) in case.ticks.iter().enumerate() {
            let (a, b) = (plain[tick], slo[tick]);
            assert_eq!([a.canary.requests, a.canary.errors], want[..2], "{} tick {tick}", case.name);
            assert_eq!([a.stable.requests, a.stable.errors], want[2..4], "{} tick {tick}", case.name);
            let got = [a.rollback_evidence, a.promotion_evidence, b.promotion_evidence, a.phi];
            for (got, want) in got.into_iter().zip(want[4..].iter().copied()) {
                assert!(close(got, want), "{} tick {tick}: {got} is not {want}", case.name);
            }
        }
    }
}

#[test]
fn dispersion_prior_equals_the_reference() {
    for history in vectors().histories {
        // The first pod by name is the sampled one.
        let pods = [
            pod("a", history.ticks.iter().map(|t| (t.0, t.1))),
            pod("b", history.ticks.iter().map(|t| (t.2, t.3))),
        ];
        let got = dispersion_prior(&pods, &window(history.ticks.len()));
        assert!(close(got, history.phi), "{got} is not {}", history.phi);
    }
}

#[test]
fn latency_evidence_equals_the_reference_at_every_tick() {
    for case in vectors().latency {
        let arm = |name, at: fn(&LatencyTick) -> &Vec<f64>| {
            vec![histogram_pod(name, &case.edges, case.ticks.iter().map(|tick| at(tick).clone()))]
        };
        let (canary, stable) = (arm("c", |tick| &tick.0), arm("s", |tick| &tick.1));
        let profile = LatencyProfile {
            edges: case.edges.clone(),
            shares: case.shares.clone(),
            phi: vec![1.0; case.edges.len()],
            requests: case.requests,
        };
        let test = LatencyTest::new(LatencyParams::default()).unwrap();
        let input = LatencyInput { canary: &canary, stable: &stable, profile: &profile };
        let window = window(case.ticks.len());
        let got = test.judge(&input, &window);
        let ratios: Vec<(f64, f64)> = got.edges.iter().map(|edge| (edge.le, edge.max_ratio)).collect();
        assert_eq!(ratios.len(), case.max_ratios.len(), "{}", case.name);
        for (got, want) in ratios.iter().zip(&case.max_ratios) {
            assert!(got.0 == want.0 && close(got.1, want.1), "{}: {got:?} is not {want:?}", case.name);
        }
        let trace = test.trace(&input, &window);
        assert_eq!(trace.len(), case.ticks.len(), "{}", case.name);
        for (tick, (got, want)) in trace.iter().zip(&case.ticks).enumerate() {
            let got = got.rollback_evidence;
            assert!(close(got, want.2), "{} tick {tick}: {got} is not {}", case.name, want.2);
        }
    }
}
