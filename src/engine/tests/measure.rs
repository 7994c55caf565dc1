//! Each kind of metric, from samples to a verdict and its row.
#![allow(clippy::unwrap_used)]

use chrono::{DateTime, Utc};
use rstest::rstest;
use serde_json::{Value, json};
use serin_api::{ModelDeploymentSpec, Preset, Verdict};
use serin_engine::{
    Reading,
    measure::{Arms, Judgement, Samples, baseline, comparison, judge, read_baseline},
};
use serin_judge::{
    Bucket, GaugePod, Histogram, HistogramPod, MeanPod, PodCounters, QualityPod, Sample, Series, State,
};

/// Start of the analysis and its length, in seconds.
const START: i64 = 1_800_000_000;
const LASTS: i64 = 1800;
/// A scrape and a block of evidence, in seconds.
const INTERVAL: i64 = 15;
/// Requests of each arm in a second.
const PER_SECOND: f64 = 40.0;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn spec(metrics: &Value) -> ModelDeploymentSpec {
    serde_json::from_value(json!({
        "model": {"artifact": {"uri": "pvc://models/wine", "digest": format!("sha256:{}", "0".repeat(64))}},
        "server": {"image": "registry.example/wine:1"},
        "rollout": {"analysis": {"intervalSeconds": INTERVAL, "metrics": metrics}},
    }))
    .unwrap()
}

/// Samples of a function of the seconds since the start.
fn sampled(value: impl Fn(f64) -> f64) -> Vec<Sample> {
    let scrapes = (-2..=LASTS / INTERVAL).map(|n| n * INTERVAL);
    scrapes.map(|s| Sample { at_ms: (START + s) * 1000, value: value((s + 100) as f64) }).collect()
}

/// A counter of this share of all requests.
fn counted(share: f64) -> Vec<Sample> {
    sampled(|seconds| (seconds * PER_SECOND * share).floor())
}

/// A small wave, so that no two blocks are alike.
fn wave(level: f64) -> Vec<Sample> {
    sampled(|seconds| level + 0.01 * (seconds / 7.0).sin())
}

fn judged(metric: &Value, samples: Samples) -> Judgement {
    let spec = spec(&json!([metric]));
    let now = at(START + LASTS);
    let m = comparison(&spec, "wine-b".into(), "wine-a".into(), at(START), now);
    judge(&spec, &m, &[samples], now)
}

fn arms<P>(canary: P, stable: P) -> Arms<P> {
    Arms { canary: vec![canary], stable: vec![stable] }
}

fn errors(share: f64) -> PodCounters {
    let series =
        [(true, share), (false, 1.0 - share)].map(|(error, share)| Series { error, samples: counted(share) });
    PodCounters { pod: "p".into(), series: series.into(), ..PodCounters::default() }
}

/// Exponential latencies with this mean, in seconds.
fn latencies(mean: f64) -> HistogramPod {
    let edges = [0.01, 0.025, 0.05, 0.1, 0.15, 0.25, f64::INFINITY];
    let buckets = edges.map(|le| Bucket { le, samples: counted(1.0 - (-le / mean).exp()) });
    HistogramPod {
        pod: "p".into(),
        histograms: vec![Histogram { buckets: buckets.into() }],
        ..HistogramPod::default()
    }
}

fn means(mean: f64) -> MeanPod {
    let sum = sampled(|s| (s + 0.5 * (s / 7.0).sin()) * PER_SECOND * mean);
    MeanPod { pod: "p".into(), series: vec![(sum, counted(1.0))], ..MeanPod::default() }
}

fn answers(bad: f64) -> QualityPod {
    QualityPod {
        pod: "p".into(),
        total: vec![counted(1.0)],
        part: vec![counted(bad)],
        ..QualityPod::default()
    }
}

fn scores(level: f64) -> GaugePod {
    GaugePod { pod: "p".into(), samples: wave(level) }
}

