//! What is known so far: phases, weights, answers.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serin_api::RunPhase;

use super::{Shared, learn};
use crate::load::Counts;

/// The demo's story up to now.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// When it began.
    pub start: Instant,
    /// Phases in order; the last one may be under way.
    pub phases: Vec<Phase>,
    /// Everything said, with the second it was said in.
    pub log: Vec<(Duration, String)>,
    /// Weight of the candidate over time, in percent.
    pub weights: Vec<(Duration, i64)>,
    /// Training runs, in order.
    pub runs: Vec<Run>,
    /// The deployment as `kubectl get` shows it.
    pub row: Row,
    /// Answers so far.
    pub counts: Counts,
    /// Digest and name of each version, in order of appearance.
    pub versions: Vec<(String, String)>,
    /// What the report will hold besides.
    pub facts: Facts,
}

/// One phase.
#[derive(Clone, Debug)]
pub struct Phase {
    /// Short name.
    pub name: &'static str,
    /// What should happen.
    pub what: String,
    /// When it began.
    pub began: Duration,
    /// How it ended, if it has.
    pub end: Option<End>,
}

/// The end of a phase.
#[derive(Clone, Debug)]
pub struct End {
    /// Whether what should happen happened.
    pub ok: bool,
    /// In words.
    pub words: String,
    /// When.
    pub at: Duration,
}

/// A training run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// What people call its version.
    pub label: &'static str,
    /// Name of the TrainingRun.
    pub name: String,
    /// Where it is.
    pub phase: Option<RunPhase>,
    /// Number and end of each attempt.
    pub attempts: Vec<(i32, Option<String>)>,
    /// Name of the ModelVersion.
    pub version: Option<String>,
    /// Digest of the model.
    pub digest: Option<String>,
    /// With which version it was compared.
    pub champion: Option<String>,
    /// What the gate said.
    pub gate: Option<Gate>,
    /// What came of the version live.
    pub outcome: Option<String>,
    /// What `serin lineage` says of it.
    pub lineage: Vec<String>,
}

/// What a gate said.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// Whether it let the model through.
    pub passed: bool,
    /// In words.
    pub message: String,
    /// Candidate and champion, by metric.
    pub values: BTreeMap<String, (String, Option<String>)>,
}

/// The printer columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// `STABLE`.
    pub stable: String,
    /// `CANDIDATE`.
    pub candidate: String,
    /// `WEIGHT`.
    pub weight: i64,
    /// `STEP`.
    pub step: String,
    /// `VERDICT`.
    pub verdict: String,
    /// `REASON` and the message.
    pub progress: String,
}

/// Numbers for the report.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Restarts of all pods of the deployment, and pods of the promoted revision that were replaced.
    pub pod_restarts: i64,
    /// Pods that served v2 as a canary and were gone right after its promotion.
    pub promoted_pods_replaced: i64,
    /// Seconds from the bad version's first request until the route confirmed weight 0.
    pub bad_first_request_to_zero_seconds: Option<f64>,
    /// What `serin explain` says of the rollback.
    pub explained: Vec<String>,
    /// Failed requests that the stable versions, or nobody, answered.
    pub failed_stable: u64,
}

/// Locks it; a panic elsewhere must not hide what is known.
pub fn lock(shared: &Shared) -> MutexGuard<'_, Timeline> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Timeline {
    /// An empty one, from now on.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            phases: Vec::new(),
            log: Vec::new(),
            weights: Vec::new(),
            runs: Vec::new(),
            row: Row::default(),
            counts: Counts::default(),
            versions: Vec::new(),
            facts: Facts::default(),
        }
    }
    /// A phase begins.
    pub fn begin(&mut self, name: &'static str, what: &str) {
        let began = self.start.elapsed();
        self.phases.push(Phase { name, what: what.to_owned(), began, end: None });
        self.say(&format!("{name}: {what}"));
    }
    /// It ended as it should.
    pub fn done(&mut self, words: &str) {
        self.end(true, words);
    }
    /// It did not.
    pub fn fail(&mut self, words: &str) {
        self.end(false, words);
    }
    fn end(&mut self, ok: bool, words: &str) {
        let at = self.start.elapsed();
        if let Some(phase) = self.phases.iter_mut().rev().find(|p| p.end.is_none()) {
            phase.end = Some(End { ok, words: words.to_owned(), at });
            let line = format!("{}: {} {words}", phase.name, if ok { "ok," } else { "FAILED:" });
            self.say(&line);
        }
    }
    /// A line for the log.
    pub fn say(&mut self, line: &str) {
        self.log.push((self.start.elapsed(), line.to_owned()));
    }
    /// The deployment was seen.
    pub fn saw(&mut self, row: Row) {
        let now = self.start.elapsed();
        self.weights.push((now, row.weight));
        if row != self.row {
            let line = format!(
                "stable {} | candidate {} | weight {} % | step {} | verdict {} | {}",
                dash(&row.stable),
                dash(&row.candidate),
                row.weight,
                dash(&row.step),
                dash(&row.verdict),
                row.progress
            );
            self.row = row;
            self.say(&line);
        }
    }
    /// A run was seen.
    pub fn run(&mut self, run: Run) {
        let gate = run.gate.as_ref().map(|g| g.message.as_str()).unwrap_or_default();
        let line = format!("{} {}, {} attempts {gate}", run.name, learn::word(run.phase), run.attempts.len());
        match self.runs.iter_mut().find(|r| r.name == run.name) {
            Some(known) if *known == run => return,
            Some(known) => *known = run,
            None => self.runs.push(run),
        }
        self.say(line.trim_end());
    }
    /// What came of a version, and how it is told.
    pub fn remember(&mut self, version: &str, outcome: String, lineage: Vec<String>) {
        if let Some(run) = self.runs.iter_mut().find(|r| r.version.as_deref() == Some(version)) {
            run.outcome = Some(outcome);
            run.lineage = lineage;
        }
    }
    /// Name of the version with this digest prefix.
    pub fn version_of(&self, short: &str) -> Option<&str> {
        self.versions
            .iter()
            .find(|(digest, _)| digest.trim_start_matches("sha256:").starts_with(short))
            .map(|(_, name)| name.as_str())
    }
}

/// A dash where there is nothing to say.
pub fn dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}
