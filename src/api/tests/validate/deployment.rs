//! ModelDeployment.

use rstest::rstest;
use serde_json::{Value, json};
use serin_api::validate;

use crate::support;

fn steps(weights: &[i32]) -> Value {
    weights.iter().map(|w| json!({ "weight": w })).collect()
}

#[rstest]
#[case("/spec/model/artifact/uri", json!("http://models.example/v3"))]
#[case("/spec/model/artifact/uri", json!("pvc://models/wine/v3.json"))]
#[case("/spec/model/artifact/uri", json!("https://models.example/v1..v3"))]
#[case("/spec/model", json!({ "channel": { "model": "wine" } }))]
#[case("/spec/model", json!({ "channel": { "model": "wine", "approval": "Manual" } }))]
#[case("/spec/replicas", json!(0))]
#[case("/spec/replicas", json!(1000))]
#[case("/spec/rollout/steps", steps(&[]))]
#[case("/spec/rollout/steps", steps(&[1, 100]))]
#[case("/spec/rollout/deadlines", json!({}))]
#[case("/spec/rollout/deadlines", json!({ "unschedulableSeconds": 10, "imagePullSeconds": 86400, "crashLoopRestarts": 1 }))]
#[case("/spec/availability/drainSeconds", json!(0))]
#[case("/spec/availability/maxUnavailable", json!(1))]
#[case("/spec/availability/maxUnavailable", json!("25%"))]
#[case("/spec/rollout", json!({ "maxSurge": 1000 }))]
#[case("/spec/rollout", json!({ "maxSurge": "1%" }))]
#[case("/spec/rollout", json!({ "whenUnschedulable": "MakeRoom", "minAvailable": "100%" }))]
#[case("/spec/server/env", json!([]))]
#[case("/spec/rollout/analysis/metrics/0/errorRatio/sloErrorPermille", json!(0))]
#[case("/spec/rollout/analysis/metrics/1/threshold/max", json!("1.5Gi"))]
fn takes(#[case] pointer: &str, #[case] value: Value) {
    let object = support::typed(support::with(pointer, Some(value)));
    assert_eq!(validate::spec(&object.spec), Ok(()));
}

#[rstest]
#[case(json!({ "strategy": "BlueGreen", "steps": [{ "weight": 5 }] }), "rollout.steps are for the strategy Canary")]
#[case(json!({ "strategy": "Recreate", "steps": [{ "weight": 5 }] }), "or the strategy Recreate")]
#[case(json!({ "maxSurge": 0 }), "rollout.maxSurge must be 1 to 1000 pods, or 1% to 100%")]
#[case(json!({ "maxSurge": "0%" }), "rollout.maxSurge")]
#[case(json!({ "whenUnschedulable": "MakeRoom", "minAvailable": 0 }), "rollout.minAvailable must be 1 to 1000 pods, or 1% to 100%")]
#[case(json!({ "strategy": "BlueGreen", "maxSurge": 1 }), "rollout.maxSurge is for the strategy Canary, and this is BlueGreen")]
#[case(json!({ "strategy": "Recreate", "whenUnschedulable": "MakeRoom" }), "rollout.whenUnschedulable: MakeRoom is for the strategy Canary")]
#[case(json!({ "minAvailable": 1 }), "rollout.minAvailable is for whenUnschedulable: MakeRoom")]
#[case(json!({ "strategy": "Recreate", "blueGreen": {} }), "rollout.blueGreen is for the strategy BlueGreen")]
#[case(json!({ "strategy": "BlueGreen", "blueGreen": { "previewSeconds": -1 } }), "rollout.blueGreen.previewSeconds")]
#[case(json!({ "rollbackWindow": 11 }), "rollout.rollbackWindow")]
#[case(json!({ "strategy": "Shadow", "steps": [{ "weight": 5 }] }), "or the strategy Shadow")]
#[case(json!({ "strategy": "Shadow", "blueGreen": {} }), "rollout.blueGreen is for the strategy BlueGreen")]
#[case(json!({ "strategy": "BlueGreen", "shadow": {} }), "rollout.shadow is for the strategy Shadow")]
#[case(json!({ "strategy": "Shadow", "shadow": { "mirrorPercent": 0 } }), "rollout.shadow.mirrorPercent")]
#[case(json!({ "strategy": "Shadow", "shadow": { "mirrorPercent": 101 } }), "rollout.shadow.mirrorPercent")]
#[case(json!({ "strategy": "Shadow", "shadow": { "holdSeconds": -1 } }), "rollout.shadow.holdSeconds")]
#[case(json!({ "steps": [{ "weight": 5, "mirrorPercent": 5 }] }), "mirrorPercent is for the status")]
fn refuses_a_rollout(#[case] rollout: Value, #[case] says: &str) {
    let object = support::typed(support::with("/spec/rollout", Some(rollout)));
    let message = validate::spec(&object.spec).unwrap_err();
    assert!(message.contains(says), "{message}");
}

