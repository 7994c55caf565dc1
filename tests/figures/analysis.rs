//! What looks at canaries cost the operator: asking Prometheus for raw samples, and judging them. Without a cluster: a
//! program beside this one answers with what Prometheus would have.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use serin_api::{ModelDeploymentSpec, WeightRecord};
use serin_engine::measure::{self, Measurement, Samples};
use serin_operator::{Looks, Prometheus, read_samples, read_together};
use serin_tests::wine;
use tokio::runtime::Runtime;

use crate::process;
use crate::prometheus::{self, EDGES};
use crate::table::Table;

/// Looks that are measured.
const LOOKS: u32 = 500;
/// Canaries at the same time, each looked at every [`INTERVAL`] seconds.
const CANARIES: usize = 1000;
/// Times that all of them are looked at.
const ROUNDS: u32 = 5;
/// Seconds.
const INTERVAL: i64 = 15;
/// Length of the trial, seconds.
const LASTS: i64 = 600;
const START: i64 = 1_800_000_000;

pub fn measure(table: &mut Table) {
    let fake = prometheus::Prometheus::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // kube's client is not here to bring one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let both = json!([{"name": "errors", "errorRatio": {}}, {"name": "slow", "latency": {}}]);
    let errors = json!([{"name": "errors", "errorRatio": {}}]);
    let mut first = true;
    for (what, metrics, namespaces) in
        [("errors and latency", &both, 1), ("errors and latency", &both, 40), ("errors", &errors, 1)]
    {
        let rig = Rig::new(&fake, metrics, namespaces);
        let found = rig.measure(&runtime);
        let places =
            if namespaces == 1 { "1 namespace".to_owned() } else { format!("{namespaces} namespaces") };
        let what = format!("{CANARIES} canaries in {places}, {what}, a look every {INTERVAL} s");
        table.add(
            format!("{what}: queries"),
            format!("{} a tick", found.queries),
            "40 a tick",
            "1000 a tick",
        );
        let bare = bare(&runtime, &fake.url, metrics);
        table.add(format!("{what}: processor"), cores(found.spent), "0.1 cores", cores(bare));
        // Of the first ones only: what they have left free is the next ones'.
        if std::mem::take(&mut first) {
            table.add(
                format!("{what}: memory at most"),
                format!("{:.1} kB each", found.kilobytes),
                "8 kB each",
                "-",
            );
        }
    }
    alone(table, &runtime, &fake, &both);
}

fn cores(round: Duration) -> String {
    format!("{:.3} cores", round.as_secs_f64() / INTERVAL as f64)
}

/// All canaries, as they come due.
struct Rig<'a> {
    fake: &'a prometheus::Prometheus,
    spec: ModelDeploymentSpec,
    canaries: Vec<(String, Measurement)>,
    looks: Arc<Looks>,
    now: DateTime<Utc>,
}

struct Found {
    queries: usize,
    spent: Duration,
    kilobytes: f64,
}

impl<'a> Rig<'a> {
    fn new(fake: &'a prometheus::Prometheus, metrics: &serde_json::Value, namespaces: usize) -> Self {
        let (spec, now) = (spec(metrics), at(START + LASTS));
        let canaries = (0..CANARIES).map(|n| {
            let names = [format!("wine-{n}-0a1b2c3d4e"), format!("wine-{n}-5f6a7b8c9d")];
            (format!("team-{}", n % namespaces), measurement(&spec, names, now))
        });
        let looks = Looks::new(Prometheus::new(&fake.url).unwrap());
        Self { fake, canaries: canaries.collect(), spec, looks, now }
    }

    fn measure(self, runtime: &Runtime) -> Found {
        let before = process::memory(std::process::id()).0;
        // What the first looks teach is the size of the answers.
        let rig = Arc::new(RigLooks { spec: self.spec, looks: self.looks, now: self.now });
        let canaries: Vec<_> = self.canaries.into_iter().map(Arc::new).collect();
        let round = || runtime.block_on(rig.round(&canaries));
        round();
        round();
        let asked = runtime.block_on(self.fake.asked());
        let began = spent();
        (0..ROUNDS).for_each(|_| round());
        let spent = spent().saturating_sub(began) / ROUNDS;
        let queries = (runtime.block_on(self.fake.asked()) - asked) / ROUNDS as usize;
        let grown = process::memory(std::process::id()).1 - before;
        Found { queries, spent, kilobytes: grown * 1e3 / CANARIES as f64 }
    }
}

