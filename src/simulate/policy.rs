//! Whole policies with the ramps their documentation shows, until rollback or promotion, at most an hour.

use serin_judge::{ArmTotals, ErrorEvidence, ErrorParams, ErrorTest, LADDER, first_rung, next_rung};

use crate::random::Random;
use crate::rules::{add, is_high, seconds, z_is_high};
use crate::traffic::Scrape;
use crate::{HORIZON, SCRAPE_SECONDS};

/// Scrapes in an hour.
const HOUR: usize = 240;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Policy {
    /// 20, 40, 60, 80 %, ten minutes each, with this limit.
    Argo(f64),
    /// 5 % more each minute up to 50 %, with 1 %.
    Flagger,
    /// 10 % for half an hour, then judged.
    Kayenta,
    /// The adaptive ramp with a z-test at each scrape.
    ZTest,
    /// The adaptive ramp with the judge, and an objective if there is one.
    Judge(Option<f64>),
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct End {
    pub rolled_back: Option<f64>,
    pub promoted: Option<f64>,
    /// Failed requests within an hour that the stable version would not have failed.
    pub excess: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Wait,
    RollBack,
    Promote,
}

pub(crate) fn run(policy: Policy, random: &mut Random, rate: f64, error_ratio: f64, multiple: f64) -> End {
    let mut state = State::new(policy, rate, error_ratio);
    let mut seen = 0.0;
    let per_request = error_ratio * (multiple - 1.0);
    for t in 0..HOUR {
        let share = state.share(t);
        let arm = |random: &mut Random, share: f64, ratio: f64| {
            let requests = random.poisson(rate * share * SCRAPE_SECONDS);
            ArmTotals { requests, errors: random.binomial(requests, ratio.min(1.0)) }
        };
        let scrape = Scrape {
            canary: arm(random, share, error_ratio * multiple),
            stable: arm(random, 1.0 - share, error_ratio),
        };
        seen += scrape.canary.requests;
        let now = seconds(t);
        match state.step(t, &scrape, random, rate, error_ratio) {
            Step::Wait => {}
            Step::RollBack => {
                return End { rolled_back: Some(now), promoted: None, excess: seen * per_request };
            }
            Step::Promote => {
                let excess = seen * per_request + per_request * rate * (3600.0 - now);
                return End { rolled_back: None, promoted: Some(now), excess };
            }
        }
    }
    End { rolled_back: None, promoted: None, excess: seen * per_request }
}

struct State {
    policy: Policy,
    params: ErrorParams,
    evidence: Option<ErrorEvidence>,
    rung: u8,
    dwell: u32,
    flagger_share: f64,
    flagger_stops: bool,
    fails: u32,
    minute: ArmTotals,
    sums: Scrape,
    canary_minutes: Vec<f64>,
    baseline_minutes: Vec<f64>,
}

impl State {
    fn new(policy: Policy, rate: f64, error_ratio: f64) -> Self {
        let params = match policy {
            Policy::Judge(Some(slo)) => ErrorParams { slo_error_ratio: Some(slo), ..ErrorParams::default() },
            _ => ErrorParams::default(),
        };
        // As in the reference: the ramp is sized for 1 % errors.
        let rung = first_rung(rate, error_ratio.max(0.01), SCRAPE_SECONDS, &ErrorParams::default());
        Self {
            policy,
            params,
            evidence: ErrorTest::new(params).ok().map(|test| ErrorEvidence::new(&test, 1.0)),
            rung,
            dwell: 0,
            flagger_share: 0.05,
            flagger_stops: false,
            fails: 0,
            minute: ArmTotals::default(),
            sums: Scrape { canary: ArmTotals::default(), stable: ArmTotals::default() },
            canary_minutes: Vec::new(),
            baseline_minutes: Vec::new(),
        }
    }

    fn share(&self, t: usize) -> f64 {
        match self.policy {
            Policy::Argo(_) => [0.2, 0.4, 0.6, 0.8].get(t / 40).copied().unwrap_or(0.8),
            Policy::Flagger => self.flagger_share,
            Policy::Kayenta => 0.10,
            Policy::ZTest | Policy::Judge(_) => f64::from(self.rung) / 100.0,
        }
    }

    fn step(&mut self, t: usize, scrape: &Scrape, random: &mut Random, rate: f64, error_ratio: f64) -> Step {
        add(&mut self.sums, scrape);
        self.minute.requests += scrape.canary.requests;
        self.minute.errors += scrape.canary.errors;
        let minute = if t % 4 == 3 { Some(std::mem::take(&mut self.minute)) } else { None };
        let over = |m: ArmTotals, limit: f64| m.requests <= 0.0 || m.errors > limit * m.requests;
        match self.policy {
            Policy::Argo(limit) => {
                self.fails += u32::from(minute.is_some_and(|m| over(m, limit)));
                if self.fails > 3 {
                    return Step::RollBack;
                }
                if t + 1 >= 160 { Step::Promote } else { Step::Wait }
            }
            Policy::Flagger => minute.map_or(Step::Wait, |m| self.flagger(over(m, 0.01))),
            Policy::Kayenta => {
                if let Some(m) = minute {
                    let n = random.poisson(rate * 0.10 * 60.0);
                    self.canary_minutes.push(m.errors / m.requests.max(1.0));
                    self.baseline_minutes.push(random.binomial(n, error_ratio) / n.max(1.0));
                }
                if t + 1 < HORIZON {
                    return Step::Wait;
                }
                if is_high(&self.canary_minutes, &self.baseline_minutes) {
                    Step::RollBack
                } else {
                    Step::Promote
                }
            }
            Policy::ZTest => {
                if z_is_high(&self.sums) {
                    return Step::RollBack;
                }
                self.climb(true);
                if t + 1 >= HORIZON { Step::Promote } else { Step::Wait }
            }
            Policy::Judge(_) => self.judge(t, scrape),
        }
    }

    fn flagger(&mut self, bad: bool) -> Step {
        // A rollback is read at the next check.
        if self.flagger_stops {
            return Step::RollBack;
        }
        self.fails += u32::from(bad);
        self.flagger_stops = self.fails >= 5;
        if bad {
            return Step::Wait;
        }
        if self.flagger_share >= 0.499 && !self.flagger_stops {
            return Step::Promote;
        }
        self.flagger_share = (self.flagger_share + 0.05).min(0.5);
        Step::Wait
    }

    fn judge(&mut self, t: usize, scrape: &Scrape) -> Step {
        let Some(evidence) = &mut self.evidence else { return Step::Wait };
        let point = evidence.add(0, scrape.canary, scrape.stable);
        if point.rollback_evidence >= 1.0 / self.params.false_rollback_budget {
            return Step::RollBack;
        }
        let unsuspicious = point.rollback_evidence < 3.0;
        let at_top = self.rung == LADDER[LADDER.len() - 1] && self.dwell + 1 >= 4;
        let proved = point.promotion_evidence >= 1.0 / self.params.false_promotion_budget;
        if unsuspicious && ((proved && at_top) || t + 1 >= HORIZON) {
            return Step::Promote;
        }
        self.climb(unsuspicious);
        Step::Wait
    }

    fn climb(&mut self, may: bool) {
        self.dwell += 1;
        if let Some(next) = next_rung(self.rung).filter(|_| may && self.dwell >= 4) {
            self.rung = next;
            self.dwell = 0;
        }
    }
}