#[rstest]
#[case(json!({ "gateway": { "parentRefs": [{ "name": "front" }] } }), true)]
#[case(json!({ "httpRoute": { "name": "shop" } }), false)]
#[case(json!({}), false)]
fn copies_need_a_route_of_ours(#[case] traffic: Value, #[case] good: bool) {
    let mut object = support::with("/spec/rollout", Some(json!({ "strategy": "Shadow", "shadow": {} })));
    object["spec"]["traffic"] = traffic;
    let checked = validate::spec(&support::typed(object).spec);
    assert_eq!(checked.is_ok(), good, "{checked:?}");
    assert!(checked.is_ok() || checked.unwrap_err().contains("Shadow needs traffic.gateway"));
}

/// A metric in the place of the second one.
const OTHER: &str = "/spec/rollout/analysis/metrics/1";

fn quality(change: &Value) -> Value {
    let mut metric =
        json!({ "name": "q", "quality": { "all": { "series": "a" }, "bad": { "series": "b" } } });
    for (key, value) in change.as_object().unwrap() {
        metric["quality"][key] = value.clone();
    }
    metric
}
fn score(change: &Value) -> Value {
    let mut metric = json!({ "name": "s", "score": { "gauge": { "series": "accuracy" } } });
    for (key, value) in change.as_object().unwrap() {
        metric["score"][key] = value.clone();
    }
    metric
}

#[rstest]
#[case(json!({ "name": "x", "latency": {} }))]
#[case(json!({ "name": "x", "meanLatency": { "sum": { "series": "took" } } }))]
#[case(quality(&json!({})))]
#[case(quality(&json!({ "bad": null, "good": { "series": "g" } })))]
#[case(score(&json!({})))]
#[case(score(&json!({ "min": "-1", "better": "Lower", "margin": "0", "unacceptableMargin": "2" })))]
fn takes_a_metric(#[case] metric: Value) {
    let object = support::typed(support::with(OTHER, Some(metric)));
    assert_eq!(validate::spec(&object.spec), Ok(()));
}

