//! A Prometheus that has samples of any pod it is asked about, in a process of its own: what it costs is not the operator's.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Query;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use regex::Regex;

/// Between two scrapes, seconds.
const STEP: i64 = 15;
/// Upper edges of the histogram.
pub const EDGES: u32 = 20;
/// Pods of each version.
pub const PODS: u32 = 2;
/// The argument that makes this program one.
pub const ARGUMENT: &str = "prometheus";

/// One that runs.
pub struct Prometheus {
    child: Child,
    pub url: String,
}

impl Prometheus {
    pub fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut child = command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned() }
    }

    /// Queries that it has been asked so far.
    pub async fn asked(&self) -> usize {
        let answer = reqwest::get(format!("{}/asked", self.url)).await.unwrap();
        answer.text().await.unwrap().parse().unwrap()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers until nobody holds the other end of its input.
pub fn serve() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let query = get(move |Query(q): Query<Asked>| async move {
            counted.fetch_add(1, Ordering::Relaxed);
            ([(CONTENT_TYPE, "application/json")], answer(&q))
        });
        let count = get(move || async move { asked.load(Ordering::Relaxed).to_string() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/api/v1/query", query).route("/asked", count);
        axum::serve(listener, router).await.unwrap();
    });
}

#[derive(serde::Deserialize)]
struct Asked {
    query: String,
    time: i64,
}

/// As Prometheus writes it: pod by pod, series by series.
fn answer(asked: &Asked) -> String {
    static SHAPE: OnceLock<Regex> = OnceLock::new();
    let shape = SHAPE.get_or_init(|| {
        Regex::new(r#"^\{__name__=~"([^"]*)",namespace="([^"]*)",pod=~"\(\?:([^)]*)\)-\.\+"\}\[([0-9]+)s\]$"#)
            .unwrap()
    });
    let found = shape.captures(&asked.query).unwrap_or_else(|| panic!("{}", asked.query));
    let (names, namespace, range) = (&found[1], &found[2], found[4].parse::<i64>().unwrap());
    let series: Vec<(String, String)> = series(names)
        .into_iter()
        .map(|(labels, rate)| (labels, values(rate, asked.time - range, asked.time)))
        .collect();
    let mut text = String::from(r#"{"status":"success","data":{"resultType":"matrix","result":["#);
    let start = text.len();
    for deployment in found[3].split('|') {
        for pod in 0..PODS {
            for (labels, values) in &series {
                let comma = if text.len() == start { "" } else { "," };
                let _ = write!(
                    text,
                    r#"{comma}{{"metric":{{{labels},"namespace":"{namespace}","pod":"{deployment}-7d9f-{pod}","job":"models","instance":"10.0.0.{pod}:8080"}},"values":[{values}]}}"#
                );
            }
        }
    }
    text.push_str("]}}");
    text
}

/// Labels, and requests in a second.
fn series(names: &str) -> Vec<(String, f64)> {
    let mut all = Vec::new();
    if names.contains("http_requests_total") {
        let counter =
            |code: u32, rate| (format!(r#""__name__":"http_requests_total","code":"{code}""#), rate);
        all.extend([counter(200, 40.0), counter(500, 0.4)]);
    }
    if names.contains("http_request_duration_seconds_bucket") {
        all.extend((0..=EDGES).map(|edge| {
            let le = 0.005 * 1.4_f64.powf(f64::from(edge));
            let (le, under) = match edge {
                EDGES => ("+Inf".to_owned(), 1.0),
                _ => (le.to_string(), 1.0 - (-le / 0.05).exp()),
            };
            (format!(r#""__name__":"http_request_duration_seconds_bucket","le":"{le}""#), 40.0 * under)
        }));
    }
    all
}

/// Samples after `from` and until `until`.
fn values(rate: f64, from: i64, until: i64) -> String {
    let mut text = String::new();
    for n in from.div_euclid(STEP) + 1..=until.div_euclid(STEP) {
        let comma = if text.is_empty() { "" } else { "," };
        // Counted since some day; a number as long as a counter's is.
        let value = (rate * ((n % 1_000_000) * STEP) as f64).floor();
        let _ = write!(text, r#"{comma}[{},"{value}"]"#, n * STEP);
    }
    text
}
