//! Latency: buckets and means.

use serin_judge::{
    CoarseEdges, HistogramPod, LatencyInput, LatencyNoData, LatencyParams, LatencyProfile, LatencyTest,
    LatencyVerdict, MeanInput, MeanParams, MeanTest, MeanVerdict, NoDataReason, State, WarmUp, Window,
};

use crate::support::{INTERVAL, Lcg, ORIGIN, at, histogram_pod, mean_pod, window};

const EDGES: [f64; 7] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
const RUNS: u64 = 200;

/// Requests and those over each edge, of `rate` requests per second with log-logistic latencies (median 0.2 s).
fn tick(lcg: &mut Lcg, rate: f64, slower: f64) -> Vec<f64> {
    let over = |edge: f64| 1.0 / (1.0 + (edge / (0.2 * slower)).powi(3));
    let mut tick = vec![0.0; EDGES.len() + 1];
    let mut below = 1.0;
    for (index, edge) in EDGES.iter().copied().map(Some).chain([None]).enumerate() {
        let above = edge.map_or(0.0, over);
        let count = lcg.poisson(rate * 15.0 * (below - above));
        below = above;
        // In this bucket: over all edges before it, and one of all.
        for over in &mut tick[..=index] {
            *over += count;
        }
    }
    tick
}

fn pod(name: &str, ticks: &[Vec<f64>]) -> Vec<HistogramPod> {
    vec![histogram_pod(name, &EDGES, ticks.iter().cloned())]
}

/// What 200,000 requests of the stable version showed.
fn profile() -> LatencyProfile {
    let mut lcg = Lcg::new(99);
    let mut ticks = vec![];
    for _ in 0..20 {
        ticks.push(tick(&mut lcg, 300.0, 1.0));
    }
    LatencyProfile::read(&pod("s", &ticks), &window(ticks.len()))
}

fn test() -> LatencyTest {
    LatencyTest::new(LatencyParams::default()).unwrap()
}

fn run(seed: u64, ticks: usize, rate: f64, slower: f64, profile: &LatencyProfile) -> LatencyVerdict {
    let mut lcg = Lcg::new(seed);
    let mut arm =
        |rate, slower| -> Vec<Vec<f64>> { (0..ticks).map(|_| tick(&mut lcg, rate, slower)).collect() };
    let (canary, stable) = (arm(0.2 * rate, slower), arm(0.8 * rate, 1.0));
    judge(&pod("c", &canary), &pod("s", &stable), profile, &window(ticks))
}

fn judge(
    canary: &[HistogramPod],
    stable: &[HistogramPod],
    profile: &LatencyProfile,
    window: &Window,
) -> LatencyVerdict {
    test().judge(&LatencyInput { canary, stable, profile }, window)
}

#[test]
fn a_tolerable_slowdown_is_not_rolled_back_and_more_is() {
    let profile = profile();
    let failed = |slower: f64| {
        (0..RUNS).filter(|seed| run(*seed, 20, 10.0, slower, &profile).state == State::Fail).count()
    };
    assert!(failed(1.0) <= 1);
    assert!(failed(1.1) <= 1);
    // The edge of the tolerance: at most the budget.
    assert!(failed(1.2) <= 4);
    assert!(failed(2.0) >= 198);
}

#[test]
fn an_equal_canary_passes_and_a_slow_one_does_not() {
    let profile = profile();
    let passed = |slower: f64| {
        (0..50).filter(|seed| run(*seed, 40, 20.0, slower, &profile).state == State::Pass).count()
    };
    assert!(passed(1.0) >= 48, "{}", passed(1.0));
    assert_eq!(passed(1.6), 0);
}

#[test]
fn coarse_edges_are_named() {
    let profile = profile();
    let got = run(1, 4, 20.0, 1.0, &profile);
    assert!(got.coarse);
    let edge = got.edges.iter().find(|edge| edge.le == 0.5).unwrap();
    assert!((edge.bucket_step - 1.0).abs() < 1e-12 && edge.is_coarse(0.2) && !edge.is_coarse(1.0));
    // Without interpolation the same data tolerate a whole bucket.
    let strict = LatencyParams { coarse_edges: CoarseEdges::NextLower, ..LatencyParams::default() };
    let ticks = |slower| -> Vec<Vec<f64>> {
        let mut lcg = Lcg::new(5);
        (0..20).map(|_| tick(&mut lcg, 20.0, slower)).collect()
    };
    let (canary, stable) = (pod("c", &ticks(1.5)), pod("s", &ticks(1.0)));
    let input = LatencyInput { canary: &canary, stable: &stable, profile: &profile };
    assert_eq!(test().judge(&input, &window(20)).state, State::Fail);
    let tolerant = LatencyTest::new(strict).unwrap().judge(&input, &window(20));
    assert_ne!(tolerant.state, State::Fail);
    assert!(tolerant.edges.iter().all(|edge| edge.max_ratio > 1.5), "{:?}", tolerant.edges);
}

#[test]
fn without_history_the_first_ticks_are_learned_from() {
    let got = run(3, 20, 20.0, 2.0, &LatencyProfile::default());
    assert_eq!(got.state, State::Fail);
    // 240 stable requests in a tick: the fifth completes a thousand.
    assert!((4..=6).contains(&got.learned), "{}", got.learned);
    assert_eq!(got.ticks + got.learned, 20);
    let got = run(3, 2, 20.0, 2.0, &LatencyProfile::default());
    assert_eq!((got.state, got.no_data), (State::NoData, Some(LatencyNoData::Learning)));
}

