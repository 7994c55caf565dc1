//! A route that the user owns: only our two weights change in it, whatever the user does to the rest meanwhile.

use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, PostParams};
use serde_json::{Value, json};
use serin_api::conditions::Type;
use serin_api::{HttpRouteRef, ModelDeployment, Reason, Traffic};
use serin_tests::{Call, Change as _, NAME, Told as _, World, wine};

const ROUTE: &str = "shop";

/// A version behind the user's route.
fn behind(version: &str) -> ModelDeployment {
    let mut wanted = wine(version);
    let http_route = Some(HttpRouteRef { name: ROUTE.to_owned(), rule: None });
    wanted.spec.traffic = Traffic { gateway: None, http_route };
    wanted
}

fn rule(backends: &[(&str, i64)]) -> Value {
    let backends = backends.iter().map(|(name, weight)| json!({"name": name, "port": 80, "weight": weight}));
    json!({
        "matches": [{"path": {"type": "PathPrefix", "value": "/predict"}, "method": "POST"}],
        "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "X-From", "value": "shop"}]}}],
        "timeouts": {"request": "30s"},
        "backendRefs": backends.collect::<Vec<_>>(),
    })
}

fn other(path: &str) -> Value {
    json!({
        "matches": [{"path": {"type": "Exact", "value": path}}],
        "backendRefs": [{"name": "cellar", "port": 80, "weight": 7}],
    })
}

fn ours() -> Value {
    rule(&[("wine-b", 0), ("cellar", 0), ("wine-a", 1)])
}

async fn make(world: &World, rules: Value) -> DynamicObject {
    let route: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": ROUTE, "labels": {"team": "shop"}},
        "spec": {"parentRefs": [{"name": "front"}], "hostnames": ["shop.example"], "rules": rules},
    }))
    .unwrap();
    world.routes().create(&PostParams::default(), &route).await.unwrap()
}

