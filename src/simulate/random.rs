//! Random numbers: a value that is seeded, passed on and nothing else.

/// xoshiro256++ (Blackman and Vigna 2019), seeded by SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Random([u64; 4]);

impl Random {
    /// Different seeds, and different streams of one seed, are unrelated.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut state = seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03);
        let mut next = || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        };
        Self([next(), next(), next(), next()])
    }

    fn bits(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Within (0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }

    /// Box and Muller.
    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Inversion for small means, else PTRS (Hörmann, Insurance: Mathematics and Economics 1993).
    #[allow(clippy::many_single_char_names)] // the paper's names
    pub(crate) fn poisson(&mut self, mean: f64) -> f64 {
        if mean <= 0.0 {
            return 0.0;
        }
        if mean < 10.0 {
            let (mut k, mut term, mut left) = (0.0, (-mean).exp(), self.uniform());
            while left > term && k < 200.0 {
                left -= term;
                k += 1.0;
                term *= mean / k;
            }
            return k;
        }
        let b = 0.931 + 2.53 * mean.sqrt();
        let a = -0.059 + 0.024_83 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let v_r = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let (u, v) = (self.uniform() - 0.5, self.uniform());
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + mean + 0.43).floor();
            if us >= 0.07 && v <= v_r {
                return k;
            }
            if k < 0.0 || (us < 0.013 && v > us) {
                continue;
            }
            let hat = (v * inverse_alpha / (a / (us * us) + b)).ln();
            if hat <= k * mean.ln() - mean - ln_factorial(k) {
                return k;
            }
        }
    }

    /// Inversion for small means, else BTRS (Hörmann, Journal of Statistical Computation and Simulation 1993).
    #[allow(clippy::many_single_char_names)] // the paper's names
    pub(crate) fn binomial(&mut self, n: f64, p: f64) -> f64 {
        if n <= 0.0 || p <= 0.0 {
            return 0.0;
        }
        if p > 0.5 {
            return n - self.binomial(n, (1.0 - p).max(0.0));
        }
        let q = 1.0 - p;
        if n * p < 10.0 {
            let (mut k, mut term, mut left) = (0.0, (n * q.ln()).exp(), self.uniform());
            while left > term && k < n {
                left -= term;
                k += 1.0;
                term *= (n - k + 1.0) / k * (p / q);
            }
            return k;
        }
        let spread = (n * p * q).sqrt();
        let b = 1.15 + 2.53 * spread;
        let a = -0.0873 + 0.0248 * b + 0.01 * p;
        let (c, v_r) = (n * p + 0.5, 0.92 - 4.2 / b);
        let alpha = (2.83 + 5.1 / b) * spread;
        let mode = ((n + 1.0) * p).floor();
        let log_likelihood = |k: f64| k * (p / q).ln() - ln_factorial(k) - ln_factorial(n - k);
        loop {
            let (u, v) = (self.uniform() - 0.5, self.uniform());
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + c).floor();
            if us >= 0.07 && v <= v_r {
                return k;
            }
            if k < 0.0 || k > n {
                continue;
            }
            if (v * alpha / (a / (us * us) + b)).ln() <= log_likelihood(k) - log_likelihood(mode) {
                return k;
            }
        }
    }

    /// Sizes beyond one of `bursts` geometric bursts of this mean size.
    pub(crate) fn burst_extras(&mut self, bursts: f64, mean_size: f64) -> f64 {
        let more = (1.0 - 1.0 / mean_size).ln();
        let (mut left, mut sum) = (bursts, 0.0);
        while left >= 1.0 {
            sum += (self.uniform().ln() / more).floor();
            left -= 1.0;
        }
        sum
    }
}

/// ln k!, by Stirling's series after shifting k above 10.
fn ln_factorial(k: f64) -> f64 {
    let (mut x, mut product) = (k + 1.0, 1.0);
    while x < 10.0 {
        product *= x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = (1.0 / 12.0 - square * (1.0 / 360.0 - square / 1260.0)) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - product.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(draw: impl Fn(&mut Random) -> f64) -> (f64, f64) {
        let mut random = Random::new(1, 2);
        let n = 20_000;
        let all: Vec<f64> = (0..n).map(|_| draw(&mut random)).collect();
        let mean = all.iter().sum::<f64>() / f64::from(n);
        let variance = all.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / f64::from(n);
        (mean, variance)
    }

    #[test]
    fn distributions_have_their_moments() {
        for mean in [0.3, 5.0, 12.0, 150.0, 13_500.0] {
            let (m, v) = moments(|r| r.poisson(mean));
            assert!(
                (m / mean - 1.0).abs() < 0.03 && (v / mean - 1.0).abs() < 0.05,
                "poisson {mean}: {m} {v}"
            );
        }
        for (n, p) in [(150.0, 0.01), (13_500.0, 0.01), (1500.0, 0.2), (100.0, 0.9)] {
            let (m, v) = moments(|r| r.binomial(n, p));
            let variance = n * p * (1.0 - p);
            assert!(
                (m / (n * p) - 1.0).abs() < 0.03 && (v / variance - 1.0).abs() < 0.05,
                "{n} {p}: {m} {v}"
            );
        }
        let (m, v) = moments(Random::normal);
        assert!(m.abs() < 0.03 && (v - 1.0).abs() < 0.05);
        let (m, _) = moments(|r| 2.0 + r.burst_extras(2.0, 5.0));
        assert!((m / 10.0 - 1.0).abs() < 0.03, "{m}");
    }

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |seed, stream| Random::new(seed, stream).uniform().to_bits();
        assert_eq!(draw(1, 1), draw(1, 1));
        assert_ne!(draw(1, 1), draw(1, 2));
        assert_ne!(draw(1, 1), draw(2, 1));
    }
}
