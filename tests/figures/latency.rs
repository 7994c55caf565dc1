//! From the change of a spec to its child Deployment, one change at a time.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams, PostParams};
use serin_tests::{Change as _, Told as _, World, wine};

use crate::bare::Bare;
use crate::births::births;
use crate::table::{Table, Times};

/// Changes of each sort.
const CHANGES: usize = 100;
/// Between two changes, so that each meets an idle operator and an idle apiserver: what follows from a change (the rest of
/// the children, what the built-in controllers make of them, the status) is some twenty requests more.
const PAUSE: Duration = Duration::from_millis(400);

pub async fn measure(table: &mut Table) {
    let mut world = World::without_operator().await;
    world.operator = Some(serin_tests::operator::Operator::start(world.direct_launch().await));
    let other = World::without_operator().await;
    let bare = Bare { client: world.client.clone(), namespace: other.namespace.clone() };

    // The bare client's objects live where no operator looks.
    let mut born = births::<Deployment>(&world.client, &world.namespace).await;
    let mut born_bare = births::<Deployment>(&other.client, &other.namespace).await;
    let (mut created, mut changed, mut yardstick) = (Times::default(), Times::default(), Times::default());
    let object = |version: &str, n: usize| wine(version).named(&format!("wine-{n}")).replicas(0);
    // The first ones warm connections and caches up.
    for n in 0..CHANGES + 5 {
        let started = Instant::now();
        world.models().create(&PostParams::default(), &object("v1", n)).await.unwrap();
        let time = born.recv().await.unwrap().at - started;
        tokio::time::sleep(PAUSE).await;

        let started = Instant::now();
        let made = other.models().create(&PostParams::default(), &object("v1", n)).await.unwrap();
        bare.deployment(&made).await;
        let bare_time = born_bare.recv().await.unwrap().at - started;
        if n >= 5 {
            created.push(time);
            yardstick.push(bare_time);
        }
        tokio::time::sleep(PAUSE).await;
    }
    for n in 0..CHANGES {
        let name = format!("wine-{n}");
        world.until_model(&name, "it serves", 60, |m| m.serves("v1")).await;
        tokio::time::sleep(PAUSE).await;
        let started = Instant::now();
        let params = PatchParams::apply("user").force();
        world.models().patch(&name, &params, &Patch::Apply(object("v2", n))).await.unwrap();
        changed.push(born.recv().await.unwrap().at - started);
    }
    let goal = "5 / 20 ms";
    table.add("POST -> child Deployment seen, p50 / p99", created.told(), goal, yardstick.told());
    table.add("PATCH -> next Deployment seen, p50 / p99", changed.told(), goal, "as above");
}
