//! Sessions that are asked for in a cluster whose HTTPRoute has no field for them: the Gateway API's standard channel.

use kube::api::{Patch, PatchParams};
use serde_json::json;
use serin_api::{ModelDeployment, Reason, SessionPersistence, conditions::Type};
use serin_tests::{Call, NAME, Told as _, World, wine};

fn kept(version: &str) -> ModelDeployment {
    let mut wanted = wine(version);
    let gateway = wanted.spec.traffic.gateway.as_mut().unwrap();
    gateway.session_persistence =
        Some(SessionPersistence { absolute_timeout_seconds: Some(3600), ..Default::default() });
    wanted
}

fn unsupported(m: &ModelDeployment) -> bool {
    m.condition(Type::SessionsKept)
        == ("False".to_owned(), Reason::SessionPersistenceUnsupported.as_str().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_cannot_keep_sessions_rolls_out_without_and_says_so() {
    let world = World::start().await;
    // What an apply with the field would be answered here.
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {},
        "spec": {"rules": [{"sessionPersistence": {"type": "Cookie"}}]},
    });
    let dry = PatchParams { dry_run: true, ..PatchParams::apply("probe") };
    let error = world.routes().patch("probe", &dry, &Patch::Apply(&route)).await.unwrap_err();
    assert!(error.to_string().contains("sessionPersistence"), "{error}");

    world.apply(&kept("v1")).await;
    let model = world.until_model(NAME, "v1 serves", 60, |m| m.serves("v1")).await;
    assert!(unsupported(&model), "{:?}", model.status);
    assert!(model.message(Type::SessionsKept).contains("experimental channel"));
    world.apply(&kept("v2")).await;
    let model = world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    assert!(unsupported(&model), "{:?}", model.status);
    let refused = |call: &Call| call.resource == "httproutes" && call.is_write() && call.status >= 300;
    let refused: Vec<_> = world.proxy.calls().all().into_iter().filter(refused).collect();
    assert!(refused.is_empty(), "no write that is refused: {refused:?}");
    // Nobody asks any more: nothing is said any more.
    world.apply(&wine("v2")).await;
    let silent = |m: &ModelDeployment| m.condition(Type::SessionsKept) == Default::default();
    world.until_model(NAME, "nothing is said of sessions", 30, silent).await;
    world.check_invariants();
}
