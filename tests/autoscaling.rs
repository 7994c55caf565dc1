//! An autoscaler owns the number of pods: the real one of Kubernetes, on the scale subresource of the ModelDeployment. It
//! has no metrics here, but its bounds.

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use serin_tests::{Change as _, NAME, Told as _, World, invariants, manifests, wine};

/// The object as Git has it where an autoscaler is: without replicas.
fn without_replicas(version: &str) -> Value {
    let mut object = serde_json::to_value(wine(version).steps(&[(25, 90), (50, 1)])).unwrap();
    object["spec"].as_object_mut().unwrap().remove("replicas");
    object
}

fn bounds(min: i32, max: i32) -> Value {
    json!({"spec": {"minReplicas": min, "maxReplicas": max}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn autoscaler_goes_up_and_down_during_a_step() {
    let world = World::start().await;
    world.try_apply_raw(&without_replicas("v1")).await.unwrap();
    world.until_model(NAME, "v1 serves", 30, |m| m.serves("v1")).await;

    let autoscalers = world.autoscalers();
    // As the example has it, from four to twenty.
    let wanted = manifests::of_kind("deploy/examples", "HorizontalPodAutoscaler").remove(0);
    let wanted = serde_json::from_value(wanted).unwrap();
    autoscalers.create(&PostParams::default(), &wanted).await.unwrap();
    let pods = |slot: &'static str, number: i64| {
        move |now: &serin_tests::history::Now| invariants::available(now, NAME, slot) == number
    };
    world.until("four pods of v1", 60, pods("a", 4)).await;

    world.try_apply_raw(&without_replicas("v2")).await.unwrap();
    let model = world
        .until_model(NAME, "v2 has a quarter", 30, |m| m.tries("v2").is_some_and(|c| c.weight == 25))
        .await;
    assert_eq!(model.spec.replicas, 4, "an apply without replicas leaves them to their owner");
    let scaled = async |min, max| {
        let patch = Patch::Merge(bounds(min, max));
        autoscalers.patch(NAME, &PatchParams::default(), &patch).await.unwrap();
    };
    scaled(20, 20).await;
    world.until("twenty pods of v1", 60, pods("a", 20)).await;
    world.until("a quarter of them of v2", 20, pods("b", 5)).await;
    scaled(4, 4).await;
    world.until("four pods of v1 again", 60, pods("a", 4)).await;
    world.assert(world.steps(NAME) == [25], &format!("{:?}", world.steps(NAME)));

    // Nothing of it stands in the way of the promotion.
    world.until_model(NAME, "v2 serves", 120, |m| m.serves("v2")).await;
    assert_eq!(world.pods("v2").len(), 4);
    world.check_invariants();
}
