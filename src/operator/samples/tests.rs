//! Answers of Prometheus as samples.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

use super::*;
use serde_json::json;
use serin_api::Preset;

fn series(labels: &[(&str, &str)], values: &[(i64, &str)]) -> RawSeries {
    RawSeries {
        metric: labels.iter().copied().collect(),
        values: values.iter().map(|(at_ms, v)| Sample { at_ms: *at_ms, value: v.parse().unwrap() }).collect(),
        value: None,
        histograms: Vec::new(),
    }
}

fn measurement() -> Measurement {
    let at = DateTime::from_timestamp(0, 0).unwrap();
    Measurement {
        candidate: Some("w-1".into()),
        stable: "w-10".into(),
        from: at,
        origin: at,
        metrics: vec![],
        weights: vec![],
    }
}

#[test]
fn a_name_that_begins_like_another_is_another() {
    let metric: Metric = serde_json::from_value(json!({"name": "errors", "errorRatio": {}})).unwrap();
    let raw = [
        series(&[("pod", "w-1-x-y"), ("code", "500")], &[(1, "2")]),
        series(&[("pod", "w-10-x-y"), ("code", "200")], &[(1, "5")]),
        series(&[("pod", "w-1x-y"), ("code", "200")], &[(1, "7")]),
    ];
    let arranged = arrange(metric.kind().unwrap(), &measurement(), raw.iter().collect(), &HashMap::new());
    let Samples::Errors(Arms { canary, stable }) = arranged else { panic!("an error metric") };
    assert_eq!((canary.len(), stable.len()), (1, 1));
    assert!(canary[0].series[0].error);
    assert!(!stable[0].series[0].error);
}

fn arranged(metric: serde_json::Value, raw: &[RawSeries]) -> Samples {
    let metric: Metric = serde_json::from_value(metric).unwrap();
    arrange(metric.kind().unwrap(), &measurement(), raw.iter().collect(), &HashMap::new())
}

#[test]
fn buckets_of_one_histogram_stand_together() {
    let bucket = |path, le, value| series(&[("pod", "w-1-x-y"), ("path", path), ("le", le)], &[(1, value)]);
    let raw = [bucket("/a", "0.1", "1"), bucket("/b", "0.1", "2"), bucket("/a", "+Inf", "3")];
    let metric = json!({"name": "latency", "latency": {}});
    let Samples::Latency(Arms { canary, stable }) = arranged(metric, &raw) else { panic!("latency") };
    assert_eq!((canary.len(), stable.len(), canary[0].histograms.len()), (1, 0, 2));
    let edges: Vec<f64> = canary[0].histograms[0].buckets.iter().map(|b| b.le).collect();
    assert_eq!(edges, [0.1, f64::INFINITY]);
}

#[test]
fn a_sum_finds_its_count_and_a_part_its_whole() {
    let named = |name, value| series(&[("__name__", name), ("pod", "w-10-x-y")], &[(1, value)]);
    let metric = json!({"name": "mean", "meanLatency": {"sum": {"series": "took"}}});
    let raw = [named("took_count", "4"), named("took_sum", "2")];
    let Samples::Mean(Arms { stable, .. }) = arranged(metric, &raw) else { panic!("means") };
    let values = |samples: &[Sample]| samples.iter().map(|s| s.value).collect::<Vec<_>>();
    let (sum, count) = &stable[0].series[0];
    assert_eq!((values(sum), values(count)), (vec![2.0], vec![4.0]));

    let metric = json!({
        "name": "wrong", "quality": {"all": {"series": "labelled"}, "good": {"series": "right"}},
    });
    let raw = [named("labelled", "9"), named("right", "7")];
    let Samples::Quality(Arms { stable, .. }) = arranged(metric, &raw) else { panic!("quality") };
    assert_eq!((values(&stable[0].total[0]), values(&stable[0].part[0])), (vec![9.0], vec![7.0]));
}

/// A sidecar's exporter has a target of its own.
#[test]
fn another_metric_may_have_another_target() {
    let of_metric = |name, job| series(&[("__name__", name), ("pod", "w-10-x-y"), ("job", job)], &[(1, "1")]);
    let raw = [of_metric("http_requests_total", "server"), of_metric("wrong", "sidecar")];
    let errors: Metric = serde_json::from_value(json!({"name": "errors", "errorRatio": {}})).unwrap();
    let found = of(errors.kind().unwrap(), &raw).unwrap();
    assert_eq!(
        found.iter().filter_map(|s| s.metric.get("__name__")).collect::<Vec<_>>(),
        ["http_requests_total"]
    );
}

