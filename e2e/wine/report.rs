//! What the load saw, by model version: counts, latencies, and when each version was first and last met.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use crate::pool::Outcome;

/// A response that no model server signed.
pub const GATEWAY: &str = "gateway";
/// No response at all.
pub const NONE: &str = "none";

/// Cumulative counts; one line of the report.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `progress`, and `final` on the last line.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// When the line was written.
    pub unix_ms: u64,
    /// Time since the start.
    pub elapsed_ms: u64,
    /// Why the load ended, on the last line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<&'static str>,
    /// Requests sent; finished ones plus `in_flight`.
    pub sent: u64,
    /// Requests without an outcome yet.
    pub in_flight: u64,
    /// Requests that were due but not sent because all of `--concurrency` was busy.
    pub skipped: u64,
    /// Answers to clients with a cookie by another version than before.
    pub moved: u64,
    /// Responses by status code.
    pub codes: BTreeMap<u16, u64>,
    /// Failures without a complete response, by kind.
    pub transport: BTreeMap<&'static str, u64>,
    /// The same by the digest of the model that answered, [`GATEWAY`] or [`NONE`].
    pub by_digest: BTreeMap<String, Version>,
}

/// What one version answered.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Version {
    /// Outcomes.
    pub total: u64,
    /// Responses by status code.
    pub codes: BTreeMap<u16, u64>,
    /// Failures without a complete response, by kind.
    pub transport: BTreeMap<&'static str, u64>,
    /// Median latency.
    pub p50_ms: f64,
    /// 99th percentile of latency.
    pub p99_ms: f64,
    /// When the first of these requests was sent.
    pub first_unix_ms: u64,
    /// When the last of these requests was sent.
    pub last_unix_ms: u64,
    #[serde(skip)]
    latencies: Latencies,
}

impl Report {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self {
            kind: "progress",
            unix_ms: now_ms(),
            elapsed_ms: 0,
            stopped_by: None,
            sent: 0,
            in_flight: 0,
            skipped: 0,
            moved: 0,
            codes: BTreeMap::new(),
            transport: BTreeMap::new(),
            by_digest: BTreeMap::new(),
        }
    }

    /// Counts a request that leaves now.
    pub fn sending(&mut self) {
        self.sent += 1;
        self.in_flight += 1;
    }

    /// Counts what came back for a request sent at `sent_ms`.
    pub fn finished(&mut self, outcome: Outcome, sent_ms: u64, took: Duration) {
        self.in_flight = self.in_flight.saturating_sub(1);
        // A response cut in its body still tells by its header who sent it.
        let unsigned = if outcome.result.is_ok() { GATEWAY } else { NONE };
        let who = outcome.header.unwrap_or_else(|| unsigned.to_owned());
        let version = self.by_digest.entry(who).or_default();
        version.total += 1;
        version.first_unix_ms = if version.total == 1 { sent_ms } else { version.first_unix_ms.min(sent_ms) };
        version.last_unix_ms = version.last_unix_ms.max(sent_ms);
        version.latencies.add(took);
        match outcome.result {
            Ok(code) => {
                *self.codes.entry(code).or_default() += 1;
                *version.codes.entry(code).or_default() += 1;
            }
            Err(kind) => {
                *self.transport.entry(kind).or_default() += 1;
                *version.transport.entry(kind).or_default() += 1;
            }
        }
    }

    /// The JSON line of this moment, `elapsed` after the start.
    pub fn line(&mut self, elapsed: Duration) -> Result<String, serde_json::Error> {
        self.unix_ms = now_ms();
        self.elapsed_ms = millis(elapsed);
        for version in self.by_digest.values_mut() {
            version.p50_ms = version.latencies.quantile(0.5);
            version.p99_ms = version.latencies.quantile(0.99);
        }
        serde_json::to_string(self).map(|line| line + "\n")
    }
}

impl Default for Report {
    fn default() -> Self {
        Self::new()
    }
}

/// Unix time in milliseconds.
pub fn now_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Latencies in buckets of 2 %: the memory of a long run stays that of a short one.
#[derive(Debug, Clone, Default)]
struct Latencies {
    buckets: BTreeMap<i32, u64>,
    total: u64,
}

const GROWTH: f64 = 1.02;

impl Latencies {
    fn add(&mut self, took: Duration) {
        let micros = (took.as_secs_f64() * 1e6).max(1.0);
        #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a duration is small")]
        let bucket = (micros.ln() / GROWTH.ln()).round() as i32;
        *self.buckets.entry(bucket).or_default() += 1;
        self.total += 1;
    }

    /// The `q` quantile in milliseconds, 0 when nothing was added.
    fn quantile(&self, q: f64) -> f64 {
        let rank = q * self.total as f64;
        let mut seen = 0;
        for (bucket, count) in &self.buckets {
            seen += count;
            if seen as f64 >= rank {
                return (GROWTH.powi(*bucket)).round() / 1e3;
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_the_bucket_width() {
        let mut latencies = Latencies::default();
        for ms in 1..=1000 {
            latencies.add(Duration::from_millis(ms));
        }
        assert!((latencies.quantile(0.5) - 500.0).abs() < 10.0);
        assert!((latencies.quantile(0.99) - 990.0).abs() < 20.0);
        assert!(Latencies::default().quantile(0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn outcomes_are_counted_under_who_sent_them() {
        let mut report = Report::new();
        let outcomes = [
            (Some("abc"), Ok(200)),
            (Some("abc"), Ok(500)),
            (Some("abc"), Err("body")),
            (None, Ok(503)),
            (None, Err("timeout")),
        ];
        for (i, (header, result)) in (0..).zip(outcomes) {
            report.sending();
            let outcome = Outcome { header: header.map(str::to_owned), cookie: None, result };
            report.finished(outcome, 100 + i, Duration::from_millis(3));
        }
        let line: serde_json::Value = serde_json::from_str(&report.line(Duration::ZERO).unwrap()).unwrap();
        assert_eq!(line["sent"], 5);
        assert_eq!(line["in_flight"], 0);
        assert_eq!(line["codes"], serde_json::json!({ "200": 1, "500": 1, "503": 1 }));
        assert_eq!(line["transport"], serde_json::json!({ "body": 1, "timeout": 1 }));
        assert_eq!(line["by_digest"]["abc"]["total"], 3);
        assert_eq!(line["by_digest"]["abc"]["first_unix_ms"], 100);
        assert_eq!(line["by_digest"]["abc"]["last_unix_ms"], 102);
        assert_eq!(line["by_digest"]["gateway"]["codes"]["503"], 1);
        assert_eq!(line["by_digest"]["none"]["transport"]["timeout"], 1);
    }
}
