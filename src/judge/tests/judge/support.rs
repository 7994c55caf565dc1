//! Makers of scraped data. One pod per arm, scraped in the middle of every tick.

use serin_judge::{
    Bucket, ErrorInput, ErrorParams, ErrorTest, ErrorVerdict, Histogram, HistogramPod, MeanPod, PodCounters,
    Sample, Series, Window,
};

pub const INTERVAL: i64 = 15_000;
pub const ORIGIN: i64 = 1_700_000_000_000;

/// `(n_c, e_c, n_s, e_s)` of one tick.
pub type Counts = (f64, f64, f64, f64);

/// Time of the scrape in tick `k`; -1 is the baseline before the origin.
pub fn at(tick: i64) -> i64 {
    ORIGIN + tick * INTERVAL + INTERVAL / 2
}

pub fn sample(at_ms: i64, value: f64) -> Sample {
    Sample { at_ms, value }
}

/// A series scraped from tick -1 on, whose deltas are the given ones.
pub fn series(error: bool, deltas: impl IntoIterator<Item = f64>) -> Series {
    let mut samples = vec![sample(at(-1), 1000.0)];
    let mut total = 1000.0;
    for (tick, delta) in (0..).zip(deltas) {
        total += delta;
        samples.push(sample(at(tick), total));
    }
    Series { error, samples }
}

pub fn pod(name: &str, counts: impl Iterator<Item = (f64, f64)> + Clone) -> PodCounters {
    PodCounters {
        pod: name.into(),
        started_ms: None,
        scraped_ms: vec![],
        series: vec![series(false, counts.clone().map(|(n, e)| n - e)), series(true, counts.map(|(_, e)| e))],
    }
}

#[allow(clippy::needless_pass_by_value)] // as the other makers take theirs
/// A histogram scraped from tick -1 on; each tick has all requests and those over each edge.
pub fn histogram_pod(
    name: &str,
    edges: &[f64],
    ticks: impl Iterator<Item = Vec<f64>> + Clone,
) -> HistogramPod {
    let bucket = |le: f64, count: &dyn Fn(&Vec<f64>) -> f64| {
        let samples = series(false, ticks.clone().map(|tick| count(&tick))).samples;
        Bucket { le, samples }
    };
    let mut buckets = vec![bucket(f64::INFINITY, &|tick| tick[0])];
    for (edge, le) in edges.iter().enumerate() {
        buckets.push(bucket(*le, &|tick| tick[0] - tick[edge + 1]));
    }
    HistogramPod { pod: name.into(), histograms: vec![Histogram { buckets }], ..HistogramPod::default() }
}

/// A sum and a count scraped from tick -1 on.
pub fn mean_pod(name: &str, ticks: impl Iterator<Item = (f64, f64)> + Clone) -> MeanPod {
    let sum = series(false, ticks.clone().map(|tick| tick.0)).samples;
    let count = series(false, ticks.map(|tick| tick.1)).samples;
    MeanPod { pod: name.into(), series: vec![(sum, count)], ..MeanPod::default() }
}

pub fn arms(ticks: &[Counts]) -> (Vec<PodCounters>, Vec<PodCounters>) {
    (
        vec![pod("canary-0", ticks.iter().map(|t| (t.0, t.1)))],
        vec![pod("stable-0", ticks.iter().map(|t| (t.2, t.3)))],
    )
}

/// A window in which `ticks` ticks are just closed by waiting, and data up to there are not stale.
pub fn window(ticks: usize) -> Window {
    let end = ORIGIN + i64::try_from(ticks).unwrap() * INTERVAL;
    Window::new(ORIGIN, INTERVAL, end + 3 * INTERVAL + 1)
}

pub fn test(params: ErrorParams) -> ErrorTest {
    ErrorTest::new(params).unwrap()
}

pub fn judge(ticks: &[Counts], params: ErrorParams) -> ErrorVerdict {
    let (canary, stable) = arms(ticks);
    judge_pods(&canary, &stable, params, &window(ticks.len()))
}

pub fn judge_pods(
    canary: &[PodCounters],
    stable: &[PodCounters],
    params: ErrorParams,
    window: &Window,
) -> ErrorVerdict {
    test(params).judge(&ErrorInput { canary, stable, dispersion_prior: 1.0 }, window)
}

/// A small deterministic generator (Knuth's MMIX constants), good enough to draw counts from.
pub struct Lcg(u64);

impl Lcg {
    pub fn new(seed: u64) -> Self {
        let mut lcg = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..8 {
            lcg.uniform();
        }
        lcg
    }

    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }

    /// Poisson by inversion up to a mean of 30, by a rounded normal above.
    pub fn poisson(&mut self, mean: f64) -> f64 {
        if mean <= 0.0 {
            return 0.0;
        }
        if mean > 30.0 {
            let normal = (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos();
            return (mean + mean.sqrt() * normal).round().max(0.0);
        }
        let (mut count, mut term, target) = (0.0, (-mean).exp(), self.uniform());
        let mut sum = term;
        while sum < target && count < 1000.0 {
            count += 1.0;
            term *= mean / count;
            sum += term;
        }
        count
    }

    /// One tick of `rate` requests per second, `share` of them to a canary with `multiple` times the errors.
    pub fn tick(&mut self, rate: f64, share: f64, error_ratio: f64, multiple: f64) -> Counts {
        let seconds = 15.0;
        let (canary, stable) = (rate * share * seconds, rate * (1.0 - share) * seconds);
        let good_c = self.poisson(canary * (1.0 - error_ratio * multiple));
        let bad_c = self.poisson(canary * error_ratio * multiple);
        let good_s = self.poisson(stable * (1.0 - error_ratio));
        let bad_s = self.poisson(stable * error_ratio);
        (good_c + bad_c, bad_c, good_s + bad_s, bad_s)
    }
}
