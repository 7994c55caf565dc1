//! Bounded load on a local endpoint, at a fixed rate whatever the answers.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use hyper::{
    Method, Request,
    header::{self, HeaderName, HeaderValue},
};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, sync::Semaphore, time::MissedTickBehavior};

use crate::{
    data::{MEASURED, Taste, Wines},
    pool::Pool,
    report::{Report, now_ms},
    rng::Rng,
    serve::DIGEST_HEADER,
    sessions::Sessions,
    target,
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// What to send, where, and when to stop.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Where to send; the host must be a loopback address
    #[arg(long)]
    pub url: String,
    /// The `Host` header, if it is not the URL's
    #[arg(long)]
    pub host: Option<String>,
    /// One more header, `NAME: VALUE`
    #[arg(long, value_parser = header_line)]
    pub header: Option<(HeaderName, HeaderValue)>,
    /// Requests per second
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=2000))]
    pub rps: u32,
    /// When to stop
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Requests in flight at most; those due beyond are skipped and counted
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub concurrency: u32,
    /// Stop after this many requests
    #[arg(long)]
    pub max_requests: Option<u64>,
    /// The file that the JSON lines are appended to
    #[arg(long)]
    pub report: PathBuf,
    /// Time between two lines
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(50..))]
    pub every_ms: u64,
    /// Which wines are asked about
    #[arg(long, value_enum, default_value_t)]
    pub wines: Taste,
    /// Say with each wine whether it is good: the server counts its mistakes
    #[arg(long)]
    pub labelled: bool,
    /// Clients that keep the gateway's cookie, one request of each in turn; 0: nobody keeps it
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10000))]
    pub sessions: u32,
    /// Seed of the order of the rows
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

fn header_line(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(": ").ok_or("must be NAME: VALUE")?;
    let name = name.parse().map_err(|_| format!("{name:?} is not the name of a header"))?;
    let value = value.parse().map_err(|_| format!("{value:?} is not the value of a header"))?;
    Ok((name, value))
}

/// Why the load did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The URL or the host is not acceptable.
    #[error("{0}")]
    Target(String),
    /// The report file cannot be written.
    #[error("cannot write the report: {0}")]
    Report(#[from] std::io::Error),
    /// A line does not serialize.
    #[error("cannot write the report: {0}")]
    Line(#[from] serde_json::Error),
}

/// Sends load until the time is over, the requests are used up, or `stop` resolves.
pub async fn run(options: &Options, stop: impl Future<Output = ()>) -> Result<Report, LoadError> {
    let target = target::parse(&options.url).map_err(LoadError::Target)?;
    let host = options.host.as_ref().unwrap_or(&target.authority);
    let request = |body: Bytes, cookie: Option<HeaderValue>| {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&target.path)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/json");
        let cookie = cookie.map(|value| (header::COOKIE, value));
        let more = options.header.iter().cloned().chain(cookie);
        more.fold(request, |request, (name, value)| request.header(name, value))
            .body(Full::new(body))
            .map_err(|error| LoadError::Target(error.to_string()))
    };
    let bodies = bodies(options.wines, options.labelled)?;
    let mut file = tokio::fs::File::options().create(true).append(true).open(&options.report).await?;

    let pool = Arc::new(Pool::new(target.address));
    let report = Arc::new(Mutex::new(Report::new()));
    let sessions = Arc::new(Sessions::new(options.sessions));
    let free = Arc::new(Semaphore::new(options.concurrency as usize));
    let mut rng = Rng::new(options.seed);
    let start = Instant::now();
    let mut due = tokio::time::interval(Duration::from_secs(1) / options.rps);
    // A late generator catches up: the rate is the promise, and concurrency bounds the burst.
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut lines = tokio::time::interval(Duration::from_millis(options.every_ms));
    lines.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let end = tokio::time::sleep(Duration::from_secs(u64::from(options.seconds)));
    tokio::pin!(stop, end);

    let stopped_by = loop {
        tokio::select! {
            biased;
            () = &mut stop => break "signal",
            () = &mut end => break "seconds",
            _ = lines.tick() => {
                let line = locked(&report).line(start.elapsed())?;
                file.write_all(line.as_bytes()).await?;
                // Without the flush the line waits in memory and a reader is always one behind.
                file.flush().await?;
            }
            _ = due.tick() => {
                let body = bodies[rng.below(bodies.len())].clone();
                let Ok(permit) = free.clone().try_acquire_owned() else {
                    locked(&report).skipped += 1;
                    continue;
                };
                let turn = sessions.next(locked(&report).sent);
                let request = request(body, turn.as_ref().and_then(|turn| turn.cookie.clone()))?;
                locked(&report).sending();
                let (pool, shared, sessions) = (pool.clone(), report.clone(), sessions.clone());
                tokio::spawn(async move {
                    let (sent_ms, sent) = (now_ms(), Instant::now());
                    let outcome = pool.send(request, &DIGEST_HEADER, TIMEOUT).await;
                    let moved = turn.is_some_and(|turn| sessions.answered(&turn, &outcome));
                    let mut report = locked(&shared);
                    report.moved += u64::from(moved);
                    report.finished(outcome, sent_ms, sent.elapsed());
                    drop(report);
                    drop(permit);
                });
                if options.max_requests.is_some_and(|max| locked(&report).sent >= max) {
                    break "max-requests";
                }
            }
        }
    };
    // Every request in flight has its own timeout; all permits back means all outcomes counted.
    let all = free.acquire_many(options.concurrency).await;
    drop(all);
    let (line, report) = {
        let mut report = locked(&report);
        report.kind = "final";
        report.stopped_by = Some(stopped_by);
        (report.line(start.elapsed())?, report.clone())
    };
    file.write_all(line.as_bytes()).await?;
    file.flush().await?;
    Ok(report)
}

fn bodies(taste: Taste, labelled: bool) -> Result<Vec<Bytes>, LoadError> {
    let wines = Wines::all(MEASURED).of(taste);
    let body = |(row, good): (&Vec<f64>, &bool)| {
        let mut body = json!({ "features": row });
        if labelled {
            body["good"] = json!(good);
        }
        Ok(serde_json::to_vec(&body)?.into())
    };
    wines.rows.iter().zip(&wines.good).map(body).collect()
}

fn locked(report: &Mutex<Report>) -> std::sync::MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}
