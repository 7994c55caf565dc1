//! Evidence processes: nonnegative supermartingales under their null, so that by Ville's inequality the
//! probability of ever reaching `1/α` is at most `α`, however often one looks.

use crate::ticks::Tick;

/// No single tick may multiply the evidence by more than this, so at least two are needed for a verdict. Lowering
/// a factor keeps a supermartingale one.
const CAP: f64 = 14.0;
/// Prior mass on "the regression is there from the first tick".
const START_MASS: f64 = 0.6;
/// The rest is spread over later starts, `0.4·c/((t+c)(t+c+1))`, so a long good phase need not be unlearned.
///
/// Weight steps get no extra mass. It would have to be reserved from these for steps that may never come, and
/// after a step the evidence moves faster anyway, because more canary requests arrive per tick.
const START_SPREAD: f64 = 20.0;

/// Alternatives of the rollback test, as multiples of its null.
const ROLLBACK_MULTIPLES: [f64; 8] = [1.15, 1.4, 1.8, 2.5, 4.0, 8.0, 16.0, 50.0];
/// Alternatives of the promotion test, as multiples of its null.
const PROMOTION_MULTIPLES: [f64; 6] = [0.05, 0.25, 0.4, 0.5, 0.6, 0.75];
/// Alternatives of the test on shares over an edge, as multiples of its null.
const SHARE_MULTIPLES: [f64; 5] = [1.1, 1.3, 1.7, 2.5, 5.0];
/// Alternatives of the two-sided test, as multiples of its null.
const TWO_SIDED_MULTIPLES: [f64; 12] = [0.1, 0.25, 0.4, 0.6, 0.8, 0.9, 1.11, 1.25, 1.67, 2.5, 4.0, 10.0];
/// No share over an edge is taken to be more than this.
const MOST_OF_ALL: f64 = 0.95;
/// Alternatives of the objective test, as multiples of the objective.
const OBJECTIVE_MULTIPLES: [f64; 4] = [0.02, 0.2, 0.4, 0.66];

/// Keeps the products representable: below, a component could never recover; above, sums would overflow.
const LEAST: f64 = 1e-280;
const MOST: f64 = 1e250;

/// Prior mass on a start in this step, counted from 0; over all steps it adds up to 1.
pub(crate) fn start_mass(step: f64) -> f64 {
    if step < 1.0 {
        return START_MASS;
    }
    let late = step - 1.0 + START_SPREAD;
    (1.0 - START_MASS) * START_SPREAD / (late * (late + 1.0))
}

/// Mixture of products over alternatives and, optionally, start times.
#[derive(Debug, Clone, PartialEq)]
struct Mixture {
    evidence: Vec<f64>,
    started: bool,
    late_starts: bool,
    step: f64,
    spent: f64,
}

impl Mixture {
    fn new(alternatives: usize, late_starts: bool) -> Self {
        Self { evidence: vec![0.0; alternatives], started: false, late_starts, step: 0.0, spent: 0.0 }
    }

    /// `S_k ← L_k (S_k + w_t/K)` with `ln L_k` given, limited to `[-60, ln 14]`.
    fn update(&mut self, log_factors: impl Iterator<Item = f64>) {
        let mass = match (self.started, self.late_starts) {
            (_, true) => start_mass(self.step),
            (false, false) => 1.0,
            (true, false) => 0.0,
        };
        self.started = true;
        self.step += 1.0;
        self.spent += mass;
        let share = mass / self.evidence.len() as f64;
        for (evidence, log_factor) in self.evidence.iter_mut().zip(log_factors) {
            *evidence = ((*evidence + share) * log_factor.clamp(-60.0, CAP.ln()).exp()).clamp(LEAST, MOST);
        }
    }

    fn value(&self) -> f64 {
        self.evidence.iter().sum::<f64>() + (1.0 - self.spent).max(0.0)
    }
}

/// Conditional two-sample process against "the canary's error ratio is at most (or, for promotion, at least) `null`
/// times the stable one's".
///
/// Given the number of errors of both arms, the canary's share of them is binomial with a probability that depends
/// on the ratio only: whatever troubles both arms alike cancels. That is exact for rare errors. For common ones the
/// factor's mean is `(1+p_c(a-1))^n_c · (1+p_s(b-1))^n_s ≤ exp(n_c p_c (a-1) + n_s p_s (b-1)) = 1`, so the test keeps
/// its budget at any share and only becomes slower.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RatioProcess {
    null: f64,
    alternatives: Vec<f64>,
    mixture: Mixture,
}

impl RatioProcess {
    pub(crate) fn rollback(max_ratio: f64) -> Self {
        Self::new(max_ratio, multiples(&ROLLBACK_MULTIPLES, max_ratio), true)
    }

    pub(crate) fn promotion(unacceptable_ratio: f64) -> Self {
        Self::new(unacceptable_ratio, multiples(&PROMOTION_MULTIPLES, unacceptable_ratio), false)
    }

    /// Against "the share over an edge is at most `max_ratio` times the stable one, which is `share`". A share is at
    /// most everything, so alternatives end where nearly every request is over the edge.
    pub(crate) fn rollback_of_share(max_ratio: f64, share: f64) -> Self {
        let largest = (MOST_OF_ALL / share).max(1.05 * max_ratio);
        let alternatives = SHARE_MULTIPLES.iter().map(|m| (m * max_ratio).min(largest)).collect();
        Self::new(max_ratio, alternatives, true)
    }

    /// Against "the ratio is `null`".
    pub(crate) fn two_sided(null: f64) -> Self {
        Self::new(null, multiples(&TWO_SIDED_MULTIPLES, null), false)
    }