#[test]
fn no_data_has_its_reason() {
    let profile = profile();
    let mut lcg = Lcg::new(7);
    let ticks: Vec<Vec<f64>> = (0..4).map(|_| tick(&mut lcg, 20.0, 1.0)).collect();
    let stable = pod("s", &ticks);
    let why = |canary: &[HistogramPod], stable: &[HistogramPod]| {
        judge(canary, stable, &profile, &window(4)).no_data
    };
    assert_eq!(why(&[], &stable), Some(LatencyNoData::Data(NoDataReason::NoSeries)));
    assert_eq!(why(&pod("c", &ticks), &[]), Some(LatencyNoData::Data(NoDataReason::NoStable)));
    let idle = pod("c", &vec![vec![0.0; EDGES.len() + 1]; 4]);
    assert_eq!(why(&idle, &stable), Some(LatencyNoData::Data(NoDataReason::NoRequests)));
    let other = vec![histogram_pod("c", &[0.3], ticks.iter().map(|t| t[..2].to_vec()))];
    assert_eq!(why(&other, &stable), Some(LatencyNoData::NoCommonEdge));
    let fast = vec![histogram_pod("c", &[5.0], ticks.iter().map(|t| vec![t[0], t[7]]))];
    assert_eq!(why(&fast, &stable), Some(LatencyNoData::NoUsableEdge));
}

#[test]
fn a_reset_of_one_bucket_is_a_reset_of_all() {
    let profile = profile();
    let ticks = vec![vec![300.0, 280.0, 250.0, 100.0, 20.0, 2.0, 0.0, 0.0]; 6];
    let stable = pod("s", &ticks);
    let mut canary = pod("c", &ticks);
    for bucket in &mut canary[0].histograms[0].buckets {
        // The pod restarts before its fourth scrape.
        let before = bucket.samples[3].value;
        for sample in &mut bucket.samples[4..] {
            sample.value -= before;
        }
    }
    let got = judge(&canary, &stable, &profile, &window(6));
    assert_eq!((got.canary_requests, got.resets), (1800.0, 1));
    // A scrape that lacks a bucket is none; the next delta spans it.
    let mut canary = pod("c", &ticks);
    canary[0].histograms[0].buckets[2].samples.remove(3);
    let got = judge(&canary, &stable, &profile, &window(6));
    assert_eq!((got.canary_requests, got.discarded), (1800.0, 1));
}

#[test]
fn warm_up_leaves_out_what_young_pods_did() {
    let ticks = vec![vec![10.0, 9.0, 8.0, 3.0, 1.0, 0.0, 0.0, 0.0]; 8];
    let mut canary = pod("c", &ticks);
    canary[0].started_ms = Some(at(-1));
    let requests =
        |pods: &[HistogramPod]| judge(pods, &pod("s", &ticks), &profile(), &window(8)).canary_requests;
    // Young at its first scrape, which therefore counts from zero: the counter starts at 1000.
    assert_eq!(requests(&canary), 80.0);
    let only_age = WarmUp { age_ms: 4 * INTERVAL, requests: f64::INFINITY };
    assert_eq!(requests(&only_age.histograms(&canary)), 40.0);
    assert_eq!(requests(&WarmUp { age_ms: i64::MAX, requests: 1030.0 }.histograms(&canary)), 50.0);
    let never = WarmUp { age_ms: i64::MAX, requests: 1e9 }.histograms(&canary);
    assert!(never[0].histograms.is_empty());
    canary[0].started_ms = None;
    assert_eq!(WarmUp::default().histograms(&canary), canary);
}

fn means(ticks: usize, slower: f64, spread: f64, seed: u64) -> MeanVerdict {
    let mut lcg = Lcg::new(seed);
    let mut arm = |mean: f64| -> Vec<(f64, f64)> {
        (0..ticks)
            .map(|_| {
                let normal =
                    (-2.0 * lcg.uniform().ln()).sqrt() * (std::f64::consts::TAU * lcg.uniform()).cos();
                (100.0 * mean * (1.0 + spread * normal), 100.0)
            })
            .collect()
    };
    let (canary, stable) = (arm(0.3 * slower), arm(0.3));
    let (canary, stable) =
        (vec![mean_pod("c", canary.iter().copied())], vec![mean_pod("s", stable.iter().copied())]);
    let test = MeanTest::new(MeanParams::default()).unwrap();
    test.judge(&MeanInput { canary: &canary, stable: &stable }, &window(ticks))
}

#[test]
fn means_are_compared() {
    let failed = |slower: f64| (0..RUNS).filter(|s| means(120, slower, 0.1, *s).state == State::Fail).count();
    assert!(failed(1.0) <= 2);
    assert!(failed(1.2) <= 6, "{}", failed(1.2));
    assert!(failed(1.4) >= 195, "{}", failed(1.4));
    let passed = |slower: f64| (0..RUNS).filter(|s| means(120, slower, 0.1, *s).state == State::Pass).count();
    assert!(passed(1.0) >= 190);
    assert!(passed(1.6) <= 2);
    let got = means(40, 1.4, 0.05, 1);
    assert!((got.canary_mean.unwrap() / got.stable_mean.unwrap() - 1.4).abs() < 0.05);
    assert_eq!(got.blocks, 10);
    assert!(got.decided_at_ms.is_some_and(|at| (at - ORIGIN) % (4 * INTERVAL) == 0));
}
