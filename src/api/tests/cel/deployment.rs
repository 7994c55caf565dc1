//! ModelDeployment.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{self, broken, broken_by_change};

#[test]
fn the_full_example_is_taken() {
    assert_eq!(broken(&support::full()), Vec::<String>::new());
}

fn steps(weights: &[i32]) -> Value {
    weights.iter().map(|w| json!({ "weight": w, "holdSeconds": 60 })).collect()
}

#[rstest]
#[case::name_of_forty("/metadata/name", json!("a".repeat(40)))]
#[case::name_with_digits("/metadata/name", json!("wine-2"))]
#[case::http("/spec/model/artifact/uri", json!("http://models.example/v3"))]
#[case::claim("/spec/model/artifact/uri", json!("pvc://models/wine/v3.json"))]
#[case::bucket("/spec/model/artifact/uri", json!("s3://models/wine/v3.json"))]
#[case::store("/spec/model/storage", json!({ "endpoint": "http://minio.example", "region": "eu-1", "secretName": "keys" }))]
#[case::dots_in_a_name("/spec/model/artifact/uri", json!("https://models.example/v1..v3"))]
#[case::testers("/spec/traffic/gateway/testers", json!({ "header": "X-Tester", "value": "yes" }))]
#[case::sessions("/spec/traffic/gateway/sessionPersistence", json!({}))]
#[case::sessions_of_an_hour("/spec/traffic/gateway/sessionPersistence", json!({ "sessionName": "__Host-wine", "absoluteTimeoutSeconds": 3600 }))]
#[case::a_route_of_the_users("/spec/traffic", json!({ "httpRoute": { "name": "shop", "rule": "predict" } }))]
#[case::channel("/spec/model", json!({ "channel": { "model": "wine" } }))]
#[case::channel_by_hand("/spec/model", json!({ "channel": { "model": "wine", "approval": "Manual" }, "storage": { "region": "eu-1" } }))]
#[case::one_step("/spec/rollout/steps", steps(&[100]))]
#[case::rising_steps("/spec/rollout/steps", steps(&[1, 2, 50, 100]))]
#[case::no_steps("/spec/rollout/steps", json!([]))]
#[case::a_step_for_a_person("/spec/rollout/steps", json!([{ "weight": 5, "pause": true }]))]
#[case::all_at_once("/spec/rollout", json!({ "strategy": "BlueGreen" }))]
#[case::all_at_once_by_hand("/spec/rollout", json!({ "strategy": "BlueGreen", "blueGreen": { "autoPromote": false } }))]
#[case::shadow("/spec/rollout", json!({ "strategy": "Shadow" }))]
#[case::shadow_of_a_part("/spec/rollout", json!({ "strategy": "Shadow", "shadow": { "mirrorPercent": 5, "promotion": "OnEvidence" } }))]
#[case::one_after_the_other("/spec/rollout", json!({ "strategy": "Recreate" }))]
#[case::a_pod_more("/spec/rollout", json!({ "maxSurge": 1 }))]
#[case::a_quarter_more("/spec/rollout", json!({ "maxSurge": "25%" }))]
#[case::makes_room("/spec/rollout", json!({ "whenUnschedulable": "MakeRoom" }))]
#[case::makes_room_down_to("/spec/rollout", json!({ "whenUnschedulable": "MakeRoom", "minAvailable": "50%" }))]
#[case::waits_all_at_once("/spec/rollout", json!({ "strategy": "BlueGreen", "whenUnschedulable": "Wait" }))]
#[case::ratio_just_above("/spec/rollout/analysis/metrics/0/errorRatio/unacceptableRatioPercent", json!(151))]
#[case::only_max("/spec/rollout/analysis/metrics/1/threshold", json!({ "gauge": { "series": "x" }, "max": "1" }))]
#[case::only_min("/spec/rollout/analysis/metrics/1/threshold", json!({ "gauge": { "series": "x" }, "min": "1" }))]
#[case::latency("/spec/rollout/analysis/metrics/1", json!({ "name": "slow", "latency": {} }))]
#[case::latency_alone("/spec/rollout/analysis/metrics", json!([{ "name": "slow", "latency": {} }]))]
#[case::mean("/spec/rollout/analysis/metrics/1", json!({ "name": "mean", "meanLatency": { "sum": { "series": "took_seconds" } } }))]
#[case::bad_of_all("/spec/rollout/analysis/metrics/1", json!({ "name": "wrong", "quality": { "all": { "series": "labelled" }, "bad": { "series": "wrong" } } }))]
#[case::good_of_all("/spec/rollout/analysis/metrics/1", json!({ "name": "right", "quality": { "all": { "series": "labelled" }, "good": { "series": "right" } } }))]
#[case::score("/spec/rollout/analysis/metrics/1", json!({ "name": "accuracy", "score": { "gauge": { "series": "accuracy" } } }))]
#[case::mean_of_a_preset("/spec/rollout/analysis/metrics/1", json!({ "name": "mean", "meanLatency": {} }))]
#[case::failures_apart("/spec/rollout/analysis/metrics/0", json!({ "name": "errors", "errorRatio": { "failures": { "failed": { "series": "f" }, "succeeded": { "series": "s" } } } }))]
#[case::failures_of_all("/spec/rollout/analysis/metrics/0", json!({ "name": "errors", "errorRatio": { "failures": { "failed": { "series": "f", "except": [{ "label": "reason", "values": ["CANCELED"] }] }, "all": { "series": "a" } } } }))]
#[case::known_server("/spec/server", json!({ "image": "x", "preset": "vLLM" }))]
#[case::known_server_elsewhere("/spec/server", json!({ "image": "x", "preset": "vLLM", "ports": { "http": 9000, "metrics": 9000 } }))]
#[case::known_server_with_two_ports("/spec/server", json!({ "image": "x", "preset": "Triton", "ports": { "http": 9000, "metrics": 9001 } }))]
#[case::env_like_ours("/spec/server/env/0/name", json!("MY_SERIN_"))]
#[case::env_empty_value("/spec/server/env/0", json!({ "name": "EMPTY", "value": "" }))]
fn takes(#[case] pointer: &str, #[case] value: Value) {
    assert_eq!(broken(&support::with(pointer, Some(value))), Vec::<String>::new());
}