#[rstest]
#[case::errors(json!({"errorRatio": {}}), Samples::Errors(arms(errors(0.2), errors(0.01))), "20.00 % errors, stable 1.00 % (")]
#[case::latency(json!({"latency": {}}), Samples::Latency(arms(latencies(0.09), latencies(0.04))), " % slower than 100 ms")]
#[case::mean(
    json!({"meanLatency": {"sum": {"series": "took"}}}),
    Samples::Mean(arms(means(0.09), means(0.04))),
    " ms (+125 %)"
)]
#[case::quality(
    json!({"quality": {"all": {"series": "a"}, "bad": {"series": "b"}}}),
    Samples::Quality(arms(answers(0.2), answers(0.01))),
    "20.00 % bad, stable 1.00 % ("
)]
#[case::good_ones(
    json!({"quality": {"all": {"series": "a"}, "good": {"series": "g"}}}),
    Samples::Quality(arms(answers(0.75), answers(0.995))),
    "25.00 % bad, stable 0.5"
)]
#[case::failures_of_all(
    json!({"errorRatio": {"failures": {"failed": {"series": "f"}, "all": {"series": "a"}}}}),
    Samples::Quality(arms(answers(0.2), answers(0.01))),
    "20.00 % bad, stable 1.00 % ("
)]
#[case::failures_are_the_rest(
    json!({"errorRatio": {"failures": {"succeeded": {"series": "s"}, "all": {"series": "a"}}}}),
    Samples::Quality(arms(answers(0.75), answers(0.995))),
    "25.00 % bad, stable 0.5"
)]
#[case::latency_in_milliseconds(
    json!({"latency": {"histogram": {"series": "took_ms", "unit": "Milliseconds"}}}),
    Samples::Latency(arms(latencies(0.09), latencies(0.04))),
    " % slower than 0.1 ms"
)]
#[case::score(
    json!({"score": {"gauge": {"series": "accuracy"}}}),
    Samples::Score(arms(scores(0.3), scores(0.9))),
    "0.3"
)]
#[case::less_is_better(
    json!({"score": {"gauge": {"series": "loss"}, "better": "Lower"}}),
    Samples::Score(arms(scores(0.9), scores(0.3))),
    "0.9"
)]
#[case::threshold(
    json!({"threshold": {"gauge": {"series": "memory"}, "max": "0.5"}}),
    Samples::Gauge(vec![scores(0.9)]),
    "times in a row)"
)]
fn what_is_worse_fails(#[case] mut metric: Value, #[case] samples: Samples, #[case] says: &str) {
    metric["name"] = json!("it");
    let found = judged(&metric, samples);
    assert_eq!(found.state, State::Fail, "{found:?}");
    assert_eq!(found.evidence[0].verdict, Verdict::Fail);
    assert!(found.evidence[0].estimate.contains(says), "{}", found.evidence[0].estimate);
    assert!(found.summary.starts_with("it: "), "{}", found.summary);
    assert!(!found.unsuspicious);
}

#[rstest]
#[case::errors(json!({"errorRatio": {}}), Samples::Errors(arms(errors(0.01), errors(0.01))))]
#[case::latency(json!({"latency": {}}), Samples::Latency(arms(latencies(0.04), latencies(0.04))))]
#[case::mean(json!({"meanLatency": {"sum": {"series": "took"}}}), Samples::Mean(arms(means(0.04), means(0.04))))]
#[case::quality(
    json!({"quality": {"all": {"series": "a"}, "bad": {"series": "b"}}}),
    Samples::Quality(arms(answers(0.05), answers(0.05)))
)]
#[case::score(
    json!({"score": {"gauge": {"series": "accuracy"}, "unacceptableMargin": "0.9"}}),
    Samples::Score(arms(scores(0.9), scores(0.9)))
)]
#[case::threshold(
    json!({"threshold": {"gauge": {"series": "memory"}, "max": "1"}}),
    Samples::Gauge(vec![scores(0.5)])
)]
fn what_is_as_good_passes(#[case] mut metric: Value, #[case] samples: Samples) {
    metric["name"] = json!("it");
    let found = judged(&metric, samples);
    assert_eq!(found.state, State::Pass, "{found:?}");
    assert!(found.unsuspicious);
}

#[test]
fn samples_of_another_kind_never_pass() {
    let found = judged(&json!({"name": "it", "latency": {}}), Samples::Gauge(vec![scores(0.5)]));
    assert_ne!(found.state, State::Pass);
    assert_eq!(found.evidence[0].verdict, Verdict::NoData);
}

#[test]
fn several_metrics_are_judged_together() {
    let spec = spec(&json!([
        {"name": "errors", "errorRatio": {}},
        {"name": "slow", "latency": {}},
    ]));
    let now = at(START + LASTS);
    let m = comparison(&spec, "wine-b".into(), "wine-a".into(), at(START), now);
    let good = Samples::Errors(arms(errors(0.01), errors(0.01)));
    let slow = Samples::Latency(arms(latencies(0.09), latencies(0.04)));
    let found = judge(&spec, &m, &[good, slow], now);
    assert_eq!(found.state, State::Fail);
    assert!(found.summary.starts_with("slow: "), "{}", found.summary);
    assert_ne!(found.evidence[0].verdict, Verdict::Fail, "errors are not to blame");
}

/// The same samples, of which those of before the first traffic are kept or not.
fn since(samples: Vec<Sample>, first: i64) -> Vec<Sample> {
    samples.into_iter().filter(|s| s.at_ms >= (START + first) * 1000).collect()
}

