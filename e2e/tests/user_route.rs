//! A route that belongs to the user, through the real gateway: two weights are ours, everything else stays.

use k8s_openapi::api::core::v1::Service;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use serin_api::{
    Outcome, Reason,
    conditions::{self, Type},
};
use serin_e2e::{
    Error,
    images::Version,
    ring::{Scene, quick, run},
};

const ROUTE: &str = "shop";
/// What the route's other rule leads to.
const CELLAR: &str = "cellar";

fn routes(scene: &Scene) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    Api::namespaced_with(scene.kube.clone(), &scene.wine.namespace, &ApiResource::from_gvk(&kind))
}

/// As a user has it: a rule of their own before ours, and a filter.
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
                    "matches": [{"path": {"type": "PathPrefix", "value": "/cellar"}}],
                    "backendRefs": [backend(CELLAR)],
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

/// The Service that the other rule leads to. Without a selector nobody would make its EndpointSlice, which Traefik looks for.
async fn cellar(scene: &Scene) -> Result<(), Error> {
    let services: Api<Service> = Api::namespaced(scene.kube.clone(), &scene.wine.namespace);
    let service =
        json!({"metadata": {"name": CELLAR}, "spec": {"selector": {"app": CELLAR}, "ports": [{"port": 80}]}});
    services.create(&PostParams::default(), &serde_json::from_value(service)?).await?;
    Ok(())
}

/// Rules without the two weights.
fn without_weights(route: &DynamicObject) -> Value {
    let mut spec = route.data["spec"].clone();
    for rule in spec["rules"].as_array_mut().into_iter().flatten() {
        for backend in rule["backendRefs"].as_array_mut().into_iter().flatten() {
            if backend["name"] != CELLAR {
                backend["weight"].take();
            }
        }
    }
    spec
}

/// A version behind the user's route.
fn behind(scene: &Scene, version: Version) -> Result<Value, Error> {
    let mut object = scene.object(version)?;
    object["spec"]["traffic"] = json!({"httpRoute": {"name": ROUTE}});
    Ok(object)
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_take_over_and_go_back_by_two_weights_of_a_users_route() {
    run("route", async |scene| {
        scene.wine.rollout = quick();
        let host = scene.wine.host.clone().ok_or("no host")?;
        let by_the_user = PatchParams::apply("shop");
        routes(scene).patch(ROUTE, &by_the_user, &Patch::Apply(&route(&host))).await?;
        scene.put(&behind(scene, Version::V1)?).await?;
        // The gateway confirms a route as a whole, and one of its backends is not there yet.
        scene
            .until("the gateway's words are told", |_, s| {
                conditions::get(&s.conditions, Type::Progressing).is_some_and(|c| {
                    c.reason == Reason::RouteNotAccepted.as_str() && c.message.contains(CELLAR)
                })
            })
            .await?;
        cellar(scene).await?;
        scene.serves("v1").await?;
        scene.led().await?;
        let load = scene.load(100)?;
        scene.answers(&load, Version::V1).await?;

        scene.put(&behind(scene, Version::V2)?).await?;
        scene.canary("v2").await?;
        // What the user changes meanwhile stays, too, and what is ours is found where it is then.
        let mut changed = routes(scene).get(ROUTE).await?;
        let rules = changed.data["spec"]["rules"].as_array_mut().ok_or("no rules")?;
        let mut more = rules[0].clone();
        more["matches"][0]["path"]["value"] = json!("/vineyard");
        rules.insert(0, more);
        let wanted = without_weights(&changed);
        let patch = json!({"spec": {"rules": changed.data["spec"]["rules"]}});
        routes(scene).patch(ROUTE, &PatchParams::default(), &Patch::Merge(patch)).await?;
        scene.ended("v2", Outcome::Promoted).await?;
        scene.answers(&load, Version::V2).await?;
        scene.settled().await?;

        scene.put(&behind(scene, Version::BadFeatures)?).await?;
        scene.ended(Version::BadFeatures.label(), Outcome::RolledBack).await?;
        scene.answers(&load, Version::V2).await?;
        scene.settled().await?;
        assert_eq!(scene.seen.weights().last(), Some(&(0, 100)), "{:?}", scene.seen.weights());
        let now = routes(scene).get(ROUTE).await?;
        assert_eq!(without_weights(&now), wanted, "nothing but the two weights has changed");
        let annotations = now.metadata.annotations.clone().unwrap_or_default();
        assert_eq!(annotations.get("team").map(String::as_str), Some("shop"));
        assert!(now.metadata.owner_references.as_ref().is_none_or(Vec::is_empty), "it is not ours");
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[Version::BadFeatures])?, 0, "{counts:?}");

        scene.delete().await?;
        let left = routes(scene).get(ROUTE).await?;
        assert!(left.metadata.deletion_timestamp.is_none(), "it stays with its owner");
        assert_eq!(without_weights(&left), wanted);
        Ok(())
    })
    .await;
}