#[rstest]
#[case::long_name("/metadata/name", json!("a".repeat(41)), "at most 40")]
#[case::dotted_name("/metadata/name", json!("wine.red"), "DNS label")]
#[case::digit_first("/metadata/name", json!("2wine"), "DNS label")]
#[case::other_scheme("/spec/model/artifact/uri", json!("ftp://models/wine"), "must start with")]
#[case::parent_inside("/spec/model/artifact/uri", json!("https://models.example/a/../b"), "'..'")]
#[case::parent_at_the_end("/spec/model/artifact/uri", json!("https://models.example/a/.."), "'..'")]
#[case::bucket_without_key("/spec/model/artifact/uri", json!("s3://models"), "s3://BUCKET/KEY")]
#[case::both_sources("/spec/model/versionRef", json!("wine-1"), "exactly one of artifact, versionRef and channel")]
#[case::all_sources("/spec/model/channel", json!({ "model": "wine" }), "exactly one of artifact, versionRef and channel")]
#[case::no_source("/spec/model", json!({}), "exactly one of artifact, versionRef and channel")]
#[case::channel_and_version("/spec/model", json!({ "versionRef": "wine-1", "channel": { "model": "wine" } }), "exactly one of artifact, versionRef and channel")]
#[case::word_for_a_channel("/spec/model", json!({ "channel": { "model": "wine" }, "version": "v3" }), "a ModelVersion has its name")]
#[case::store_by_ftp("/spec/model/storage", json!({ "endpoint": "ftp://minio.example" }), "storage.endpoint")]
#[case::claim_without_path("/spec/model/artifact/uri", json!("pvc://models"), "pvc://CLAIM/PATH")]
#[case::claim_with_empty_path("/spec/model/artifact/uri", json!("pvc://models//x"), "pvc://CLAIM/PATH")]
#[case::claim_with_capitals("/spec/model/artifact/uri", json!("pvc://Models/x"), "pvc://CLAIM/PATH")]
#[case::two_routes("/spec/traffic/httpRoute", json!({ "name": "shop" }), "at most one of gateway and httpRoute")]
#[case::falling_steps("/spec/rollout/steps", steps(&[10, 50, 25]), "steps must go up")]
#[case::equal_steps("/spec/rollout/steps", steps(&[10, 25, 25]), "steps must go up")]
#[case::steps_back_to_front("/spec/rollout/steps", steps(&[100, 50]), "steps must go up")]
#[case::step_to_nothing("/spec/rollout/steps", steps(&[0, 10]), "at least 1")]
#[case::steps_all_at_once("/spec/rollout", json!({ "strategy": "BlueGreen", "steps": [{ "weight": 5 }] }), "steps are for the strategy Canary")]
#[case::steps_in_place("/spec/rollout", json!({ "strategy": "Recreate", "steps": [{ "weight": 5 }] }), "steps are for the strategy Canary")]
#[case::preview_of_a_canary("/spec/rollout", json!({ "blueGreen": { "previewSeconds": 60 } }), "blueGreen is for the strategy BlueGreen")]
#[case::steps_of_a_shadow("/spec/rollout", json!({ "strategy": "Shadow", "steps": [{ "weight": 5 }] }), "steps are for the strategy Canary")]
#[case::shadow_of_a_canary("/spec/rollout", json!({ "shadow": { "mirrorPercent": 5 } }), "shadow is for the strategy Shadow")]
#[case::step_with_copies("/spec/rollout", json!({ "steps": [{ "weight": 5, "mirrorPercent": 5 }] }), "mirrorPercent of a step is for the status")]
#[case::a_pod_more_all_at_once("/spec/rollout", json!({ "strategy": "BlueGreen", "maxSurge": 1 }), "maxSurge is for the strategy Canary")]
#[case::a_pod_more_in_place("/spec/rollout", json!({ "strategy": "Recreate", "maxSurge": 1 }), "maxSurge is for the strategy Canary")]
#[case::a_pod_more_of_a_shadow("/spec/rollout", json!({ "strategy": "Shadow", "maxSurge": 1 }), "maxSurge is for the strategy Canary")]
#[case::makes_room_for_a_shadow("/spec/rollout", json!({ "strategy": "Shadow", "whenUnschedulable": "MakeRoom" }), "MakeRoom is for the strategy Canary")]
#[case::makes_room_all_at_once("/spec/rollout", json!({ "strategy": "BlueGreen", "whenUnschedulable": "MakeRoom" }), "MakeRoom is for the strategy Canary")]
#[case::leaves_pods_without_taking_any("/spec/rollout", json!({ "minAvailable": 2 }), "minAvailable is for whenUnschedulable: MakeRoom")]
#[case::ratio_equal("/spec/rollout/analysis/metrics/0/errorRatio/unacceptableRatioPercent", json!(150), "above maxRatioPercent")]
#[case::neither_bound("/spec/rollout/analysis/metrics/1/threshold", json!({ "gauge": { "series": "x" } }), "max or min")]
#[case::no_kind("/spec/rollout/analysis/metrics/1", json!({ "name": "memory" }), "exactly one of errorRatio, latency")]
#[case::only_thresholds("/spec/rollout/analysis/metrics", json!([{ "name": "m", "threshold": { "gauge": { "series": "x" }, "max": "1" } }]), "cannot promote")]
#[case::slowdown_equal("/spec/rollout/analysis/metrics/1", json!({ "name": "slow", "latency": { "maxIncreasePercent": 50 } }), "above maxIncreasePercent")]
#[case::mean_equal("/spec/rollout/analysis/metrics/1", json!({ "name": "mean", "meanLatency": { "maxIncreasePercent": 50, "sum": { "series": "x" } } }), "above maxIncreasePercent")]
#[case::quality_equal("/spec/rollout/analysis/metrics/1", json!({ "name": "q", "quality": { "maxRatioPercent": 200, "all": { "series": "a" }, "bad": { "series": "b" } } }), "above maxRatioPercent")]
#[case::neither_part("/spec/rollout/analysis/metrics/1", json!({ "name": "q", "quality": { "all": { "series": "a" } } }), "exactly one of bad, good")]
#[case::both_parts("/spec/rollout/analysis/metrics/1", json!({ "name": "q", "quality": { "all": { "series": "a" }, "bad": { "series": "b" }, "good": { "series": "c" } } }), "exactly one of bad, good")]
#[case::requests_twice("/spec/rollout/analysis/metrics/0", json!({ "name": "errors", "errorRatio": { "requests": {}, "failures": { "failed": { "series": "f" }, "all": { "series": "a" } } } }), "at most one of requests, failures")]
#[case::failures_alone("/spec/rollout/analysis/metrics/0", json!({ "name": "errors", "errorRatio": { "failures": { "failed": { "series": "f" } } } }), "exactly two of failed, succeeded, all")]
#[case::all_three("/spec/rollout/analysis/metrics/0", json!({ "name": "errors", "errorRatio": { "failures": { "failed": { "series": "f" }, "succeeded": { "series": "s" }, "all": { "series": "a" } } } }), "exactly two of failed, succeeded, all")]
#[case::port_that_it_has_not("/spec/server", json!({ "image": "x", "preset": "vLLM", "ports": { "metrics": 9000 } }), "contradicts the preset")]
#[case::one_port_for_both("/spec/server", json!({ "image": "x", "preset": "Triton", "ports": { "http": 9000, "metrics": 9000 } }), "contradicts the preset")]
#[case::reserved_env("/spec/server/env/0/name", json!("SERIN_MODEL_PATH"), "reserved")]
#[case::env_without_source("/spec/server/env/0", json!({ "name": "X" }), "exactly one of value")]
#[case::env_with_two("/spec/server/env/0", json!({ "name": "X", "value": "1", "secretKeyRef": { "name": "a", "key": "b" } }), "exactly one of value")]
fn refuses(#[case] pointer: &str, #[case] value: Value, #[case] says: &str) {
    let broken = broken(&support::with(pointer, Some(value)));
    assert!(broken.iter().any(|m| m.contains(says)), "{broken:?}");
}

