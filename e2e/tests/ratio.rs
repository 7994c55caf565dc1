//! Without a gateway: one Service, and the share of pods is the weight.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use k8s_openapi::api::core::v1::Service;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use serin_api::{Outcome, TrafficMode};
use serin_e2e::{
    Error, client,
    images::Version,
    load::{Counts, Load},
    ring::{Scene, run, status},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_good_version_takes_over_behind_one_service() {
    run("ratio", async |scene| {
        scene.wine.host = None;
        scene.wine.replicas = 2;
        scene.wine.rollout = json!({
            "steps": [{"weight": 33, "holdSeconds": 4}, {"weight": 50, "holdSeconds": 4}],
            "analysis": {"intervalSeconds": 2},
        });
        scene.begin().await?;
        let port = open(scene).await?;
        scene.reachable(port, "wine").await?;
        let enough = AtomicBool::new(false);
        let story = async {
            // Whatever happens, the load ends.
            let outcome = promote(scene).await;
            enough.store(true, Ordering::Relaxed);
            outcome
        };
        let (load, story) = tokio::join!(bursts(scene, port, &enough), story);
        story?;
        let counts = load?;
        let [v1, v2] =
            [Version::V1, Version::V2].map(|v| scene.ring.built.model(v).map(|m| counts.of(&m.digest)));
        let (v1, v2) = (v1?, v2?);
        eprintln!("behind one Service: {} requests to v1, {} to v2", v1.total, v2.total);
        assert!(v1.total > 0 && v2.total > 0, "{counts:?}");
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}

async fn promote(scene: &Scene) -> Result<(), Error> {
    scene.apply(Version::V2).await?;
    let md = scene.canary("v2").await?;
    assert_eq!(status(&md).traffic.map(|t| t.mode), Some(TrafficMode::ReplicaRatio));
    let v2 = status(&md).candidate.ok_or("no candidate")?.revision;
    let before = scene.pods_of(&v2).await?;
    scene.ended("v2", Outcome::Promoted).await?;
    scene.serves("v2").await?;
    scene.settled().await?;
    let after = scene.pods_of(&v2).await?;
    assert!(before.keys().all(|uid| after.contains_key(uid)), "tested pods serve on: {before:?}, {after:?}");
    Ok(())
}

/// Makes the Service reachable from the node, as a user would: its type is not Serin's affair.
async fn open(scene: &Scene) -> Result<u16, Error> {
    let api: Api<Service> = Api::namespaced(scene.kube.clone(), &scene.wine.namespace);
    let body = json!({"spec": {"type": "NodePort"}});
    api.patch(&scene.wine.name, &PatchParams::default(), &Patch::Merge(body)).await?;
    client::until("a port of the node", Duration::from_secs(10), || async {
        let service = api.get(&scene.wine.name).await.map_err(|e| e.to_string())?;
        let port = service.spec.and_then(|s| s.ports?.first()?.node_port);
        port.and_then(|p| u16::try_from(p).ok()).ok_or_else(|| "none yet".to_owned())
    })
    .await
}

/// Load in short runs: a connection stays with the pod that it was made to, and only new ones are divided anew.
async fn bursts(scene: &Scene, port: u16, enough: &AtomicBool) -> Result<Counts, Error> {
    let report = scene.report()?;
    let mut sum = Counts::default();
    while !enough.load(Ordering::Relaxed) {
        let burst = Load::start_at(&scene.ring.bed, &scene.ring.built, port, "wine", 100, 1, &report)?;
        sum.add(&burst.finish().await?);
    }
    Ok(sum)
}
