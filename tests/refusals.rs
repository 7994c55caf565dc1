//! Specs that must not be acted on: refused by the apiserver with one line, and by the operator where the definition
//! in the cluster is looser than ours.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use serin_api::ModelDeployment;
use serin_api::conditions::Type;
use serin_tests::{Change as _, NAME, Told as _, World, cluster, manifests, wine};

/// A change of a good spec, and a word of the reason for its refusal.
fn corpus() -> Vec<(&'static str, Value, &'static str)> {
    let errors = |change: Value| json!([{"name": "errors", "errorRatio": change}]);
    let threshold = |change: Value| json!([{"name": "errors", "errorRatio": {}}, {"name": "memory", "threshold": change}]);
    vec![
        ("/spec/model/artifact/uri", json!("s3://models/wine"), "uri"),
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
        ("/spec/rollout/steps", json!([{"weight": 10}, {"weight": 10}]), "steps must go up"),
        ("/spec/rollout/steps", json!([{"weight": 50}, {"weight": 10}]), "steps must go up"),
        ("/spec/rollout/steps", json!([{"weight": 0}]), "weight"),
        ("/spec/rollout/steps", json!([{"weight": 101}]), "weight"),
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
fn changed(pointer: &str, value: &Value) -> Value {
    let mut object = serde_json::to_value(wine("v1")).unwrap();
    object.as_object_mut().unwrap().remove("status");
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[field] = value.clone();
    object
}

fn stalled(model: &ModelDeployment) -> bool {
    model.condition(Type::Stalled) == ("True".into(), "InvalidSpec".into()) && model.is_current()
}

/// Puts the real definition back, whatever happens.
struct Loosened(&'static cluster::Cluster);

impl Loosened {
    /// A definition that takes anything.
    async fn new(world: &World) -> Self {
        let mut crd: Value = serde_saphyr::from_str(&cluster::crd()).unwrap();
        let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        *schema = json!({"type": "object", "properties": {"spec": open, "status": open}});
        // The scale subresource has rules of its own about replicas.
        crd["spec"]["versions"][0]["subresources"] = json!({"status": {}});
        let guard = Self(world.cluster());
        manifests::apply(world.cluster().bed(), &crd.to_string()).await;
        // The handler of the new definition replaces the old one a moment later.
        let probe = changed("/spec/replicas", &json!("many"));
        let dry = PatchParams { dry_run: true, ..PatchParams::apply("probe").force() };
        for _ in 0..100 {
            let resource = kube::core::ApiResource::erase::<ModelDeployment>(&());
            let api: kube::Api<kube::api::DynamicObject> =
                kube::Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
            if api.patch("probe", &dry, &Patch::Apply(&with_name(probe.clone(), "probe"))).await.is_ok() {
                return guard;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the loosened definition is not in force");
    }
}

impl Drop for Loosened {
    fn drop(&mut self) {
        let bed = self.0.bed();
        let mut child = bed
            .kubectl()
            .args(["apply", "--server-side", "--force-conflicts", "-f", "-"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), cluster::crd().as_bytes()).unwrap();
        child.wait().unwrap();
    }
}

fn with_name(mut object: Value, name: &str) -> Value {
    object["metadata"]["name"] = json!(name);
    object
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apiserver_refuses_what_cannot_be_meant_in_words_that_help() {
    let world = World::without_operator(false).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operator_refuses_what_a_looser_definition_lets_in() {
    let mut world = World::alone().await;
    let _loosened = Loosened::new(&world).await;
    world.start_operator();
    let corpus = corpus();
    for (index, (pointer, value, _)) in corpus.iter().enumerate() {
        let object = with_name(changed(pointer, value), &format!("wine-{index}"));
        world.try_apply_raw(&object).await.unwrap();
    }
    for (index, (pointer, value, _)) in corpus.iter().enumerate() {
        let name = format!("wine-{index}");
        let what = format!("{pointer} = {value} is refused");
        let model =
            world.until(&what, 30, |now| now.get("ModelDeployment", &name).cloned().filter(is_refused)).await;
        let message = condition(&model, "Stalled")["message"].as_str().unwrap().to_owned();
        world.assert(
            !message.is_empty() && !message.contains('\n'),
            &format!("{what} in one line: {message:?}"),
        );
    }
    world.settled(Duration::from_secs(2)).await;
    let now = world.history.now();
    world.assert(now.all("Deployment").next().is_none(), "no child of a refused spec");
    world.assert(now.all("HTTPRoute").next().is_none(), "no child of a refused spec");
    world.check_invariants();
}

fn condition<'a>(model: &'a Value, kind: &str) -> &'a Value {
    let conditions = model["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|c| c["type"] == kind).unwrap_or(&Value::Null)
}

/// Stalled for its spec, and kstatus agrees that it is the present one.
fn is_refused(model: &Value) -> bool {
    let stalled = condition(model, "Stalled");
    let current = model["status"]["observedGeneration"] == model["metadata"]["generation"];
    stalled["status"] == "True" && stalled["reason"] == "InvalidSpec" && current
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_object_blinds_nobody() {
    let mut world = World::alone().await;
    let _loosened = Loosened::new(&world).await;
    let broken = with_name(changed("/spec/replicas", &json!("many")), "broken");
    world.try_apply_raw(&broken).await.unwrap();
    world.start_operator();
    world.serve("v1").await;
    world
        .until("the broken one is reported", 30, |now| {
            now.get("ModelDeployment", "broken").is_some_and(is_refused)
        })
        .await;
    world.settled(Duration::from_secs(2)).await;

    // Later ones do no harm either, and a broken one that is mended works.
    world.try_apply_raw(&with_name(json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {}, "spec": {"model": 7},
    }), "worse")).await.unwrap();
    world.apply(&wine("v2")).await;
    world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    world.apply(&wine("v1").named("broken")).await;
    world.until_model("broken", "mended, it serves", 60, |m| m.serves("v1")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_change_of_a_good_object_leaves_it_serving() {
    let mut world = World::alone().await;
    let _loosened = Loosened::new(&world).await;
    world.start_operator();
    world.serve("v1").await;
    let pods = world.pods("v1");
    for (pointer, value) in
        [("/spec/rollout/steps", json!([{"weight": 50}, {"weight": 10}])), ("/spec/server", json!("x"))]
    {
        world.try_apply_raw(&changed(pointer, &value)).await.unwrap();
        world
            .until("it is refused", 30, |now| now.get("ModelDeployment", NAME).is_some_and(is_refused))
            .await;
        world.settled(Duration::from_secs(1)).await;
        assert_eq!(world.pods("v1"), pods, "what serves goes on");
        assert_eq!(world.weights(NAME)["a"], 100);
    }
    world.apply(&wine("v2")).await;
    let model = world.until_model(NAME, "a good spec is acted on at once", 60, |m| m.serves("v2")).await;
    assert!(!stalled(&model));
    world.check_invariants();
}