#[test]
fn both_kinds_of_a_metric_are_one_too_many() {
    let mut metric = support::full().pointer("/spec/rollout/analysis/metrics/0").unwrap().clone();
    metric["threshold"] = json!({ "gauge": { "series": "x" }, "max": "1" });
    let broken = broken(&support::with("/spec/rollout/analysis/metrics/0", Some(metric)));
    assert!(broken.iter().any(|m| m.contains("exactly one of errorRatio, latency")), "{broken:?}");
}

#[test]
fn copies_need_a_route_of_ours() {
    let shadow = |traffic: Value| {
        let mut object = support::with("/spec/rollout", Some(json!({ "strategy": "Shadow" })));
        object["spec"]["traffic"] = traffic;
        broken(&object)
    };
    assert_eq!(shadow(json!({ "gateway": { "parentRefs": [{ "name": "front" }] } })), Vec::<String>::new());
    for traffic in [json!({}), json!({ "httpRoute": { "name": "shop" } })] {
        let broken = shadow(traffic);
        assert!(broken.iter().any(|m| m.contains("Shadow needs traffic.gateway")), "{broken:?}");
    }
}

#[test]
fn a_word_for_people_belongs_to_an_artifact() {
    let model = |version: Option<&str>| json!({ "versionRef": "wine-5f3a9c21d0", "version": version });
    assert_eq!(
        broken(&support::with("/spec/model", Some(json!({ "versionRef": "wine-1" })))),
        Vec::<String>::new()
    );
    let broken = broken(&support::with("/spec/model", Some(model(Some("v3")))));
    assert!(broken.iter().any(|m| m.contains("a ModelVersion has its name")), "{broken:?}");
}

