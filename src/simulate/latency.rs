//! Latency from histogram buckets.

use serin_judge::{ArmTotals, LatencyCounts, LatencyParams, LatencyProfile, LatencyTest, dispersion_of};

use crate::random::Random;
use crate::rules::{is_high, seconds};
use crate::{HORIZON, SCRAPE_SECONDS};

/// Scrapes of history: an hour.
const HISTORY: usize = 240;
/// The increase that is tolerated.
const MARGIN: f64 = 0.2;

/// Default edges of the Prometheus clients, seconds.
const DEFAULT: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A distribution of latencies: weights, medians in seconds, and spreads of lognormals.
struct Shape {
    parts: &'static [(f64, f64, f64)],
    /// Share of requests that are a second slower.
    slow: f64,
    p99: f64,
}

fn shape(kind: &str) -> Shape {
    if kind.ends_with("bimodal") {
        Shape { parts: &[(0.7, 0.08, 0.4), (0.3, 0.6, 0.5)], slow: 0.0, p99: 1.68 }
    } else {
        let slow = if kind.ends_with("+1 s") { 0.02 } else { 0.0 };
        Shape { parts: &[(1.0, 0.2, 0.6)], slow, p99: 0.808 }
    }
}

fn edges(kind: &str) -> Vec<f64> {
    if kind.starts_with("default") {
        DEFAULT.to_vec()
    } else {
        (0..36).map(|i| 0.02 * 2.0_f64.powf(f64::from(i) / 4.0)).collect()
    }
}

/// When each rule would have rolled back.
pub(crate) struct Ends {
    pub argo: Option<f64>,
    pub flagger: Option<f64>,
    pub kayenta: Option<f64>,
    pub judge: Option<f64>,
}

/// Requests by bucket of a scrape, the last one beyond all edges.
type Buckets = Vec<f64>;

pub(crate) fn run(random: &mut Random, kind: &str, rate: f64, multiple: f64) -> Ends {
    let (edges, shape) = (edges(kind), shape(kind));
    let stable_shares = shares(&shape, &edges, 1.0, 0.0);
    let canary_shares = shares(&shape, &edges, multiple, shape.slow);
    let draw = |random: &mut Random, rate: f64, shares: &[f64], scrapes: usize| -> Vec<Buckets> {
        (0..scrapes)
            .map(|_| shares.iter().map(|share| random.poisson(rate * SCRAPE_SECONDS * share)).collect())
            .collect()
    };
    let some = draw(random, 0.1 * rate, &stable_shares, HISTORY);
    let rest = draw(random, 0.9 * rate, &stable_shares, HISTORY);
    let canary = draw(random, 0.1 * rate, &canary_shares, HORIZON);
    let stable = draw(random, 0.9 * rate, &stable_shares, HORIZON);
    let baseline = draw(random, 0.1 * rate, &stable_shares, HORIZON);

    let p99 = |scrapes: &[Buckets]| -> Vec<f64> {
        scrapes.chunks_exact(4).map(|minute| quantile(minute, &edges)).collect()
    };
    let (of_canary, of_baseline) = (p99(&canary), p99(&baseline));
    let limit = shape.p99 * (1.0 + MARGIN);
    // NaN, no data, is a failed check.
    let failed = |limit: f64, needed: u32| {
        let mut fails = 0;
        of_canary.iter().position(|p99| {
            fails += u32::from(p99.is_nan() || *p99 > limit);
            fails >= needed
        })
    };
    let known = |values: &[f64]| values.iter().map(|v| if v.is_nan() { 0.0 } else { *v }).collect::<Vec<_>>();
    Ends {
        argo: failed(limit, 4).map(|minute| (minute + 1) as f64 * 60.0),
        flagger: failed(limit, 5).map(|minute| (minute + 2) as f64 * 60.0),
        kayenta: is_high(&known(&of_canary), &known(&of_baseline)).then(|| seconds(HORIZON - 1)),
        judge: judge(&edges, &some, &rest, &canary, &stable),
    }
}

