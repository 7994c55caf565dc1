//! A route that belongs to the user, through the real gateway: two weights are ours, everything else stays.

use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use serin_api::Outcome;
use serin_e2e::{
    Error,
    images::Version,
    ring::{Scene, run},
};

const ROUTE: &str = "shop";

fn routes(scene: &Scene) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let resource = ApiResource::from_gvk_with_plural(&kind, "httproutes");
    Api::namespaced_with(scene.kube.clone(), &scene.wine.namespace, &resource)
}

/// As a user has it: a rule of their own before ours, a filter, a timeout.
fn route(host: &str) -> Value {
    let backend = |name: &str| json!({"name": name, "port": 80});
    let header = json!({"set": [{"name": "x-shop", "value": "yes"}]});
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": ROUTE, "annotations": {"team": "shop"}},
        "spec": {
            "parentRefs": [{"name": "serin-gateway", "namespace": "serin-gateway"}],
            "hostnames": [host],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/nowhere"}}],
                    "backendRefs": [backend("another")],
                },
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": header}],
                    "backendRefs": [backend("wine-a"), backend("wine-b")],
                },
            ],
        },
    })
}

/// The spec without the two weights.
fn without_weights(route: &DynamicObject) -> Value {
    let mut spec = route.data["spec"].clone();
    for backend in spec["rules"][1]["backendRefs"].as_array_mut().into_iter().flatten() {
        backend["weight"].take();
    }
    spec
}

fn weights(route: &DynamicObject) -> Vec<i64> {
    let backends = route.data["spec"]["rules"][1]["backendRefs"].as_array().cloned().unwrap_or_default();
    backends.iter().filter_map(|b| b["weight"].as_i64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_take_over_and_go_back_by_two_weights_of_a_users_route() {
    run("route", async |scene| {
        let host = scene.wine.host.clone().ok_or("no host")?;
        let object = |scene: &Scene, version| -> Result<Value, Error> {
            let mut object = scene.object(version)?;
            object["spec"]["traffic"] = json!({"httpRoute": {"name": ROUTE}});
            Ok(object)
        };
        let params = PatchParams::apply("shop");
        let made = routes(scene).patch(ROUTE, &params, &Patch::Apply(&route(&host))).await?;
        scene.put(&object(scene, Version::V1)?).await?;
        scene.serves("v1").await?;
        let load = scene.load(100)?;
        scene.answers(&load, Version::V1).await?;

        scene.put(&object(scene, Version::V2)?).await?;
        scene.ended("v2", Outcome::Promoted).await?;
        scene.answers(&load, Version::V2).await?;
        scene.put(&object(scene, Version::BadFeatures)?).await?;
        scene.ended(Version::BadFeatures.label(), Outcome::RolledBack).await?;
        scene.answers(&load, Version::V2).await?;

        let now = routes(scene).get(ROUTE).await?;
        assert_eq!(without_weights(&now), without_weights(&made), "nothing but the weights has changed");
        assert_eq!(weights(&now).iter().sum::<i64>(), 100, "{:?}", weights(&now));
        let annotations = now.metadata.annotations.clone().unwrap_or_default();
        assert_eq!(annotations.get("team").map(String::as_str), Some("shop"));
        let owners = now.metadata.owner_references.as_ref().map_or(0, Vec::len);
        assert_eq!(owners, 0, "it is not ours");
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[Version::BadFeatures])?, 0, "{counts:?}");

        scene.delete().await?;
        let left = routes(scene).get_opt(ROUTE).await?;
        assert!(
            left.is_some_and(|route| route.metadata.deletion_timestamp.is_none()),
            "it stays with its owner"
        );
        Ok(())
    })
    .await;
}