#[test]
fn every_rule_of_the_crd_is_tried_here() {
    let rules = support::rules(&support::schema("ModelDeployment"));
    assert_eq!(rules.len(), 35, "a rule was added or removed: add its cases above: {rules:#?}");
}

#[test]
fn the_way_of_the_traffic_stays_what_it_is() {
    let gateway = support::full();
    let ratio = support::with("/spec/traffic", Some(json!({})));
    let hosts = support::with("/spec/traffic/gateway/hostnames", Some(json!(["other.example"])));
    assert_eq!(broken_by_change(&hosts, Some(&gateway)), Vec::<String>::new());
    assert_eq!(broken_by_change(&ratio, Some(&ratio)), Vec::<String>::new());
    let route = |name: &str| support::with("/spec/traffic", Some(json!({ "httpRoute": { "name": name } })));
    let (shop, mall) = (route("shop"), route("mall"));
    let rule = support::with("/spec/traffic", Some(json!({ "httpRoute": { "name": "shop", "rule": "x" } })));
    assert_eq!(broken_by_change(&rule, Some(&shop)), Vec::<String>::new());
    for (new, old) in [(&shop, &gateway), (&gateway, &shop), (&ratio, &shop), (&mall, &shop)] {
        let broken = broken_by_change(new, Some(old));
        assert!(broken.iter().any(|m| m.contains("cannot be added, removed or renamed")), "{broken:?}");
    }
    for (new, old) in [(&ratio, &gateway), (&gateway, &ratio)] {
        let broken = broken_by_change(new, Some(old));
        assert!(broken.iter().any(|m| m.contains("cannot be added or removed")), "{broken:?}");
    }
}
