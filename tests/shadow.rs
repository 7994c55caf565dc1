//! Shadows: copies of requests by a filter in the route, which no gateway gets that is not known to make copies.

use std::time::Duration;

use serde_json::{Value, json};
use serin_api::conditions::Type;
use serin_api::{ModelDeployment, Outcome, Promotion, Reason, Shadow, Strategy, Verdict};
use serin_tests::{Call, Change as _, Load, NAME, Told as _, World, wine};

const ALL: &str = "HTTPRouteRequestMirror";
const PART: &str = "HTTPRouteRequestPercentageMirror";

/// A version that is tried on copies of so many percent of the requests.
pub fn shadow(version: &str, mirror_percent: i32, promotion: Promotion) -> ModelDeployment {
    let mut wanted = wine(version).steps(&[]);
    wanted.spec.rollout.strategy = Strategy::Shadow;
    wanted.spec.rollout.shadow = Some(Shadow { mirror_percent, hold_seconds: 1, promotion });
    wanted
}

/// Each different (percent of copies, weights) of the route since there was one.
fn told(world: &World) -> Vec<(Option<i64>, i64, i64)> {
    let mut all = Vec::new();
    for change in world.history.all().iter().filter(|c| c.kind == "HTTPRoute" && c.name == NAME && !c.gone) {
        let weights = serin_tests::invariants::weights(&change.object);
        let copies = serin_tests::invariants::copies(&change.object).map(|(_, percent)| percent);
        let now = (copies, weights["a"], weights["b"]);
        if all.last() != Some(&now) {
            all.push(now);
        }
    }
    all
}

fn asks(world: &World, mark: usize) -> usize {
    let gateway = |call: &Call| call.resource == "gateways" || call.resource == "gatewayclasses";
    world.proxy.calls().count(mark, gateway)
}

