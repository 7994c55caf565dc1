//! What a look at a canary costs the operator: asking Prometheus for raw samples, and judging them. Without a cluster:
//! a server on this machine answers with what Prometheus would have.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use axum::{Router, routing::get};
use chrono::{DateTime, Utc};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use serin_api::{ModelDeploymentSpec, WeightRecord};
use serin_engine::measure::{self, Measurement, Samples};
use serin_operator::{Prometheus, read_samples};
use serin_tests::wine;

use crate::table::Table;

/// Looks that are measured.
const LOOKS: u32 = 500;
/// Canaries at the same time, each looked at every [`INTERVAL`] seconds.
const CANARIES: f64 = 1000.0;
/// Seconds.
const INTERVAL: i64 = 15;
/// Length of the trial, seconds.
const LASTS: i64 = 600;
const START: i64 = 1_800_000_000;
/// Upper edges of the histogram, seconds.
const EDGES: u32 = 20;
/// Pods of each version.
const PODS: u32 = 2;

pub fn measure(table: &mut Table) {
    let url = serve();
    let spec = spec();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // kube's client is not here to bring one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let prometheus = Prometheus::new(&url).unwrap();
    let now = at(START + LASTS);
    let half = [WeightRecord { weight: 50, mirror_percent: 0, at: at(START) }];
    let m =
        measure::comparison(&spec, "wine-b".into(), "wine-a".into(), at(START), now).weighed(&spec, &half);
    let look = || runtime.block_on(read_samples(&prometheus, "figures", &m, &HashMap::new(), now)).unwrap();

    let samples = look();
    let found = measure::judge(&spec, &m, &samples, now);
    assert!(found.evidence.iter().all(|row| row.samples > 0), "{found:?}");
    let whole = each(|| {
        measure::judge(&spec, &m, &look(), now);
    });
    let client = reqwest::Client::new();
    let bare = each(|| {
        let asked = client.get(format!("{url}/api/v1/query?query=all")).send();
        runtime.block_on(async { asked.await.unwrap().bytes().await.unwrap() });
    });
    let cores = |one: Duration| format!("{:.3} cores", one.as_secs_f64() * CANARIES / INTERVAL as f64);
    let what = format!("{CANARIES} canaries, errors and latency, a look every {INTERVAL} s");
    table.add(what, cores(whole), "0.1 cores", cores(bare));

    judging(table, &spec, &m, &samples, now);
}

/// The judge alone, beside adding up what the counters rose by.
fn judging(
    table: &mut Table,
    spec: &ModelDeploymentSpec,
    m: &Measurement,
    samples: &[Samples],
    now: DateTime<Utc>,
) {
    let judged = each(|| {
        std::hint::black_box(measure::judge(spec, m, samples, now));
    });
    let added = each(|| {
        std::hint::black_box(samples.iter().map(rise).sum::<f64>());
    });
    let ticks = u32::try_from(LASTS / INTERVAL).unwrap();
    let told = |one: Duration| format!("{:.1} µs", (one / ticks).as_secs_f64() * 1e6);
    table.add(format!("a tick of the judge, errors and {EDGES} edges"), told(judged), "100 µs", told(added));
}

/// What all counters of a metric rose by.
fn rise(samples: &Samples) -> f64 {
    let of = |samples: &[serin_judge::Sample]| {
        samples.windows(2).map(|w| (w[1].value - w[0].value).max(0.0)).sum::<f64>()
    };
    match samples {
        Samples::Errors(arms) => {
            arms.canary.iter().chain(&arms.stable).flat_map(|p| &p.series).map(|s| of(&s.samples)).sum()
        }
        Samples::Latency(arms) => {
            let pods = arms.canary.iter().chain(&arms.stable);
            pods.flat_map(|p| &p.histograms).flat_map(|h| &h.buckets).map(|b| of(&b.samples)).sum()
        }
        _ => 0.0,
    }
}

/// Processor time of one call, on this thread.
fn each(mut call: impl FnMut()) -> Duration {
    (0..20).for_each(|_| call());
    let spent = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap())
    };
    let (before, started) = (spent(), Instant::now());
    for _ in 0..LOOKS {
        call();
        assert!(started.elapsed() < Duration::from_mins(2), "the server does not answer");
    }
    spent().saturating_sub(before) / LOOKS
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn spec() -> ModelDeploymentSpec {
    let mut spec = wine("v2").spec;
    spec.rollout.analysis = serde_json::from_value(json!({
        "intervalSeconds": INTERVAL,
        "metrics": [{"name": "errors", "errorRatio": {}}, {"name": "slow", "latency": {}}],
    }))
    .unwrap();
    spec
}

/// Answers for as long as the program runs.
fn serve() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = answer(&[counters(), histograms()].concat());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let query = get(|| async move { ([("content-type", "application/json")], answer.clone()) });
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, Router::new().route("/api/v1/query", query)).await.unwrap();
        });
    });
    url
}

/// Labels, and requests in a second.
type Counter = (String, f64);

fn counters() -> Vec<Counter> {
    let counter = |pod: &str, code: u32, rate| {
        (format!(r#""__name__":"http_requests_total","pod":"{pod}","code":"{code}""#), rate)
    };
    pods().iter().flat_map(|pod| [counter(pod, 200, 40.0), counter(pod, 500, 0.4)]).collect()
}

fn histograms() -> Vec<Counter> {
    let bucket = |pod: &str, edge: u32| {
        let le = 0.005 * 1.4_f64.powf(f64::from(edge));
        let (le, under) =
            if edge == EDGES { ("+Inf".to_owned(), 1.0) } else { (le.to_string(), 1.0 - (-le / 0.05).exp()) };
        (
            format!(r#""__name__":"http_request_duration_seconds_bucket","pod":"{pod}","le":"{le}""#),
            40.0 * under,
        )
    };
    pods().iter().flat_map(|pod| (0..=EDGES).map(|edge| bucket(pod, edge)).collect::<Vec<_>>()).collect()
}

fn pods() -> Vec<String> {
    ["a", "b"].iter().flat_map(|slot| (0..PODS).map(move |n| format!("wine-{slot}-7d9f-{n}"))).collect()
}

/// As Prometheus writes it.
fn answer(counters: &[Counter]) -> String {
    let mut text = String::from(r#"{"status":"success","data":{"resultType":"matrix","result":["#);
    for (index, (labels, rate)) in counters.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, r#"{comma}{{"metric":{{{labels}}},"values":["#);
        for n in -2..=LASTS / INTERVAL {
            let comma = if n == -2 { "" } else { "," };
            let value = (rate * ((n + 10) * INTERVAL) as f64).floor();
            let _ = write!(text, r#"{comma}[{},"{value}"]"#, START + n * INTERVAL);
        }
        text.push_str("]}");
    }
    text.push_str("]}}");
    text
}