/// A counter from 22 scrapes before the first traffic on.
fn counted_from(first: i64, value: impl Fn(f64) -> f64) -> Vec<Sample> {
    let all = (-22..=LASTS / INTERVAL)
        .map(|n| Sample { at_ms: (START + n * INTERVAL) * 1000, value: value((n + 22) as f64).floor() });
    since(all.collect(), first)
}

#[test]
fn latencies_of_before_need_not_be_learned() {
    let pod = |name: &str, mean: f64, first: i64| {
        let edges = [0.01, 0.025, 0.05, 0.1, 0.15, 0.25, f64::INFINITY];
        let buckets = edges
            .map(|le| Bucket { le, samples: counted_from(first, |n| 24.0 * n * (1.0 - (-le / mean).exp())) });
        let histograms = vec![Histogram { buckets: buckets.into() }];
        HistogramPod { pod: name.into(), histograms, ..HistogramPod::default() }
    };
    let spec = spec(&json!([{"name": "it", "latency": {}}]));
    let now = at(START + 12 * INTERVAL);
    let m = comparison(&spec, "wine-b".into(), "wine-a".into(), at(START), now);
    let judged = |first: i64| {
        let stable = vec![pod("s1", 0.04, first), pod("s2", 0.04, first)];
        let slow = Samples::Latency(Arms { canary: vec![pod("c", 0.09, -2 * INTERVAL)], stable });
        let found = judge(&spec, &m, &[slow], now);
        found.evidence[0].log10_e.parse::<f64>().unwrap()
    };
    let (without, with) = (judged(-2 * INTERVAL), judged(-22 * INTERVAL));
    assert!(with > without + 0.5, "{without}, and with what was before {with}");
}

#[test]
fn errors_that_came_in_bursts_before_are_no_surprise_now() {
    // Every eighth scrape of the stable version's pods has forty errors at once, in turn.
    let pod = |name: &str, first: i64, bursts: f64, offset: f64| {
        let errors = move |n: f64| 40.0 * ((n + offset) / bursts).floor();
        let series = vec![
            Series { error: true, samples: counted_from(first, errors) },
            Series { error: false, samples: counted_from(first, |n| 600.0 * n) },
        ];
        PodCounters { pod: name.into(), series, ..PodCounters::default() }
    };
    let spec = spec(&json!([{"name": "it", "errorRatio": {}}]));
    let now = at(START + 12 * INTERVAL);
    let m = comparison(&spec, "wine-b".into(), "wine-a".into(), at(START), now);
    let judged = |first: i64| {
        let stable = vec![pod("s1", first, 8.0, 0.0), pod("s2", first, 8.0, 4.0)];
        let canary = vec![pod("c", -2 * INTERVAL, 2.0, 0.0)];
        let found = judge(&spec, &m, &[Samples::Errors(Arms { canary, stable })], now);
        found.evidence[0].log10_e.parse::<f64>().unwrap()
    };
    assert!(
        judged(-22 * INTERVAL) < judged(-2 * INTERVAL),
        "{} {}",
        judged(-22 * INTERVAL),
        judged(-2 * INTERVAL)
    );
}

#[test]
fn the_first_weight_follows_from_failures_however_they_are_counted() {
    let metrics = json!([
        {"name": "slow", "latency": {}},
        {"name": "errors", "errorRatio": {"failures": {"succeeded": {"series": "s"}, "all": {"series": "a"}}}},
    ]);
    let spec = spec(&metrics);
    let now = at(START + LASTS);
    let m = baseline(&spec, "wine-a".into(), now);
    assert_eq!(m.metrics.len(), 2);
    let none = || Samples::Latency(Arms { canary: Vec::new(), stable: Vec::new() });
    let counted = Samples::Quality(Arms { canary: Vec::new(), stable: vec![answers(0.9)] });
    let Reading::Baseline { first_rung, missing } = read_baseline(&spec, &m, &[none(), counted], now) else {
        panic!("a baseline")
    };
    assert!(first_rung < 25, "{first_rung}");
    let missing = missing.unwrap();
    assert!(missing.contains("no http_request_duration_seconds_bucket (metric slow) of"), "{missing}");
    assert!(!missing.contains("(metric errors)"), "{missing}");
}

#[test]
fn a_preset_says_what_its_server_has_to_be_told() {
    let mut spec = spec(&json!([{"name": "slow", "meanLatency": {}}]));
    spec.server.preset = Some(Preset::TorchServe);
    let now = at(START + LASTS);
    let m = comparison(&spec, "wine-b".into(), "wine-a".into(), at(START), now);
    let found = judge(&spec, &m, &[Samples::Mean(Arms { canary: vec![], stable: vec![] })], now);
    let missing = found.missing.unwrap();
    assert!(missing.contains("no ts_inference_requests_total (metric slow) of"), "{missing}");
    assert!(missing.ends_with("; TorchServe exports it with metrics_mode=prometheus"), "{missing}");
}