fn unsupported(word: &'static str) -> impl FnMut(&ModelDeployment) -> bool {
    move |m| {
        m.condition(Type::Stalled) == ("True".to_owned(), Reason::MirrorUnsupported.as_str().to_owned())
            && m.message(Type::Stalled).contains(word)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_shadow_takes_over_with_the_pods_that_were_tested() {
    let world = World::start().await;
    world.gateway_can(&[ALL, PART]).await;
    world.serve("v1").await;
    let mark = world.proxy.calls().mark();
    world.apply(&shadow("v2", 40, Promotion::OnEvidence)).await;
    world.until("v2 gets copies", 60, |_| world.copies(NAME) == Some(("b".to_owned(), 40))).await;
    let pods = world.pods("v2");
    assert_eq!(pods.len(), 2, "40 % of three pods' work");
    let model = world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    assert_eq!(model.outcomes()[0], ("v2".to_owned(), Outcome::Promoted));
    assert!(world.pods("v2").is_superset(&pods), "with the pods that were tested");
    world.assert(
        told(&world) == [(None, 100, 0), (Some(40), 100, 0), (None, 0, 100)],
        &format!("{:?}", told(&world)),
    );
    let trial = model.status.unwrap().history[0].trial.clone().unwrap();
    assert_eq!(trial.weights.iter().map(|w| (w.weight, w.mirror_percent)).collect::<Vec<_>>(), [(0, 40)]);
    world
        .assert(asks(&world, mark) == 2, &format!("one Gateway and its class, once: {}", asks(&world, mark)));
    world.settled(Duration::from_secs(2)).await;
    let why = world.kubectl_serin(&["history", NAME]).await.unwrap();
    assert!(why.contains("Promoted"), "{why}");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn person_promotes_a_shadow_that_is_good_enough() {
    let world = World::start().await;
    world.gateway_can(&[ALL]).await;
    world.serve("v1").await;
    world.apply(&shadow("v2", 100, Promotion::ByHand)).await;
    let good = |m: &ModelDeployment| {
        let verdict = m.status.as_ref().and_then(|status| status.verdict);
        verdict == Some(Verdict::Pass) && m.condition(Type::Progressing).1 == Reason::Paused.as_str()
    };
    let model = world.until_model(NAME, "v2 is good enough", 60, good).await;
    let message = model.message(Type::Progressing);
    assert!(message.contains("copies of 100 % of the requests") && message.contains("promote"), "{message}");
    // The Event comes after the status, and before the next look.
    world.looks(1, 60).await;
    let mark = world.proxy.calls().mark();
    world.looks(5, 60).await;
    world.assert(world.proxy.calls().count(mark, Call::is_write) == 0, "it waits and writes nothing");
    let got = world.kubectl_serin(&["get", NAME]).await.unwrap();
    assert!(got.contains("copies   100 %") && got.contains("Pass"), "{got}");
    let pods = world.pods("v2");
    world.kubectl_serin(&["promote", NAME]).await.unwrap();
    world.until_model(NAME, "v2 serves", 30, |m| m.serves("v2")).await;
    assert_eq!(world.pods("v2"), pods, "with the pods that were tested");
    world.assert(world.copies(NAME).is_none(), "no copies any more");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_shadow_goes_and_never_answered_anybody() {
    let world = World::start().await;
    world.gateway_can(&[ALL]).await;
    world.serve("v1").await;
    let pods = world.pods("v1");
    world.prometheus.load("wine:v2", Load::BAD);
    world.apply(&shadow("v2", 100, Promotion::OnEvidence)).await;
    let model = world.until_model(NAME, "v2 is rejected", 60, |m| m.rejected("v2")).await;
    assert_eq!(model.status.unwrap().last_failed.unwrap().reason, Reason::AnalysisFailed.as_str());
    world.until("v2's pods are gone", 60, |_| world.pods("v2").is_empty()).await;
    world.assert(
        told(&world) == [(None, 100, 0), (Some(100), 100, 0), (None, 100, 0)],
        &format!("{:?}", told(&world)),
    );
    assert_eq!(world.pods("v1"), pods);
    let mark = world.proxy.calls().mark();
    world.settled(Duration::from_secs(2)).await;
    assert_eq!(asks(&world, mark), 0, "nobody is asked at rest");
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_that_is_not_known_to_copy_gets_no_filter() {
    let mut world = World::start().await;
    world.serve("v1").await;
    let mark = world.proxy.calls().mark();
    world.apply(&shadow("v2", 40, Promotion::OnEvidence)).await;
    world.until_model(NAME, "there is no Gateway", 30, unsupported("does not exist")).await;
    let routes = |call: &Call| call.resource == "httproutes" && call.is_write();
    world.assert(world.proxy.calls().count(mark, routes) == 0, "nothing is written to the route");
    world.assert(world.pods("v2").is_empty(), "and no pod was started");
    assert_eq!(world.model(NAME).condition(Type::Ready).0, "True");

    // Who starts anew asks anew: a class that says nothing, and one that says too little.
    for (features, word) in [(&["HTTPRoute"][..], ALL), (&[ALL][..], PART)] {
        world.gateway_can(features).await;
        world.operator().stop().await;
        world.operator().spawn();
        world.until_model(NAME, &format!("{word} is missing"), 30, unsupported(word)).await;
    }
    world.assert(world.proxy.calls().count(mark, routes) == 0, "still nothing is written to the route");

    // An administrator knows better.
    world.operator().stop().await;
    let trusted = format!("--mirroring-gateways={}/front", world.namespace);
    world.operator.as_mut().unwrap().launch_mut().extra.push(trusted);
    world.operator().spawn();
    world.until_model(NAME, "v2 serves", 60, |m| m.serves("v2")).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_that_a_stranger_asks_for_do_not_last() {
    let world = World::start().await;
    world.serve("v1").await;
    let mut rules = world.routes().get(NAME).await.unwrap().data["spec"]["rules"].clone();
    let to = json!({"group": "", "kind": "Service", "name": "wine-b", "port": 80});
    rules[0]["filters"] = json!([{"type": "RequestMirror", "requestMirror": {"backendRef": to}}]);
    let edited = world.edit_route(json!({"rules": rules})).await.unwrap();
    assert_ne!(edited.data["spec"]["rules"][0]["filters"], Value::Null);
    world.until("the copies end", 30, |_| world.copies(NAME).is_none()).await;
    world.settled(Duration::from_secs(1)).await;
    world.check_invariants();
}
