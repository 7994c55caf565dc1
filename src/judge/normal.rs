//! The normal distribution's upper tail, and its inverse: interpolation between bucket edges needs them.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// P(Z > x).
pub(crate) fn upper_tail(x: f64) -> f64 {
    if x < 0.0 { 1.0 - half_erfc(-x * FRAC_1_SQRT_2) } else { half_erfc(x * FRAC_1_SQRT_2) }
}

/// erfc(x)/2 for x ≥ 0: the series of erf near zero (Abramowitz and Stegun 7.1.6), the continued fraction of erfc
/// (7.1.14) beyond, where the series would cancel.
fn half_erfc(x: f64) -> f64 {
    let gauss = (-x * x).exp();
    if x < 2.0 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term > 1e-17 * sum && n < 200.0 {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        return 0.5 - sum * gauss / PI.sqrt();
    }
    // x + (1/2)/(x + (2/2)/(x + (3/2)/(x + ...))), from the inside out.
    let mut fraction = x;
    for k in (1..=120).rev() {
        fraction = x + f64::from(k) / 2.0 / fraction;
    }
    0.5 * gauss / (fraction * PI.sqrt())
}

/// The x with P(Z > x) = `tail`, for `tail` within (0, 1).
pub(crate) fn tail_quantile(tail: f64) -> f64 {
    if tail > 0.5 {
        return -tail_quantile(1.0 - tail);
    }
    // Abramowitz and Stegun 26.2.23 is right to 5e-4; Newton's method on the logarithm, which is concave, does the rest.
    let t = (-2.0 * tail.ln()).sqrt();
    let mut x = t
        - (2.515_517 + t * (0.802_853 + t * 0.010_328))
            / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    for _ in 0..4 {
        let got = upper_tail(x);
        let density = (-0.5 * x * x).exp() / (2.0 * PI).sqrt();
        x += got * (got / tail).ln() / density;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_the_tabulated_ones() {
        // scipy.stats.norm.sf
        for (x, want) in [
            (0.0, 0.5),
            (0.5, 0.308_537_538_725_986_9),
            (1.0, 0.158_655_253_931_457_05),
            (2.0, 0.022_750_131_948_179_21),
            (2.9, 0.001_865_813_300_384_037_8),
            (3.0, 0.001_349_898_031_630_094_6),
            (5.0, 2.866_515_718_791_939e-7),
            (-1.0, 0.841_344_746_068_542_9),
        ] {
            assert!((upper_tail(x) / want - 1.0).abs() < 1e-12, "{x}: {}", upper_tail(x));
        }
    }

    #[test]
    fn the_quantile_is_the_inverse() {
        for tail in [1e-7, 1e-4, 0.002, 0.01, 0.2, 0.5, 0.7, 0.999, 1.0 - 1e-7] {
            assert!((upper_tail(tail_quantile(tail)) / tail - 1.0).abs() < 1e-12, "{tail}");
        }
    }
}