#[rstest]
#[case(json!({ "name": "x", "latency": { "maxIncreasePercent": 50 } }), "metric x: unacceptableIncreasePercent 50")]
#[case(json!({ "name": "x", "latency": { "histogram": { "series": "a b" } } }), "metric x: \"a b\" is not the name")]
#[case(json!({ "name": "x", "meanLatency": { "maxIncreasePercent": 0, "sum": { "series": "a" } } }), "metric x: maxIncreasePercent")]
#[case(json!({ "name": "x", "meanLatency": { "sum": { "series": "é" } } }), "metric x: \"é_sum\" is not the name")]
#[case(json!({ "name": "x", "meanLatency": {} }), "metric x: meanLatency.sum must be named")]
#[case(json!({ "name": "x", "meanLatency": { "sum": { "series": "a", "count": "a" } } }), "metric x: the sum and its count are the same")]
#[case(json!({ "name": "x", "latency": { "histogram": { "except": [{ "label": "9", "values": ["a"] }] } } }), "metric x: \"9\" is not the name of a label")]
#[case(json!({ "name": "x", "latency": { "histogram": { "except": [{ "label": "path", "values": [] }] } } }), "metric x: except: path has no values")]
#[case(json!({ "name": "x", "errorRatio": { "failures": { "failed": { "series": "a" } } } }), "metric x: failures has exactly two")]
#[case(json!({ "name": "x", "errorRatio": { "failures": { "failed": { "series": "a" }, "all": { "series": "a" } } } }), "metric x: failures: both are the same")]
#[case(json!({ "name": "x", "errorRatio": { "requests": {}, "failures": { "failed": { "series": "a" }, "all": { "series": "b" } } } }), "metric x: errorRatio has at most one of")]
#[case(quality(&json!({ "maxRatioPercent": 200 })), "metric q: unacceptableRatioPercent 200")]
#[case(quality(&json!({ "sloBadPermille": 501 })), "metric q: sloBadPermille")]
#[case(quality(&json!({ "bad": { "series": "a" } })), "metric q: all and its part are the same series")]
#[case(quality(&json!({ "bad": null })), "metric q: quality has exactly one of bad, good")]
#[case(score(&json!({ "min": "1" })), "metric s: min 1 must be below max 1")]
#[case(score(&json!({ "max": "many" })), "metric s: \"many\" is not a quantity")]
#[case(score(&json!({ "margin": "0.05" })), "metric s: margin 0.05 must be")]
#[case(score(&json!({ "unacceptableMargin": "1.5" })), "metric s: margin 0.01 must be")]
fn refuses_a_metric(#[case] metric: Value, #[case] says: &str) {
    let object = support::typed(support::with(OTHER, Some(metric)));
    let message = validate::spec(&object.spec).unwrap_err();
    assert!(message.contains(says), "{message}");
}

const ERRORS: &str = "/spec/rollout/analysis/metrics/0/errorRatio";
const THRESHOLD: &str = "/spec/rollout/analysis/metrics/1/threshold";