fn judge(
    edges: &[f64],
    some: &[Buckets],
    rest: &[Buckets],
    canary: &[Buckets],
    stable: &[Buckets],
) -> Option<f64> {
    let params = LatencyParams { max_increase: MARGIN, ..LatencyParams::default() };
    let profile = profile(edges, some, rest);
    let mut evidence = LatencyCounts::new(&LatencyTest::new(params).ok()?, &profile);
    let decided = canary.iter().zip(stable).position(|(canary, stable)| {
        let ((n_c, over_c), (n_s, over_s)) = (over(canary), over(stable));
        let point = evidence.add(0, (n_c, &over_c), (n_s, &over_s));
        point.rollback_evidence >= 1.0 / params.false_rollback_budget
    })?;
    Some(seconds(decided))
}

fn profile(edges: &[f64], some: &[Buckets], rest: &[Buckets]) -> LatencyProfile {
    let pairs: Vec<_> = some.iter().zip(rest).map(|(a, b)| (over(a), over(b))).collect();
    let requests: f64 = pairs.iter().map(|((a, _), (b, _))| a + b).sum();
    let at = |arm: &(f64, Vec<f64>), edge: usize| ArmTotals {
        requests: arm.0,
        errors: arm.1.get(edge).copied().unwrap_or(0.0),
    };
    let (mut shares, mut phi) = (Vec::new(), Vec::new());
    for edge in 0..edges.len() {
        let history: Vec<_> = pairs.iter().map(|(a, b)| (at(a, edge), at(b, edge))).collect();
        let over: f64 = history.iter().map(|(a, b)| a.errors + b.errors).sum();
        shares.push((over + 0.5) / (requests + 1.0));
        phi.push(dispersion_of(&history));
    }
    LatencyProfile { edges: edges.to_vec(), shares, phi, requests }
}

/// All requests, and those over each edge.
fn over(buckets: &[f64]) -> (f64, Vec<f64>) {
    let requests: f64 = buckets.iter().sum();
    let mut left = requests;
    let over = buckets.split_last().map_or(&[][..], |(_, finite)| finite).iter().map(|bucket| {
        left -= bucket;
        left
    });
    (requests, over.collect())
}

/// Shares of the buckets, the last one beyond all edges.
fn shares(shape: &Shape, edges: &[f64], multiple: f64, slow: f64) -> Vec<f64> {
    let tail = |x: f64| -> f64 {
        let part = |(weight, median, spread): &(f64, f64, f64)| {
            weight * upper_tail((x.max(1e-12) / (median * multiple)).ln() / spread)
        };
        shape.parts.iter().map(part).sum()
    };
    let mut before = 1.0;
    let mut shares: Vec<f64> = edges
        .iter()
        .map(|edge| {
            let now = (1.0 - slow) * tail(*edge) + slow * tail((edge - 1.0).max(1e-9));
            std::mem::replace(&mut before, now) - now
        })
        .map(|share: f64| share.max(0.0))
        .collect();
    shares.push(before);
    shares
}

/// P(Z > x) to seven digits (Abramowitz and Stegun 7.1.26), enough to draw from.
fn upper_tail(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let poly = t
        * (0.254_829_592
            + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let tail = 0.5 * poly * (-z * z).exp();
    if x < 0.0 { 1.0 - tail } else { tail }
}

/// What `histogram_quantile(0.99, ...)` makes of a minute; NaN without requests.
fn quantile(minute: &[Buckets], edges: &[f64]) -> f64 {
    let mut sums = vec![0.0; edges.len() + 1];
    for buckets in minute {
        for (sum, bucket) in sums.iter_mut().zip(buckets) {
            *sum += bucket;
        }
    }
    let all: f64 = sums.iter().sum();
    if all <= 0.0 {
        return f64::NAN;
    }
    let (target, mut below, mut lower) = (0.99 * all, 0.0, 0.0);
    for (bucket, edge) in sums.iter().zip(edges) {
        if below + bucket >= target {
            return lower + (edge - lower) * (target - below) / bucket.max(1e-9);
        }
        below += bucket;
        lower = *edge;
    }
    lower
}