    fn new(null: f64, alternatives: Vec<f64>, late_starts: bool) -> Self {
        let mixture = Mixture::new(alternatives.len(), late_starts);
        Self { null, alternatives, mixture }
    }

    /// Takes a tick; `phi` (at least 1) comes from earlier ticks only. A tick in which an arm has no request
    /// moves prior mass from "not started" to "started" and leaves the evidence as it is.
    pub(crate) fn update(&mut self, tick: &Tick, phi: f64) {
        let null = self.null;
        self.mixture.update(self.alternatives.iter().map(|ratio| log_factor(null, *ratio, tick) / phi));
    }

    pub(crate) fn value(&self) -> f64 {
        self.mixture.value()
    }

    /// Evidence of each alternative, and the growth of its logarithm per canary request at the given error ratios
    /// and with `stable_per_canary` stable requests for each canary request.
    pub(crate) fn growth(
        &self,
        canary_ratio: f64,
        stable_ratio: f64,
        stable_per_canary: f64,
        phi: f64,
    ) -> impl Iterator<Item = (f64, f64)> {
        let (up, down) = (canary_ratio, stable_per_canary * stable_ratio);
        self.alternatives.iter().zip(&self.mixture.evidence).map(move |(ratio, evidence)| {
            let (canary, stable) = log_odds(self.null, *ratio, 1.0, stable_per_canary);
            (*evidence, (up * canary + down * stable) / phi)
        })
    }
}

fn multiples(multiples: &[f64], null: f64) -> Vec<f64> {
    multiples.iter().map(|m| m * null).collect()
}

/// `(ln π_k/π₀, ln (1-π_k)/(1-π₀))` with `π = ρ n_c / (ρ n_c + n_s)`.
fn log_odds(null: f64, ratio: f64, canary: f64, stable: f64) -> (f64, f64) {
    let shrink = (null * canary + stable) / (ratio * canary + stable);
    ((ratio / null * shrink).ln(), shrink.ln())
}

fn log_factor(null: f64, ratio: f64, tick: &Tick) -> f64 {
    if tick.canary.requests > 0.0 && tick.stable.requests > 0.0 {
        let (canary, stable) = log_odds(null, ratio, tick.canary.requests, tick.stable.requests);
        tick.canary.errors * canary + tick.stable.errors * stable
    } else {
        0.0
    }
}

/// One-sample process against "the canary's error ratio is at most the floor".
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FloorProcess {
    floor: f64,
    alternatives: Vec<f64>,
    mixture: Mixture,
}

impl FloorProcess {
    pub(crate) fn new(floor: f64) -> Self {
        // Multiples of the odds: below a percent the same as multiples of the ratio, and never above 1.
        let alternatives = ROLLBACK_MULTIPLES.iter().map(|m| m * floor / (1.0 - floor + m * floor)).collect();
        Self { floor, alternatives, mixture: Mixture::new(ROLLBACK_MULTIPLES.len(), true) }
    }

    /// Takes a tick, like [`RatioProcess::update`]. Without stable requests it stands still as well, so that a
    /// tick that cannot be compared moves no part of the rollback evidence.
    pub(crate) fn update(&mut self, tick: &Tick, phi: f64) {
        let comparable = tick.canary.requests > 0.0 && tick.stable.requests > 0.0;
        let floor = self.floor;
        let factors = self.alternatives.iter().map(|ratio| {
            if comparable {
                one_sample(floor, *ratio, tick.canary.requests, tick.canary.errors) / phi
            } else {
                0.0
            }
        });
        self.mixture.update(factors);
    }

    pub(crate) fn value(&self) -> f64 {
        self.mixture.value()
    }
}

/// One-sample process against "the canary's error ratio is at least the objective". Neither capped nor tempered:
/// the cap guards against rolling back on a single scrape, and here errors only ever lower the evidence.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ObjectiveProcess {
    objective: f64,
    alternatives: Vec<f64>,
    evidence: Vec<f64>,
}

impl ObjectiveProcess {
    pub(crate) fn new(objective: f64) -> Self {
        let share = 1.0 / OBJECTIVE_MULTIPLES.len() as f64;
        Self {
            objective,
            alternatives: OBJECTIVE_MULTIPLES.iter().map(|m| m * objective).collect(),
            evidence: vec![share; OBJECTIVE_MULTIPLES.len()],
        }
    }

    pub(crate) fn update(&mut self, tick: &Tick) {
        for (evidence, ratio) in self.evidence.iter_mut().zip(&self.alternatives) {
            let log_factor = one_sample(self.objective, *ratio, tick.canary.requests, tick.canary.errors);
            *evidence = (*evidence * log_factor.clamp(-60.0, 60.0).exp()).clamp(1e-200, 1e200);
        }
    }

    pub(crate) fn value(&self) -> f64 {
        self.evidence.iter().sum()
    }

    /// Evidence of each alternative and its growth per canary request, as in [`RatioProcess::growth`].
    pub(crate) fn growth(&self, canary_ratio: f64) -> impl Iterator<Item = (f64, f64)> {
        self.alternatives
            .iter()
            .zip(&self.evidence)
            .map(move |(ratio, evidence)| (*evidence, one_sample(self.objective, *ratio, 1.0, canary_ratio)))
    }
}

/// Binomial log likelihood ratio of error ratio `ratio` to `null`.
fn one_sample(null: f64, ratio: f64, requests: f64, errors: f64) -> f64 {
    errors * (ratio / null).ln() + (requests - errors) * ((1.0 - ratio) / (1.0 - null)).ln()
}
