//! A Prometheus in memory: what it would say about each version.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serin_api::MetricEvidence;
use serin_engine::{
    Measurement, Reading,
    measure::{self, Judgement},
};
use serin_judge::State;

/// What the requests of a version tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quality {
    /// Pass after a minute.
    #[default]
    Good,
    /// Fail after three blocks.
    Bad,
    /// Never a verdict, nothing suspicious.
    Unclear,
    /// Never a verdict, and too suspicious for more traffic.
    Suspicious,
    /// As good as any, but of far fewer requests than its weight says.
    Misrouted,
    /// Never a sample.
    Silent,
}

#[derive(Clone, Debug)]
pub struct Metrics {
    pub away: bool,
    pub qualities: BTreeMap<String, Quality>,
    pub first_rung: i32,
    /// Changes with every look, as real evidence does: a status must not follow it.
    pub noise: i64,
}

const BLOCK: i64 = 15;

impl Metrics {
    pub fn new() -> Self {
        Self { away: false, qualities: BTreeMap::new(), first_rung: 10, noise: 0 }
    }

    /// Answers a measurement about `version`.
    pub fn read(&mut self, m: &Measurement, version: &str, now: DateTime<Utc>) -> Reading {
        self.noise += 1;
        if self.away {
            return Reading::Unavailable(format!("connection refused (attempt {})", self.noise));
        }
        if m.candidate.is_none() {
            return Reading::Baseline { first_rung: self.first_rung, missing: None };
        }
        let elapsed = (now - m.origin).num_seconds();
        let quality = self.qualities.get(version).copied().unwrap_or_default();
        let (state, unsuspicious) = match quality {
            Quality::Silent => (State::NoData, true),
            _ if elapsed < 2 * BLOCK => (State::NoData, true),
            Quality::Good | Quality::Misrouted if elapsed >= 4 * BLOCK => (State::Pass, true),
            Quality::Bad if elapsed >= 3 * BLOCK => (State::Fail, false),
            Quality::Good | Quality::Bad | Quality::Unclear | Quality::Misrouted => (State::Undecided, true),
            Quality::Suspicious => (State::Undecided, false),
        };
        let row = MetricEvidence {
            metric: "errors".to_owned(),
            verdict: measure::verdict(state),
            log10_e: format!("{}.00", self.noise),
            estimate: "2.00 % errors, stable 0.40 % (5.0x)".to_owned(),
            samples: 100 * self.noise,
            needed: None,
        };
        let summary = format!("errors: 5.0x after {} requests", row.samples);
        let misrouted = (quality == Quality::Misrouted && elapsed >= 3 * BLOCK)
            .then(|| format!("it gets 0.{} % of the requests", self.noise));
        Reading::Judged(Judgement {
            state,
            unsuspicious,
            evidence: vec![row],
            summary,
            misrouted,
            missing: None,
        })
    }
}