/// `/metrics` as text, as a scrape of one pod.
fn scrape(text: &str, pod: &str) -> Vec<RawSeries> {
    let line = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let mut metric: BTreeMap<String, String> = BTreeMap::new();
        let mut rest = labels.strip_suffix('}')?;
        while let Some((label, after)) = rest.split_once("=\"") {
            let end = after.match_indices('"').find(|(i, _)| !after[..*i].ends_with('\\'))?.0;
            metric.insert(label.trim_start_matches(',').trim().to_owned(), after[..end].to_owned());
            rest = &after[end + 1..];
        }
        metric.insert("__name__".to_owned(), name.to_owned());
        metric.insert("pod".to_owned(), pod.to_owned());
        let values = vec![Sample { at_ms: 1000, value: value.parse().ok()? }];
        Some(RawSeries { metric: metric.into_iter().collect(), values, value: None, histograms: Vec::new() })
    };
    text.lines().filter(|text| !text.starts_with('#')).filter_map(line).collect()
}

/// Counters count whole requests.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some dozens")]
fn whole(value: f64) -> u64 {
    value as u64
}

/// Every request that a server was sent is found in what it exports, and of these, those that were its fault. The texts
/// are described in `recorded/README.md`.
#[rstest::rstest]
#[case::kserve(Preset::KServe, include_str!("recorded/kserve.txt"), 22, 10, 22)]
#[case::mlserver(Preset::MLServer, include_str!("recorded/mlserver.txt"), 24, 4, 24)]
#[case::bentoml(Preset::BentoML, include_str!("recorded/bentoml.txt"), 33, 12, 33)]
#[case::ray_serve(Preset::RayServe, include_str!("recorded/ray-serve.txt"), 41, 10, 19)]
#[case::triton(Preset::Triton, include_str!("recorded/triton.txt"), 24, 5, 19)]
#[case::torch_serve(Preset::TorchServe, include_str!("recorded/torchserve.txt"), 31, 14, 31)]
#[case::tf_serving(Preset::TFServing, include_str!("recorded/tfserving.txt"), 34, 7, 18)]
#[case::vllm(Preset::Vllm, include_str!("recorded/vllm.txt"), 24, 6, 15)]
#[case::tgi(Preset::TGI, include_str!("recorded/tgi.txt"), 20, 5, 15)]
#[case::sglang(Preset::SGLang, include_str!("recorded/sglang.txt"), 20, 3, 13)]
fn a_preset_reads_what_its_server_exports(
    #[case] preset: Preset,
    #[case] text: &str,
    #[case] requests: u64,
    #[case] failed: u64,
    #[case] timed: u64,
) {
    let metrics = serin_api::metrics::filled(Some(preset), None).unwrap();
    assert_eq!(metrics.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["errors", "latency"]);
    let read = |metric: &Metric| {
        let kind = metric.kind().unwrap();
        arrange(kind, &measurement(), of(kind, &scrape(text, "w-10-x-y")).unwrap(), &HashMap::new())
    };
    let sum =
        |series: &mut dyn Iterator<Item = &Sample>| series.map(|sample| whole(sample.value)).sum::<u64>();
    let of = |pods: Vec<Vec<Sample>>| sum(&mut pods.iter().flatten());
    let counted = match read(&metrics[0]) {
        Samples::Errors(Arms { stable, .. }) => {
            let series = &stable[0].series;
            let total = sum(&mut series.iter().flat_map(|s| &s.samples));
            (total, sum(&mut series.iter().filter(|s| s.error).flat_map(|s| &s.samples)))
        }
        Samples::Quality(Arms { mut stable, .. }) => {
            let pod = stable.remove(0);
            let (total, part) = (of(pod.total), of(pod.part));
            let good = metrics[0].error_ratio.as_ref().unwrap().failures.as_ref().unwrap().failed.is_none();
            (total, if good { total - part } else { part })
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(counted, (requests, failed));
    let took = match read(&metrics[1]) {
        Samples::Latency(Arms { stable, .. }) => {
            let all =
                stable[0].histograms.iter().flat_map(|h| h.buckets.iter().filter(|b| b.le.is_infinite()));
            sum(&mut all.flat_map(|bucket| &bucket.samples))
        }
        Samples::Mean(Arms { stable, .. }) => {
            assert!(
                stable[0].series.iter().all(|(sum, count)| sum.len() == 1 && count.len() == 1),
                "{stable:?}"
            );
            sum(&mut stable[0].series.iter().flat_map(|(_, count)| count))
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(took, timed);
}
