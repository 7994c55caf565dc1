//! Bounded load through the gateway, from inside the bed's network, counted by the version that answered.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use serde::Deserialize;
use serin_bed::Bed;

use crate::{Error, images::Built};

/// A running load generator. It ends by itself after `seconds`, and with this value at the latest.
#[derive(Debug)]
pub struct Load {
    child: Child,
    report: PathBuf,
}

/// The newest line of its report: counts since the start.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Counts {
    /// Requests sent.
    pub sent: u64,
    /// Sent and not yet answered.
    #[serde(default)]
    pub in_flight: u64,
    /// Due, but never sent: all connections were busy.
    #[serde(default)]
    pub skipped: u64,
    /// Answers to clients with a cookie by another version than before.
    #[serde(default)]
    pub moved: u64,
    /// By the model that answered; `gateway`: an answer of the gateway itself, `none`: no answer.
    #[serde(default)]
    pub by_digest: BTreeMap<String, Version>,
}

/// Answers of one version.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Version {
    /// Requests.
    pub total: u64,
    /// By status code.
    #[serde(default)]
    pub codes: BTreeMap<String, u64>,
    /// By kind of broken connection.
    #[serde(default)]
    pub transport: BTreeMap<String, u64>,
    /// Median latency in milliseconds.
    #[serde(default)]
    pub p50_ms: Option<f64>,
    /// 99th percentile of the latency in milliseconds.
    #[serde(default)]
    pub p99_ms: Option<f64>,
    /// When its first answered request was sent, milliseconds since the epoch.
    #[serde(default)]
    pub first_unix_ms: Option<i64>,
    /// When its last answered request was sent.
    #[serde(default)]
    pub last_unix_ms: Option<i64>,
}

impl Version {
    /// Answers other than 2xx, and broken connections.
    pub fn failed(&self) -> u64 {
        let codes: u64 = self.codes.iter().filter(|(c, _)| !c.starts_with('2')).map(|(_, n)| n).sum();
        codes + self.transport.values().sum::<u64>()
    }
}

impl Counts {
    /// Adds another load's counts. Latencies cannot be added; the slower ones are kept.
    pub fn add(&mut self, other: &Self) {
        let worst = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::max);
        self.sent += other.sent;
        self.in_flight += other.in_flight;
        self.skipped += other.skipped;
        self.moved += other.moved;
        for (digest, more) in &other.by_digest {
            let sum = self.by_digest.entry(digest.clone()).or_default();
            sum.total += more.total;
            more.codes.iter().for_each(|(code, n)| *sum.codes.entry(code.clone()).or_default() += n);
            more.transport.iter().for_each(|(kind, n)| *sum.transport.entry(kind.clone()).or_default() += n);
            sum.p50_ms = worst(sum.p50_ms, more.p50_ms);
            sum.p99_ms = worst(sum.p99_ms, more.p99_ms);
            sum.first_unix_ms = sum.first_unix_ms.into_iter().chain(more.first_unix_ms).min();
            sum.last_unix_ms = sum.last_unix_ms.max(more.last_unix_ms);
        }
    }

    /// What a model answered, by its digest `sha256:…`.
    pub fn of(&self, digest: &str) -> Version {
        let hex = digest.trim_start_matches("sha256:");
        let short = hex.get(..12).unwrap_or(hex);
        self.by_digest.get(short).cloned().unwrap_or_default()
    }
    /// Failed requests that no version answered.
    pub fn failed_without_version(&self) -> u64 {
        ["gateway", "none"].iter().filter_map(|k| self.by_digest.get(*k)).map(Version::failed).sum()
    }
}

/// Whom the requests are for, and what they ask.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// Name of the host.
    pub host: &'a str,
    /// One more header, `NAME: VALUE`.
    pub header: Option<&'a str>,
    /// Only these wines (`light`, `strong`), and with each whether it is good, so that the server counts its mistakes.
    pub labelled: Option<&'a str>,
    /// How many clients keep the gateway's cookie; without, nobody does.
    pub sessions: Option<u32>,
}

impl<'a> From<&'a str> for Call<'a> {
    fn from(host: &'a str) -> Self {
        Self { host, header: None, labelled: None, sessions: None }
    }
}

impl<'a> From<&'a String> for Call<'a> {
    fn from(host: &'a String) -> Self {
        host.as_str().into()
    }
}

impl Load {
    /// Starts it: `rps` requests a second for at most `seconds`.
    pub fn start<'a>(
        bed: &Bed,
        built: &Built,
        call: impl Into<Call<'a>>,
        rps: u32,
        seconds: u32,
        report: &Path,
    ) -> Result<Self, Error> {
        let port = bed.gateway_port().ok_or("this cluster has no gateway that the harness knows of")?;
        Self::start_at(bed, built, port, call, rps, seconds, report)
    }

    /// The same at another port of the node.
    pub fn start_at<'a>(
        bed: &Bed,
        built: &Built,
        port: u16,
        call: impl Into<Call<'a>>,
        rps: u32,
        seconds: u32,
        report: &Path,
    ) -> Result<Self, Error> {
        // The generator appends.
        if report.exists() {
            std::fs::remove_file(report)?;
        }
        let Call { host, header, labelled, sessions } = call.into();
        let sessions = sessions.map(|clients| format!("--sessions={clients}"));
        let child = bed
            .command_inside(&built.wine.to_string_lossy())
            .arg("load")
            .args(["--url", &format!("http://127.0.0.1:{port}/predict"), "--host", host])
            .args(header.iter().flat_map(|line| ["--header", line]))
            .args(labelled.iter().flat_map(|wines| ["--labelled", "--wines", wines]))
            .args(sessions)
            .args(["--rps", &rps.to_string(), "--seconds", &seconds.to_string(), "--concurrency", "32"])
            .args(["--every-ms", "250", "--report"])
            .arg(report)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()?;
        Ok(Self { child, report: report.to_owned() })
    }

    /// Waits until the gateway leads to a version at all: a route is confirmed a moment before its first endpoints
    /// are known, and nobody can be let down by a name that never answered before.
    pub async fn reachable(bed: &Bed, built: &Built, host: &str, report: &Path) -> Result<(), Error> {
        crate::client::until("the gateway leads to a model server", Duration::from_mins(1), || async {
            let mut probe = Self::start(bed, built, host, 10, 5, report).map_err(|e| e.to_string())?;
            while probe.child.try_wait().map_err(|e| e.to_string())?.is_none() {
                if probe.counts().by_digest.keys().any(|k| k != "gateway" && k != "none") {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(format!("{:?}", probe.counts().by_digest))
        })
        .await
    }

    /// The newest counts.
    pub fn counts(&self) -> Counts {
        let text = std::fs::read_to_string(&self.report).unwrap_or_default();
        // The last line may be half written; the one before it is whole.
        text.lines().rev().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default()
    }

    /// Waits until it ends by itself.
    pub async fn finish(mut self) -> Result<Counts, Error> {
        while self.child.try_wait()?.is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(self.counts())
    }

    /// Asks it to end and waits for its last line.
    pub async fn stop(mut self) -> Result<Counts, Error> {
        let pid = self.child.id().to_string();
        std::process::Command::new("kill").args(["-TERM", &pid]).status()?;
        for _ in 0..100 {
            if self.child.try_wait()?.is_some() {
                return Ok(self.counts());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err("the load generator did not end within 10 s".into())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Killing is enough: it holds nothing but sockets.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
