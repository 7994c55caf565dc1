//! A PodDisruptionBudget, as the real disruption controller and the real eviction API see it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::{DeleteParams, EvictParams, Patch, PatchParams};
use serde_json::json;
use serin_api::{IntOrString, ModelDeployment, Outcome};
use serin_tests::history::Now;
use serin_tests::{Behaviour, Change as _, NAME, Told as _, World, wine};

fn with_budget(version: &str, max_unavailable: impl Into<Option<IntOrString>>) -> ModelDeployment {
    let mut wanted = wine(version).steps(&[(50, 600)]);
    wanted.spec.availability.max_unavailable = max_unavailable.into();
    wanted
}

fn max_unavailable(now: &Now) -> Option<serde_json::Value> {
    Some(now.get("PodDisruptionBudget", NAME)?["spec"]["maxUnavailable"].clone())
}

/// Of all the pods, those of the candidate too, one may go; the next one has to wait until its successor is ready.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_takes_no_more_pods_than_the_budget_allows() {
    let world = World::start().await;
    world.apply(&with_budget("v1", IntOrString::Int(1))).await;
    world.until_model(NAME, "v1 serves", 30, |m| m.serves("v1")).await;
    world.canary(&with_budget("v2", IntOrString::Int(1))).await;
    let allowed = |pods: i64, number: i64| {
        move |now: &Now| {
            now.get("PodDisruptionBudget", NAME).is_some_and(|budget| {
                let status = &budget["status"];
                status["expectedPods"] == pods && status["disruptionsAllowed"] == number
            })
        }
    };
    let all = i64::try_from(world.pods("v1").len() + world.pods("v2").len()).unwrap();
    world.until("one pod of both versions may go", 60, allowed(all, 1)).await;

    // Successors take their time.
    world.kubelet.script("wine:", Behaviour::Ready(Duration::from_mins(5)));
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    let names = |version: &str| -> Vec<String> {
        let now = world.history.now();
        let of = |pod: &&serde_json::Value| {
            pod["spec"]["containers"][0]["image"].as_str().is_some_and(|image| image.ends_with(version))
        };
        now.all("Pod").filter(of).map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let (stable, candidate) = (names(":v1"), names(":v2"));
    let evict = EvictParams::default();
    pods.evict(&stable[0], &evict).await.unwrap();
    for name in [&stable[1], &candidate[0]] {
        let refused = pods.evict(name, &evict).await.unwrap_err();
        let kube::Error::Api(status) = &refused else { panic!("{refused}") };
        assert_eq!(status.code, 429, "{name}: {refused}");
    }
    world.until("none more may go", 30, allowed(all, 0)).await;
    world.check_invariants();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_budget_follows_the_spec_and_makes_no_new_version() {
    let world = World::start().await;
    world.serve("v1").await;
    world.assert(world.history.now().get("PodDisruptionBudget", NAME).is_none(), "none without a wish");
    let pods = world.pods("v1");

    world.apply(&with_budget("v1", IntOrString::Int(1))).await;
    world.until("a budget of one", 20, |now| max_unavailable(now) == Some(json!(1))).await;
    world.apply(&with_budget("v1", IntOrString::String("50%".to_owned()))).await;
    world.until("a budget of a half", 20, |now| max_unavailable(now) == Some(json!("50%"))).await;

    let budgets: Api<PodDisruptionBudget> = Api::namespaced(world.client.clone(), &world.namespace);
    let edit = Patch::Merge(json!({"spec": {"maxUnavailable": 3}}));
    budgets.patch(NAME, &PatchParams::default(), &edit).await.unwrap();
    world.until("somebody's edit is seen", 20, |now| max_unavailable(now) == Some(json!(3))).await;
    world.until("and put right", 20, |now| max_unavailable(now) == Some(json!("50%"))).await;
    let edit = Patch::Merge(json!({"spec": {"maxUnavailable": null, "minAvailable": 2}}));
    budgets.patch(NAME, &PatchParams::default(), &edit).await.unwrap();
    world.until("the other way round, too", 20, |now| max_unavailable(now) == Some(json!("50%"))).await;
    let least = |now: &Now| now.get("PodDisruptionBudget", NAME).map(|b| b["spec"]["minAvailable"].clone());
    world.assert(least(&world.history.now()) == Some(json!(null)), "and nothing else is left of it");
    budgets.delete(NAME, &DeleteParams::default()).await.unwrap();
    world.until("it is gone", 20, |now| max_unavailable(now).is_none()).await;
    world.until("it comes back", 20, |now| max_unavailable(now) == Some(json!("50%"))).await;

    world.apply(&with_budget("v1", None)).await;
    world.until("none without a wish", 20, |now| max_unavailable(now).is_none()).await;
    assert_eq!(world.pods("v1"), pods);
    let model = world.until_model(NAME, "v1 serves as it did", 20, |m| m.serves("v1")).await;
    assert_eq!(model.outcomes(), [("v1".to_owned(), Outcome::Deployed)]);
    world.check_invariants();
}
