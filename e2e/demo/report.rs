//! The report: a table for people, JSON for machines.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use super::timeline::{self, Timeline};
use crate::Error;

/// `target/demo/report.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether what should happen happened, in every phase.
    pub ok: bool,
    phases: Vec<Phase>,
    runs: Vec<Run>,
    requests: Requests,
    pod_restarts: i64,
    promoted_pods_replaced: i64,
    /// Seconds from the bad version's first request until its weight was confirmed to be 0.
    bad_version_first_request_to_weight_zero_seconds: Option<f64>,
    explained: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Phase {
    name: &'static str,
    expected: String,
    outcome: String,
    ok: bool,
    seconds: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    run: String,
    label: &'static str,
    attempts: Vec<Attempt>,
    version: Option<String>,
    digest: Option<String>,
    champion: Option<String>,
    gate: Option<Gate>,
    outcome: Option<String>,
    lineage: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Attempt {
    number: i32,
    end: Option<String>,
}

#[derive(Debug, Serialize)]
struct Gate {
    passed: bool,
    message: String,
    values: BTreeMap<String, Value>,
}

#[derive(Debug, Serialize)]
struct Value {
    candidate: String,
    champion: Option<String>,
}

impl Run {
    fn of(run: &timeline::Run) -> Self {
        let value = |(name, (candidate, champion)): (&String, &(String, Option<String>))| {
            (name.clone(), Value { candidate: candidate.clone(), champion: champion.clone() })
        };
        Self {
            run: run.name.clone(),
            label: run.label,
            attempts: run
                .attempts
                .iter()
                .map(|(number, end)| Attempt { number: *number, end: end.clone() })
                .collect(),
            version: run.version.clone(),
            digest: run.digest.clone(),
            champion: run.champion.clone(),
            gate: run.gate.as_ref().map(|g| Gate {
                passed: g.passed,
                message: g.message.clone(),
                values: g.values.iter().map(value).collect(),
            }),
            outcome: run.outcome.clone(),
            lineage: run.lineage.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Requests {
    sent: u64,
    never_sent_because_busy: u64,
    by_version: Vec<ByVersion>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ByVersion {
    version: String,
    requests: u64,
    failed: u64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl Report {
    /// From what is known.
    pub fn of(t: &Timeline) -> Self {
        let phases: Vec<Phase> = t
            .phases
            .iter()
            .map(|p| {
                let end = p.end.as_ref();
                Phase {
                    name: p.name,
                    expected: p.what.clone(),
                    outcome: end.map_or_else(|| "not finished".to_owned(), |e| e.words.clone()),
                    ok: end.is_some_and(|e| e.ok),
                    seconds: end.map_or(0.0, |e| (e.at.saturating_sub(p.began)).as_secs_f64()),
                }
            })
            .collect();
        let by_version = t
            .counts
            .by_digest
            .iter()
            .map(|(digest, v)| ByVersion {
                version: t.version_of(digest).unwrap_or(digest).to_owned(),
                requests: v.total,
                failed: v.failed(),
                p50_ms: v.p50_ms,
                p99_ms: v.p99_ms,
            })
            .collect();
        Self {
            // The last phase is the check; a story that broke off before it is no success.
            ok: phases.iter().all(|p| p.ok) && phases.last().is_some_and(|p| p.name == "check"),
            phases,
            runs: t.runs.iter().map(Run::of).collect(),
            requests: Requests { sent: t.counts.sent, never_sent_because_busy: t.counts.skipped, by_version },
            pod_restarts: t.facts.pod_restarts,
            promoted_pods_replaced: t.facts.promoted_pods_replaced,
            bad_version_first_request_to_weight_zero_seconds: t.facts.bad_first_request_to_zero_seconds,
            explained: t.facts.explained.clone(),
        }
    }

    /// Writes the JSON.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::write(path, serde_json::to_vec_pretty(self)?)?;
        Ok(())
    }

    /// Prints the table.
    pub fn print(&self, path: &Path) {
        println!();
        for p in &self.phases {
            let mark = if p.ok { "ok    " } else { "FAILED" };
            println!("{mark} {:<8} {:>6.1} s  {}", p.name, p.seconds, p.outcome);
        }
        for run in self.runs.iter().filter(|r| !r.lineage.is_empty()) {
            println!();
            run.lineage.iter().for_each(|line| println!("{line}"));
        }
        if !self.explained.is_empty() {
            println!();
            self.explained.iter().for_each(|line| println!("{line}"));
        }
        println!();
        println!("{:<10} {:>10} {:>8} {:>9} {:>9}", "version", "requests", "failed", "p50 ms", "p99 ms");
        let ms = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
        for v in &self.requests.by_version {
            let (p50, p99) = (ms(v.p50_ms), ms(v.p99_ms));
            println!("{:<10} {:>10} {:>8} {p50:>9} {p99:>9}", v.version, v.requests, v.failed);
        }
        println!();
        println!("report: {}", path.display());
        println!(
            "{}",
            if self.ok { "What should happen happened." } else { "Something went wrong; see above." }
        );
    }
}