struct RigLooks {
    spec: ModelDeploymentSpec,
    looks: Arc<Looks>,
    now: DateTime<Utc>,
}

impl RigLooks {
    /// Everybody's look, each in a task of its own as the operator has them.
    async fn round(self: &Arc<Self>, canaries: &[Arc<(String, Measurement)>]) {
        let tasks: Vec<_> =
            canaries.iter().map(|canary| tokio::spawn(Arc::clone(self).look(Arc::clone(canary)))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    }

    async fn look(self: Arc<Self>, canary: Arc<(String, Measurement)>) {
        let (namespace, m) = &*canary;
        let samples = read_together(&self.looks, namespace, m, &HashMap::new(), self.now).await.unwrap();
        let found = measure::judge(&self.spec, m, &samples, self.now);
        assert!(found.evidence.iter().all(|row| row.samples > 0), "{found:?}");
    }
}

/// A look by itself, and the judge alone beside adding up what the counters rose by.
fn alone(table: &mut Table, runtime: &Runtime, fake: &prometheus::Prometheus, metrics: &serde_json::Value) {
    let (spec, now) = (spec(metrics), at(START + LASTS));
    let prometheus = Prometheus::new(&fake.url).unwrap();
    let m = measurement(&spec, ["wine-b".to_owned(), "wine-a".to_owned()], now);
    let look = || runtime.block_on(read_samples(&prometheus, "figures", &m, &HashMap::new(), now)).unwrap();
    let samples = look();
    let whole = each(|| {
        measure::judge(&spec, &m, &look(), now);
    });
    let all = whole * u32::try_from(CANARIES).unwrap();
    table.add(format!("{CANARIES} canaries, errors and latency, each alone"), cores(all), "-", "-");
    let judged = each(|| {
        std::hint::black_box(measure::judge(&spec, &m, &samples, now));
    });
    let added = each(|| {
        std::hint::black_box(samples.iter().map(rise).sum::<f64>());
    });
    let ticks = u32::try_from(LASTS / INTERVAL).unwrap();
    let told = |one: Duration| format!("{:.1} µs", (one / ticks).as_secs_f64() * 1e6);
    table.add(format!("a tick of the judge, errors and {EDGES} edges"), told(judged), "100 µs", told(added));
}

/// A client that reads the same answers, one canary at a time, and does nothing with them.
fn bare(runtime: &Runtime, url: &str, metrics: &serde_json::Value) -> Duration {
    let client = reqwest::Client::new();
    let latency = if metrics[1].is_null() { "" } else { "|http_request_duration_seconds_bucket" };
    let query = format!(
        r#"{{__name__=~"http_requests_total{latency}",namespace="figures",pod=~"(?:wine-b|wine-a)-.+"}}[930s]"#
    );
    let one = each(|| {
        let time = (START + LASTS).to_string();
        let asked =
            client.get(format!("{url}/api/v1/query")).query(&[("query", &query), ("time", &time)]).send();
        runtime.block_on(async { asked.await.unwrap().bytes().await.unwrap() });
    });
    one * u32::try_from(CANARIES).unwrap()
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
    let (before, started) = (spent(), Instant::now());
    for _ in 0..LOOKS {
        call();
        assert!(started.elapsed() < Duration::from_mins(2), "the server does not answer");
    }
    spent().saturating_sub(before) / LOOKS
}

/// Processor time of this thread so far.
fn spent() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap())
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn measurement(
    spec: &ModelDeploymentSpec,
    [candidate, stable]: [String; 2],
    now: DateTime<Utc>,
) -> Measurement {
    let half = [WeightRecord { weight: 50, mirror_percent: 0, at: at(START) }];
    measure::comparison(spec, candidate, stable, at(START), now).weighed(spec, &half)
}

fn spec(metrics: &serde_json::Value) -> ModelDeploymentSpec {
    let mut spec = wine("v2").spec;
    spec.rollout.analysis =
        serde_json::from_value(json!({"intervalSeconds": INTERVAL, "metrics": metrics})).unwrap();
    spec
}
