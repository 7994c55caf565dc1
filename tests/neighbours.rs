//! What others do to our children, to our names and to the route; and what the gateway does not do.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::json;
use serin_api::ModelDeployment;
use serin_api::conditions::Type;
use serin_engine::revision;
use serin_tests::history::Now;
use serin_tests::{
    Behaviour, Change as _, Load, NAME, Told as _, World, by_hand, fixtures, invariants, wine,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn route_edited_by_hand_is_put_right() {
    let world = World::start().await;
    world.serve("v1").await;

    world.edit_route(by_hand::rules(40, 60)).await.unwrap();
    world.until("at rest: all to the stable version", 20, |_| world.weights(NAME)["a"] == 100).await;

    world.canary(&wine("v2").steps(&[(10, 600)])).await;
    world.edit_route(by_hand::rules(0, 100)).await.unwrap();
    world.until("in mid-canary: back to the step", 20, |_| world.weights(NAME)["b"] == 10).await;
    let model = world.model(NAME);
    world.assert(model.tries("v2").is_some_and(|c| c.weight == 10), "the edit promoted nothing");

    world.edit_route(json!({"parentRefs": [{"name": "elsewhere"}]})).await.unwrap();
    let attached = |now: &Now| {
        now.get("HTTPRoute", NAME).is_some_and(|route| route["spec"]["parentRefs"][0]["name"] == "front")
    };
    world.until("attached to its Gateway again", 20, attached).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_deleted_by_hand_come_back() {
    let world = World::start().await;
    let model = world.serve("v1").await;
    world.canary(&wine("v2").steps(&[(10, 600)])).await;
    let now = DeleteParams::background();

    world.routes().delete(NAME, &now).await.unwrap();
    world
        .until("the route, with the weights of the step", 20, |_| world.weights(NAME).get("b") == Some(&10))
        .await;

    let services: Api<Service> = Api::namespaced(world.client.clone(), &world.namespace);
    let uid_of = |now: &Now| now.get("Service", "wine-a").map(|service| service["metadata"]["uid"].clone());
    let old_service = uid_of(&world.history.now()).unwrap();
    services.delete("wine-a", &now).await.unwrap();
    let uid = model.metadata.uid.clone().unwrap();
    world.until("another Service of slot a", 20, |now| uid_of(now).filter(|uid| *uid != old_service)).await;

    let stable = model.status.unwrap().stable.unwrap();
    let child = revision::child_name(NAME, &uid, &stable.revision);
    let pods = world.pods("v1");
    let deployments: Api<Deployment> = Api::namespaced(world.client.clone(), &world.namespace);
    let doomed = Patch::Merge(json!({"metadata": world.mark_by_hand()}));
    deployments.patch(&child, &PatchParams::default(), &doomed).await.unwrap();
    deployments.delete(&child, &now).await.unwrap();
    // The spec holds v2 by now; v1 can only come from the status.
    world
        .until("the stable version's pods", 30, |_| {
            let again = world.pods("v1");
            again.len() == 3 && again.is_disjoint(&pods)
        })
        .await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_strangers_are_left_alone_and_reported() {
    let world = World::start().await;
    let services: Api<Service> = Api::namespaced(world.client.clone(), &world.namespace);
    // Even one that bears our label.
    let theirs: Service = serde_json::from_value(json!({
        "metadata": {"name": "wine-a", "labels": {"app.kubernetes.io/managed-by": "serin"}},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 1}]},
    }))
    .unwrap();
    let made = services.create(&PostParams::default(), &theirs).await.unwrap();
    world.apply(&wine("v1")).await;
    let stalled = |m: &ModelDeployment| m.condition(Type::Stalled) == ("True".into(), "NameTaken".into());
    let model = world.until_model(NAME, "the name is reported as taken", 20, stalled).await;
    assert!(model.message(Type::Stalled).contains("Service wine-a"), "{}", model.message(Type::Stalled));
    let after = services.get("wine-a").await.unwrap();
    assert_eq!(after.metadata.resource_version, made.metadata.resource_version, "it was not touched");

    services.delete("wine-a", &DeleteParams::default()).await.unwrap();
    world.until_model(NAME, "it goes on by itself once the name is free", 60, |m| m.serves("v1")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stranger_with_the_name_of_a_candidate_does_not_harm_the_stable_version() {
    let world = World::start().await;
    let model = world.serve("v1").await;
    let pods = world.pods("v1");
    let revision = fixtures::revision(&wine("v2")).id;
    let child = revision::child_name(NAME, model.metadata.uid.as_ref().unwrap(), &revision);
    let deployments: Api<Deployment> = Api::namespaced(world.client.clone(), &world.namespace);
    let theirs: Deployment = serde_json::from_value(json!({
        "metadata": {"name": child},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "theirs"}},
            "template": {"metadata": {"labels": {"app": "theirs"}}, "spec": {"containers": [{"name": "c", "image": "theirs"}]}},
        },
    }))
    .unwrap();
    let made = deployments.create(&PostParams::default(), &theirs).await.unwrap();
    world.apply(&wine("v2")).await;
    let stalled = |m: &ModelDeployment| m.condition(Type::Stalled) == ("True".into(), "NameTaken".into());
    world.until_model(NAME, "the name is reported as taken", 20, stalled).await;
    let after = deployments.get(&child).await.unwrap();
    assert_eq!(after.metadata.uid, made.metadata.uid);
    assert_eq!(after.spec.replicas, Some(0), "it was not touched");
    assert!(after.metadata.owner_references.is_none());
    assert_eq!(world.pods("v1"), pods);

    // Another good spec is acted on although this one cannot be.
    world.apply(&wine("v3")).await;
    world.until_model(NAME, "v3 serves", 90, |m| m.serves("v3")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_that_does_not_confirm_holds_the_rollout() {
    let world = World::start().await;
    world.serve("v1").await;
    world.gateway.pause(true);
    world.apply(&wine("v2")).await;
    world.until("the first weight is written", 20, |_| world.weights(NAME)["b"] == 10).await;
    world.settled(Duration::from_secs(3)).await;
    let model = world.model(NAME);
    world.assert(model.tries("v2").is_some_and(|c| c.weight == 0), "a weight counts once it is confirmed");
    world.assert(world.weights(NAME)["b"] == 10, "no second step before the first is in force");
    world.gateway.pause(false);
    world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_that_refuses_is_reported_and_obeyed_later() {
    let world = World::start().await;
    world.gateway.refuse(Some("no listener takes routes of this namespace"));
    world.apply(&wine("v1")).await;
    let refused = |m: &ModelDeployment| m.condition(Type::Stalled).1 == "RouteNotAccepted";
    let model = world.until_model(NAME, "the refusal is reported", 20, refused).await;
    assert!(
        model.message(Type::Stalled).contains("no listener takes routes"),
        "{}",
        model.message(Type::Stalled)
    );
    assert_eq!(model.condition(Type::Ready).0, "False");
    world.gateway.refuse(None);
    world.until_model(NAME, "v1 serves", 30, |m| m.serves("v1")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_gateway_delays_and_changes_nothing() {
    let world = World::start().await;
    world.gateway.delay(Duration::from_secs(2));
    world.apply(&wine("v1")).await;
    world.until_model(NAME, "v1 serves", 30, |m| m.serves("v1")).await;
    world.apply(&wine("v2").steps(&[(20, 1), (60, 1)])).await;
    world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    world.assert(world.steps(NAME) == [20, 60, 100], &format!("{:?}", world.steps(NAME)));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidate_that_loses_its_pods_loses_its_weight_and_starts_over() {
    let world = World::start().await;
    world.serve("v1").await;
    world.canary(&wine("v2").steps(&[(20, 5), (60, 1)])).await;
    world.kubelet.script("wine:v2", Behaviour::NeverReady);
    world.until("its weight goes back", 20, |_| world.weights(NAME)["b"] == 0).await;
    world
        .until_model(NAME, "it is on hold without weight", 20, |m| {
            m.tries("v2").is_some_and(|c| c.weight == 0)
        })
        .await;
    world.kubelet.script("wine:v2", Behaviour::Ready(Duration::ZERO));
    world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_never_goes_back_to_a_stable_version_with_nothing_available() {
    let world = World::start().await;
    world.serve("v1").await;
    world.canary(&wine("v2").steps(&[(50, 600)])).await;
    world.kubelet.script("wine:v1", Behaviour::NeverReady);
    world.until("v1 has nothing available", 20, |now| invariants::available(now, NAME, "a") == 0).await;
    world.prometheus.load("wine:v2", Load::BAD);
    let held = |m: &ModelDeployment| m.condition(Type::Progressing).1 == "StableUnavailable";
    world.until_model(NAME, "it says why nothing moves", 30, held).await;
    world.settled(Duration::from_secs(3)).await;
    world.assert(world.weights(NAME)["b"] == 50, "nothing is sent back to where nothing is");
    world.kubelet.script("wine:v1", Behaviour::Ready(Duration::ZERO));
    world.until_model(NAME, "v2 is rejected once v1 is back", 30, |m| m.rejected("v2")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_gateway_the_share_of_pods_is_the_weight() {
    let world = World::start().await;
    let quiet = |version| wine(version).without_gateway().steps(&[(25, 1), (50, 1)]);
    world.apply(&quiet("v1")).await;
    world.until_model(NAME, "v1 serves", 30, |m| m.serves("v1")).await;
    world.apply(&quiet("v2")).await;
    world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    let service = |world: &World| -> DynamicObject {
        let now = world.history.now();
        serde_json::from_value(now.get("Service", NAME).unwrap().clone()).unwrap()
    };
    assert_eq!(service(&world).data["spec"]["selector"]["serin.dev/slot"], "b");
    assert!(world.history.now().all("HTTPRoute").next().is_none());

    world.prometheus.load("wine:v3", Load::BAD);
    world.apply(&quiet("v3")).await;
    world.until_model(NAME, "v3 is rejected", 60, |m| m.rejected("v3")).await;
    assert_eq!(service(&world).data["spec"]["selector"]["serin.dev/slot"], "b");
    world.check_invariants();
}
