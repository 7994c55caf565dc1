//! Whole rollouts: the first one, a good one, a bad one, one that never becomes ready; and what they cost.

use std::collections::BTreeSet;

use serin_api::Outcome;
use serin_api::conditions::Type;
use serin_tests::{Behaviour, Call, Load, NAME, Told as _, World, wine};

/// Names of the pods of a version, by image.
fn pods_of(world: &World, version: &str) -> BTreeSet<String> {
    let image = serin_tests::fixtures::image(version);
    let now = world.history.now();
    let of_version = now.all("Pod").filter(|pod| pod["spec"]["containers"][0]["image"] == image.as_str());
    of_version.map(|pod| pod["metadata"]["uid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_version_serves_as_soon_as_a_pod_is_ready() {
    let world = World::start().await;
    world.apply(&wine("v1")).await;
    let model = world.until_model(NAME, "v1 serves with all its pods", 20, |m| m.serves("v1")).await;
    assert_eq!(model.outcomes(), [("v1".to_owned(), Outcome::Deployed)]);
    assert_eq!(model.condition(Type::Stalled).0, "False");
    assert_eq!(model.condition(Type::ArtifactVerified).0, "True");
    assert_eq!(pods_of(&world, "v1").len(), 3);
    world.check_invariants();
}
