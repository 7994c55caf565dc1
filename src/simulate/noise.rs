//! What makes real errors harder than coin flips.

/// Noise of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Noise {
    /// Standard deviation of the logarithm of the error ratio of both arms, drifting over two minutes.
    pub common: f64,
    /// The same of each arm by itself, over one minute.
    pub arm: f64,
    /// Mean size of bursts of errors that fall on one arm; below 1: no bursts.
    pub burst: f64,
    /// Error ratio added in both arms for three minutes, from the tenth on.
    pub outage: f64,
    /// Standard deviation of the logarithm of the error ratio of the canary's one pod.
    pub pod: f64,
}

/// Kinds of noise by name.
pub(crate) const NOISES: [(&str, Noise); 7] = {
    let none = Noise { common: 0.0, arm: 0.0, burst: 0.0, outage: 0.0, pod: 0.0 };
    [
        ("independent", none),
        ("shared drift, sd 0.7", Noise { common: 0.7, ..none }),
        ("shared outage, 3 min 10 %", Noise { outage: 0.10, ..none }),
        ("bursts, mean 5", Noise { burst: 5.0, ..none }),
        ("drift of an arm, sd 0.3", Noise { arm: 0.3, ..none }),
        ("pod effect, sd 15 %", Noise { pod: 0.15, ..none }),
        ("all but pod", Noise { common: 0.5, outage: 0.10, burst: 3.0, arm: 0.2, ..none }),
    ]
};

impl Noise {
    pub(crate) fn named(name: &str) -> Self {
        NOISES.iter().find(|(known, _)| *known == name).map(|(_, noise)| *noise).unwrap_or_default()
    }

    /// What the time before the canary had: no outage, and no canary pod.
    pub(crate) fn before(self) -> Self {
        Self { outage: 0.0, pod: 0.0, ..self }
    }
}
