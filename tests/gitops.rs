//! A controller of Git's contents applies the same object for ever.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use serin_api::conditions::Type;
use serin_tests::{Change as _, Load, NAME, Told as _, World, image, wine};

/// How often it applies.
const EVERY: Duration = Duration::from_secs(10);
/// For how long.
const FOR: Duration = Duration::from_mins(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_spec_that_is_applied_for_minutes_costs_nothing() {
    let world = World::start().await;
    world.serve("v1").await;
    world.prometheus.load("wine:v2", Load::BAD);
    let mut wanted = wine("v2").steps(&[(10, 5), (50, 5)]);
    world.canary(&wanted).await;
    world.until_model(NAME, "v2 is rejected", 30, |m| m.rejected("v2")).await;
    world.until("v2 is removed", 20, |_| world.pods("v2").is_empty()).await;
    world.settled(Duration::from_secs(2)).await;

    let before = world.model(NAME);
    let (pods, steps) = (world.pods("v1"), world.steps(NAME));
    let (mark, start) = (world.proxy.calls().mark(), Instant::now());
    let mut due = tokio::time::interval(EVERY);
    let manager = PatchParams::apply("gitops").force();
    let mut applied = 0;
    while start.elapsed() < FOR {
        due.tick().await;
        applied += 1;
        // Its own mark makes each one a new version of the object, with the same spec.
        let synced = ("gitops.example/synced".to_owned(), applied.to_string());
        wanted.metadata.annotations = Some(BTreeMap::from([synced]));
        world.models().patch(NAME, &manager, &Patch::Apply(&wanted)).await.unwrap();
        let last = applied.to_string();
        let seen = |m: &serin_api::ModelDeployment| {
            m.metadata.annotations.as_ref().and_then(|a| a.get("gitops.example/synced")) == Some(&last)
        };
        world.until_model(NAME, "it is applied", 10, seen).await;
    }
    world.settled(Duration::from_secs(2)).await;

    let cost = world.cost_since(mark);
    world.assert(applied >= 30, &format!("applied {applied} times"));
    world.assert(cost.writes.is_empty() && cost.events == 0, &format!("{applied} applies cost: {cost}"));
    let after = world.model(NAME);
    assert_eq!(after.metadata.generation, before.metadata.generation, "the spec is the same");
    let status = |m: &serin_api::ModelDeployment| serde_json::to_value(&m.status).unwrap();
    assert_eq!(status(&after), status(&before), "the status keeps the evidence");
    let failed = after.status.as_ref().unwrap().last_failed.clone().unwrap();
    assert_eq!((failed.version.as_str(), failed.reason.as_str()), ("v2", "AnalysisFailed"));
    assert!(!failed.message.is_empty() && !failed.evidence.is_empty(), "{failed:?}");
    assert!(after.message(Type::Stalled).contains(&failed.message), "{}", after.message(Type::Stalled));
    assert_eq!(after.outcomes().len(), 2);
    let tried = image("v2");
    let is_new = |c: &serin_tests::history::Change| {
        c.kind == "Pod" && c.at > start && c.object["spec"]["containers"][0]["image"] == tried.as_str()
    };
    world.assert(!world.history.all().iter().any(is_new), "v2 is not started");
    assert_eq!((world.pods("v1"), world.steps(NAME)), (pods, steps));
    world.check_invariants();
}
