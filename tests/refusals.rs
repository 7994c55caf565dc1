//! Specs that must not be acted on: the apiserver refuses them with one line.

use serde_json::{Value, json};
use serin_tests::{World, wine};

/// A change of a good spec, and a word of the reason for its refusal.
pub fn corpus() -> Vec<(&'static str, Value, &'static str)> {
    let errors = |change: Value| json!([{"name": "errors", "errorRatio": change}]);
    let threshold = |change: Value| json!([{"name": "errors", "errorRatio": {}}, {"name": "memory", "threshold": change}]);
    vec![
        ("/spec/model/artifact/uri", json!("ftp://models/wine"), "uri"),
        ("/spec/model/artifact/uri", json!("https://models.example/../wine"), ".."),
        ("/spec/model/artifact/uri", json!("pvc://models"), "pvc://CLAIM/PATH"),
        ("/spec/model/artifact/digest", json!("sha256:abc"), "digest"),
        ("/spec/model/artifact/digest", json!(format!("sha256:{}", "A".repeat(64))), "digest"),
        ("/spec/server/image", json!(""), "image"),
        ("/spec/server/env", json!([{"name": "SERIN_MODEL_PATH", "value": "x"}]), "SERIN_"),
        ("/spec/server/env", json!([{"name": "A"}]), "exactly one"),
        ("/spec/server/ports", json!({"http": 0}), "http"),
        ("/spec/replicas", json!(-1), "replicas"),
        ("/spec/replicas", json!(1001), "replicas"),
        ("/spec/traffic/gateway", json!({"parentRefs": []}), "parentRefs"),
        ("/spec/traffic/httpRoute", json!({"name": "shop"}), "at most one of gateway and httpRoute"),
        ("/spec/traffic", json!({"httpRoute": {"name": "Shop"}}), "name"),
        ("/spec/rollout/steps", json!([{"weight": 10}, {"weight": 10}]), "steps must go up"),
        ("/spec/rollout/steps", json!([{"weight": 50}, {"weight": 10}]), "steps must go up"),
        ("/spec/rollout/steps", json!([{"weight": 0}]), "weight"),
        ("/spec/rollout/steps", json!([{"weight": 101}]), "weight"),
        ("/spec/rollout/deadlines", json!({"unschedulableSeconds": 9}), "unschedulableSeconds"),
        ("/spec/rollout/deadlines", json!({"imagePullSeconds": 86_401}), "imagePullSeconds"),
        ("/spec/rollout/deadlines", json!({"crashLoopRestarts": 0}), "crashLoopRestarts"),
        ("/spec/rollout/analysis", json!({"metrics": []}), "metrics"),
        ("/spec/rollout/analysis", json!({"intervalSeconds": 0}), "intervalSeconds"),
        ("/spec/rollout/analysis/metrics", json!([{"name": "errors"}]), "exactly one"),
        (
            "/spec/rollout/analysis/metrics",
            errors(json!({"maxRatioPercent": 300})),
            "unacceptableRatioPercent",
        ),
        (
            "/spec/rollout/analysis/metrics",
            errors(json!({"requests": {"series": "up{} or vector(1)"}})),
            "series",
        ),
        ("/spec/rollout/analysis/metrics", threshold(json!({"gauge": {"series": "s"}})), "max or min"),
        (
            "/spec/rollout/analysis/metrics",
            threshold(json!({"gauge": {"series": "s"}, "max": "2 GB"})),
            "max",
        ),
        ("/spec/availability/drainSeconds", json!(-1), "drainSeconds"),
    ]
}

/// A good object with one change.
pub fn changed(pointer: &str, value: &Value) -> Value {
    let mut object = serde_json::to_value(wine("v1")).unwrap();
    object.as_object_mut().unwrap().remove("status");
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[field] = value.clone();
    object
}

/// The same under another name.
pub fn with_name(mut object: Value, name: &str) -> Value {
    object["metadata"]["name"] = json!(name);
    object
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apiserver_refuses_what_cannot_be_meant_in_words_that_help() {
    let world = World::without_operator().await;
    for (pointer, value, word) in corpus() {
        let error = world.try_apply_raw(&changed(pointer, &value)).await;
        let error = error.err().unwrap_or_else(|| panic!("{pointer} = {value} was taken"));
        let kube::Error::Api(status) = error else { panic!("{pointer} = {value}: {error}") };
        assert!(status.code == 422 || status.code == 400, "{pointer} = {value}: {status:?}");
        assert!(status.message.contains(word), "{pointer} = {value} is told as: {}", status.message);
        assert!(!status.message.contains('\n'), "one line: {}", status.message);
    }
    for name in ["Wine", "9wine", "wine.v1", &"w".repeat(41)] {
        let refused = world.try_apply_raw(&with_name(changed("/spec/replicas", &json!(1)), name)).await;
        assert!(refused.is_err(), "the name {name} was taken");
    }
    world.try_apply_raw(&changed("/spec/replicas", &json!(3))).await.unwrap();
}