#[rstest]
#[case("/spec/model/artifact/uri", json!("ftp://models/x"), "model.artifact.uri")]
#[case("/spec/model/artifact/uri", json!("s3://models"), "model.artifact.uri")]
#[case("/spec/model/versionRef", json!("wine-1"), "exactly one of artifact, versionRef and channel")]
#[case("/spec/model/channel", json!({ "model": "wine" }), "exactly one of artifact, versionRef and channel")]
#[case("/spec/model", json!({}), "exactly one of artifact, versionRef and channel")]
#[case("/spec/model", json!({ "channel": { "model": "wine.red" } }), "model.channel.model wine.red is no DNS label")]
#[case("/spec/model", json!({ "channel": { "model": "" } }), "model.channel.model")]
#[case("/spec/model/storage", json!({ "endpoint": "ftp://minio" }), "model.storage.endpoint")]
#[case("/spec/model/artifact/uri", json!("https://models.example/../x"), "model.artifact.uri")]
#[case("/spec/model/artifact/uri", json!("pvc://models"), "model.artifact.uri")]
#[case("/spec/model/artifact/uri", json!("pvc://Models/x"), "model.artifact.uri")]
#[case("/spec/model/artifact/uri", json!("pvc://models//x"), "model.artifact.uri")]
#[case("/spec/model/artifact/digest", json!("sha256:ABC"), "model.artifact.digest")]
#[case("/spec/server/image", json!(""), "server.image")]
#[case("/spec/server/env/0/name", json!("SERIN_X"), "server.env")]
#[case("/spec/server/env/0/name", json!("TOKEN"), "server.env: TOKEN stands twice")]
#[case("/spec/server/env/0", json!({ "name": "X" }), "server.env: X")]
#[case("/spec/server/ports/http", json!(0), "server.ports.http")]
#[case("/spec/server/ports/metrics", json!(70000), "server.ports.metrics")]
#[case("/spec/server", json!({ "image": "x", "preset": "vLLM", "ports": { "metrics": 9000 } }), "server.ports.metrics 9000 contradicts the preset vLLM")]
#[case("/spec/server", json!({ "image": "x", "preset": "Triton", "ports": { "http": 8002 } }), "the preset Triton has a port for metrics")]
#[case("/spec/replicas", json!(-1), "replicas")]
#[case("/spec/replicas", json!(1001), "replicas")]
#[case("/spec/availability/drainSeconds", json!(-1), "availability.drainSeconds")]
#[case("/spec/availability/maxUnavailable", json!(0), "availability.maxUnavailable must be 1 to 1000 pods, or 1% to 100%")]
#[case("/spec/availability/maxUnavailable", json!("0%"), "availability.maxUnavailable")]
#[case("/spec/availability/maxUnavailable", json!("101%"), "availability.maxUnavailable")]
#[case("/spec/availability/maxUnavailable", json!("2"), "availability.maxUnavailable")]
#[case("/spec/availability/minReadySeconds", json!(3601), "availability.minReadySeconds")]
#[case("/spec/traffic/gateway/parentRefs", json!([]), "traffic.gateway.parentRefs")]
#[case("/spec/traffic/gateway/testers", json!({ "header": "X Y", "value": "yes" }), "traffic.gateway.testers.header")]
#[case("/spec/traffic/gateway/testers", json!({ "header": "X-Tester", "value": "a\r\nb" }), "traffic.gateway.testers.value")]
#[case("/spec/traffic/gateway/sessionPersistence", json!({ "sessionName": "" }), "traffic.gateway.sessionPersistence.sessionName")]
#[case("/spec/traffic/gateway/sessionPersistence", json!({ "sessionName": "a;b" }), "traffic.gateway.sessionPersistence.sessionName")]
#[case("/spec/traffic/gateway/sessionPersistence", json!({ "absoluteTimeoutSeconds": 0 }), "absoluteTimeoutSeconds")]
#[case("/spec/traffic/gateway/sessionPersistence", json!({ "absoluteTimeoutSeconds": 31_536_001 }), "absoluteTimeoutSeconds")]
#[case("/spec/rollout/steps", steps(&[10, 10]), "rollout.steps must go up: step 2")]
#[case("/spec/rollout/steps", steps(&[10, 50, 25]), "rollout.steps must go up: step 3")]
#[case("/spec/rollout/steps", steps(&[0, 10]), "rollout.steps: weight")]
#[case("/spec/rollout/steps", steps(&[101]), "rollout.steps: weight")]
#[case("/spec/rollout/steps/0/holdSeconds", json!(-1), "rollout.steps: holdSeconds")]
#[case("/spec/rollout/progressDeadlineSeconds", json!(0), "rollout.progressDeadlineSeconds")]
#[case("/spec/traffic/httpRoute", json!({ "name": "shop" }), "at most one of gateway and httpRoute")]
#[case("/spec/traffic", json!({ "httpRoute": { "name": "" } }), "traffic.httpRoute.name")]
#[case("/spec/traffic", json!({ "httpRoute": { "name": "Shop" } }), "traffic.httpRoute.name")]
#[case("/spec/traffic", json!({ "httpRoute": { "name": "shop." } }), "traffic.httpRoute.name")]
#[case("/spec/rollout/deadlines/unschedulableSeconds", json!(604_801), "rollout.deadlines.unschedulableSeconds")]
#[case("/spec/rollout/deadlines/imagePullSeconds", json!(9), "rollout.deadlines.imagePullSeconds")]
#[case("/spec/rollout/deadlines/crashLoopRestarts", json!(0), "rollout.deadlines.crashLoopRestarts")]
#[case("/spec/rollout/analysis/intervalSeconds", json!(0), "rollout.analysis.intervalSeconds")]
#[case("/spec/rollout/analysis/horizonSeconds", json!(0), "rollout.analysis.horizonSeconds")]
#[case("/spec/rollout/analysis/noDataTimeoutSeconds", json!(0), "rollout.analysis.noDataTimeoutSeconds")]
#[case("/spec/rollout/analysis/falseRollbackBudgetPermille", json!(0), "falseRollbackBudgetPermille")]
#[case("/spec/rollout/analysis/falsePromotionBudgetPermille", json!(201), "falsePromotionBudgetPermille")]
#[case("/spec/rollout/analysis/metrics", json!([]), "rollout.analysis.metrics")]
#[case("/spec/rollout/analysis/metrics/1/name", json!("errors"), "the name errors stands twice")]
#[case("/spec/rollout/analysis/metrics/1", json!({ "name": "x" }), "metric x: must have exactly one")]
#[case("/spec/rollout/analysis/metrics/0", json!({ "name": "x", "threshold": { "gauge": { "series": "s" }, "max": "1" } }), "needs one that compares")]
#[case(&format!("{ERRORS}/unacceptableRatioPercent"), json!(150), "metric errors: unacceptableRatioPercent")]
#[case(&format!("{ERRORS}/maxRatioPercent"), json!(99), "metric errors: maxRatioPercent")]
#[case(&format!("{ERRORS}/sloErrorPermille"), json!(501), "metric errors: sloErrorPermille")]
#[case(&format!("{ERRORS}/requests/series"), json!("up{} or vector(1)"), "metric errors: \"up{} or vector(1)\"")]
#[case(&format!("{ERRORS}/requests/codeLabel"), json!("a:b"), "metric errors: \"a:b\" is not the name of a label")]
#[case(&format!("{ERRORS}/requests/errorCodes"), json!(["5.."]), "metric errors: \"5..\"")]
#[case(&format!("{ERRORS}/requests/errorCodes"), json!(["é0"]), "metric errors: \"é0\"")]
#[case(&format!("{ERRORS}/requests/errorCodes"), json!([]), "metric errors: errorCodes")]
#[case(THRESHOLD, json!({ "gauge": { "series": "s" } }), "metric memory: a threshold needs max or min")]
#[case(&format!("{THRESHOLD}/max"), json!("2 GB"), "metric memory: \"2 GB\" is not a quantity")]
#[case(&format!("{THRESHOLD}/min"), json!("3Gi"), "metric memory: no value can be")]
#[case(&format!("{THRESHOLD}/gauge/series"), json!("9x"), "metric memory: \"9x\" is not the name of a series")]
fn refuses(#[case] pointer: &str, #[case] value: Value, #[case] says: &str) {
    let object = support::typed(support::with(pointer, Some(value)));
    let message = validate::spec(&object.spec).unwrap_err();
    assert!(message.contains(says), "{message}");
    assert!(!message.contains('\n'), "one line: {message}");
}

#[test]
fn both_kinds_of_a_metric_are_one_too_many() {
    let threshold = support::full().pointer(THRESHOLD).cloned();
    let object = support::typed(support::with("/spec/rollout/analysis/metrics/0/threshold", threshold));
    assert!(validate::spec(&object.spec).unwrap_err().contains("exactly one of errorRatio, latency"));
}

#[rstest]
#[case("wine", true)]
#[case("w", true)]
#[case("wine-2", true)]
#[case("2wine", false)]
#[case("wine-", false)]
#[case("Wine", false)]
#[case("wine.red", false)]
#[case("", false)]
#[case("wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww", false)]
fn names(#[case] name: &str, #[case] good: bool) {
    assert_eq!(validate::name(name).is_ok(), good, "{name}");
}
