//! Counts per scrape of both arms.

use serin_judge::ArmTotals;

use crate::SCRAPE_SECONDS;
use crate::noise::Noise;
use crate::random::Random;

/// One scrape of both arms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scrape {
    pub canary: ArmTotals,
    pub stable: ArmTotals,
}

/// What is sent, and how it fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Traffic {
    /// Requests per second of both arms.
    pub rate: f64,
    /// Share of the canary.
    pub share: f64,
    /// Error ratio of the stable version.
    pub error_ratio: f64,
    /// How many times that the canary has.
    pub multiple: f64,
    /// First scrape with that.
    pub onset: usize,
    pub noise: Noise,
}

impl Traffic {
    pub(crate) fn scrapes(&self, random: &mut Random, scrapes: usize) -> Vec<Scrape> {
        let noise = self.noise;
        let pod = if noise.pod > 0.0 { (noise.pod * random.normal()).exp() } else { 1.0 };
        let mut both = Drift::new(random, 120.0, noise.common);
        let (mut canary, mut stable) =
            (Drift::new(random, 60.0, noise.arm), Drift::new(random, 60.0, noise.arm));
        (0..scrapes)
            .map(|t| {
                let outage = if (40..52).contains(&t) { noise.outage } else { 0.0 };
                let base = self.error_ratio * both.next(random) + outage;
                let multiple = if t >= self.onset { self.multiple } else { 1.0 };
                let canary_ratio = base * canary.next(random) * multiple * pod;
                let stable_ratio = base * stable.next(random);
                Scrape {
                    canary: self.arm(random, self.share, canary_ratio),
                    stable: self.arm(random, 1.0 - self.share, stable_ratio),
                }
            })
            .collect()
    }

    fn arm(&self, random: &mut Random, share: f64, error_ratio: f64) -> ArmTotals {
        let requests = random.poisson(self.rate * share * SCRAPE_SECONDS);
        let errors = if self.noise.burst > 1.0 {
            let bursts = random.poisson(requests * error_ratio / self.noise.burst);
            (bursts + random.burst_extras(bursts, self.noise.burst)).min(requests)
        } else {
            random.binomial(requests, error_ratio.min(1.0))
        };
        ArmTotals { requests, errors }
    }
}

/// A factor of mean 1 whose logarithm is an AR(1) process.
struct Drift {
    keep: f64,
    sd: f64,
    log: f64,
}

impl Drift {
    fn new(random: &mut Random, seconds: f64, sd: f64) -> Self {
        let log = if sd > 0.0 { sd * random.normal() } else { 0.0 };
        Self { keep: (-SCRAPE_SECONDS / seconds).exp(), sd, log }
    }

    fn next(&mut self, random: &mut Random) -> f64 {
        if self.sd <= 0.0 {
            return 1.0;
        }
        let now = (self.log - self.sd * self.sd / 2.0).exp();
        let step = self.sd * (1.0 - self.keep * self.keep).sqrt();
        self.log = self.keep * self.log + step * random.normal();
        now
    }
}