/// Changes the route as a person's tool does: read, change, write, and again if somebody else was faster.
async fn edit(world: &World, change: impl Fn(&mut DynamicObject)) {
    loop {
        let mut route = world.routes().get(ROUTE).await.unwrap();
        change(&mut route);
        match world.routes().replace(ROUTE, &PostParams::default(), &route).await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// The Service that the route's other backends lead to.
async fn cellar(world: &World) {
    let services: Api<Service> = Api::namespaced(world.client.clone(), &world.namespace);
    let service = json!({"metadata": {"name": "cellar"}, "spec": {"ports": [{"port": 80}]}});
    services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
}

/// The spec with our weights taken out, and the weights of a and b.
fn parts(route: &DynamicObject) -> (Value, Option<i64>, Option<i64>) {
    let (mut spec, mut weights) = (route.data["spec"].clone(), [None, None]);
    for rule in spec["rules"].as_array_mut().unwrap() {
        for backend in rule["backendRefs"].as_array_mut().into_iter().flatten() {
            for (i, name) in ["wine-a", "wine-b"].iter().enumerate() {
                if backend["name"] == *name {
                    weights[i] = backend["weight"].as_i64();
                    backend["weight"] = Value::Null;
                }
            }
        }
    }
    (spec, weights[0], weights[1])
}

fn unusable(word: &'static str) -> impl FnMut(&ModelDeployment) -> bool {
    move |m| {
        m.condition(Type::Stalled) == ("True".to_owned(), Reason::RouteUnusable.as_str().to_owned())
            && m.message(Type::Stalled).contains(word)
    }
}

fn patches(world: &World, mark: usize) -> usize {
    world.proxy.calls().count(mark, |call: &Call| call.resource == "httproutes" && call.verb == "patch")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_our_weights_change_in_a_whole_rollout() {
    let world = World::start().await;
    cellar(&world).await;
    let before = parts(&make(&world, json!([other("/cellar"), ours()])).await).0;
    world.apply(&behind("v1")).await;
    world.until_model(NAME, "v1 serves", 60, |m| m.serves("v1")).await;
    let (spec, a, b) = parts(&world.routes().get(ROUTE).await.unwrap());
    assert_eq!((spec, a, b), (before.clone(), Some(100), Some(0)));
    world.apply(&behind("v2")).await;
    let model = world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    assert_eq!(model.status.unwrap().traffic.unwrap().route.as_deref(), Some(ROUTE));
    world.settled(Duration::from_secs(2)).await;
    let route = world.routes().get(ROUTE).await.unwrap();
    assert_eq!(parts(&route), (before.clone(), Some(0), Some(100)));
    assert_eq!(route.metadata.labels.unwrap().len(), 1);
    let calls = world.proxy.calls().all();
    let wrong = calls.iter().find(|c| c.resource == "httproutes" && c.is_write() && c.verb != "patch");
    assert!(wrong.is_none(), "neither made nor removed: {wrong:?}");

    // Somebody who deletes the ModelDeployment keeps the route.
    world.delete(NAME).await;
    world.until("the pods are gone", 30, |_| world.pods("v2").is_empty()).await;
    assert_eq!(parts(&world.routes().get(ROUTE).await.unwrap()).0, before);
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_of_the_user_are_never_lost() {
    let world = World::start().await;
    cellar(&world).await;
    make(&world, json!([ours()])).await;
    world.apply(&behind("v1")).await;
    world.until_model(NAME, "v1 serves", 60, |m| m.serves("v1")).await;
    world.apply(&behind("v2")).await;
    // A rule more in front of ours each time, so that ours is never where it was.
    for i in 0..12 {
        edit(&world, |route| {
            let rules = route.data["spec"]["rules"].as_array_mut().unwrap();
            rules.insert(0, other(&format!("/{i}")));
        })
        .await;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    let route = world.routes().get(ROUTE).await.unwrap();
    let rules = route.data["spec"]["rules"].as_array().unwrap();
    let paths: Vec<&str> =
        rules.iter().map(|rule| rule["matches"][0]["path"]["value"].as_str().unwrap()).collect();
    let expected: Vec<String> =
        (0..12).rev().map(|i| format!("/{i}")).chain(["/predict".to_owned()]).collect();
    assert_eq!(paths, expected);
    assert_eq!(rules[0]["backendRefs"][0]["weight"], 7);
    let (_, a, b) = parts(&route);
    assert_eq!((a, b), (Some(0), Some(100)));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn route_that_cannot_be_used_is_said_with_what_to_change() {
    let world = World::start().await;
    cellar(&world).await;
    world.apply(&behind("v1")).await;
    world.until_model(NAME, "there is no route", 30, unusable("does not exist")).await;
    make(&world, json!([other("/cellar")])).await;
    world.until_model(NAME, "no rule is ours", 30, unusable("wine-a and wine-b")).await;
    let rules = |rules: Value| move |route: &mut DynamicObject| route.data["spec"]["rules"] = rules.clone();
    edit(&world, rules(json!([rule(&[("wine-a", 1)])]))).await;
    world.until_model(NAME, "half a rule is ours", 30, unusable("only one of")).await;
    edit(&world, rules(json!([ours(), ours()]))).await;
    world.until_model(NAME, "two rules are ours", 30, unusable("traffic.httpRoute.rule")).await;
    assert!(world.pods("v1").is_empty(), "nothing is begun without a route");
    edit(&world, rules(json!([ours()]))).await;
    world.until_model(NAME, "v1 serves", 60, |m| m.serves("v1")).await;

    // Lost in mid-canary: what runs goes on running, and its weight comes back with the route.
    world.canary(&behind("v2").steps(&[(10, 600)])).await;
    world.routes().delete(ROUTE, &DeleteParams::default()).await.unwrap();
    world.until_model(NAME, "the route is gone", 30, unusable("does not exist")).await;
    assert_eq!((world.pods("v1").len(), world.pods("v2").len()), (3, 1));
    make(&world, json!([ours()])).await;
    let goes_on = |_: &serin_tests::Now| world.model(NAME).condition(Type::Stalled).0 == "False";
    world.until("it goes on", 30, goes_on).await;
    world.settled(Duration::from_secs(2)).await;
    let (_, a, b) = parts(&world.routes().get(ROUTE).await.unwrap());
    assert_eq!((a, b), (Some(90), Some(10)));
    // Another way for the traffic is refused, in words.
    let error = world.try_apply(&wine("v2")).await.unwrap_err().to_string();
    assert!(error.contains("cannot be added"), "{error}");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_that_somebody_sets_back_are_not_fought_about() {
    let world = World::start().await;
    cellar(&world).await;
    make(&world, json!([ours()])).await;
    world.apply(&behind("v1")).await;
    world.until_model(NAME, "v1 serves", 60, |m| m.serves("v1")).await;
    world.settled(Duration::from_secs(2)).await;
    let mark = world.proxy.calls().mark();
    for _ in 0..20 {
        edit(&world, |route| {
            route.data["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(40);
            route.data["spec"]["rules"][0]["backendRefs"][2]["weight"] = json!(60);
        })
        .await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let written = patches(&world, mark);
    world.assert((1..=3).contains(&written), &format!("{written} writes in a fight of six seconds"));
    let said = |m: &ModelDeployment| m.condition(Type::Progressing).1 == Reason::TrafficMismatch.as_str();
    let model = world.until_model(NAME, "it is said", 20, said).await;
    assert!(
        model.message(Type::Progressing).contains("HTTPRoute shop back"),
        "{}",
        model.message(Type::Progressing)
    );
    world.until_model(NAME, "and put right in the end", 60, |m| m.serves("v1") && !said(m)).await;
    let (_, a, b) = parts(&world.routes().get(ROUTE).await.unwrap());
    assert_eq!((a, b), (Some(100), Some(0)));
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn route_of_a_deleted_deployment_goes_back_to_what_served() {
    let world = World::start().await;
    cellar(&world).await;
    make(&world, json!([ours()])).await;
    world.apply(&behind("v1")).await;
    world.until_model(NAME, "v1 serves", 60, |m| m.serves("v1")).await;
    world.canary(&behind("v2").steps(&[(10, 600)])).await;
    // It stays until its pods are gone.
    world.kubelet.take_to_end(Duration::from_secs(3));
    world.models().delete(NAME, &DeleteParams::foreground()).await.unwrap();
    world.until("it is gone", 60, |now| now.model(NAME).is_none()).await;
    let (_, a, b) = parts(&world.routes().get(ROUTE).await.unwrap());
    assert_eq!((a, b), (Some(100), Some(0)));
    world.check_invariants();
}
