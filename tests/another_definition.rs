//! What the operator does where the definitions in the cluster are looser than its own, as after an upgrade of one and not
//! of the other: it refuses by itself, and an object that it cannot read blinds nobody.

use std::time::Duration;

use serde_json::{Value, json};
use serin_api::ModelDeployment;
use serin_api::conditions::Type;
use serin_tests::{Change as _, NAME, Told as _, World, wine};

use crate::refusals::{changed, corpus, with_name};

fn stalled(model: &ModelDeployment) -> bool {
    model.condition(Type::Stalled) == ("True".into(), "InvalidSpec".into()) && model.is_current()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operator_refuses_what_a_looser_definition_lets_in() {
    let mut world = World::with_loose_definitions().await;
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
    let mut world = World::with_loose_definitions().await;
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
    let mut world = World::with_loose_definitions().await;
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
