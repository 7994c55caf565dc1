//! Nodes are drained by evicting their pods, whatever Serin is at.

use std::sync::atomic::{AtomicU32, Ordering};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::EvictParams};
use serde_json::json;
use serin_api::Outcome;
use serin_e2e::{
    client,
    images::Version,
    ring::{PATIENCE, run, status},
};

/// Every pod of both versions is evicted, one after the other, as `kubectl drain` would: it asks again for as long as the
/// budget does not allow it. The candidate has two: with its only pod the share of it that is under way would go, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_in_mid_canary_costs_no_request_and_no_rollout() {
    run("drain", async |scene| {
        scene.wine.replicas = 3;
        scene.wine.rollout = json!({
            "steps": [{"weight": 50, "holdSeconds": 20}], "analysis": {"intervalSeconds": 2},
        });
        scene.begin().await?;
        let load = scene.load(100)?;
        let mut wanted = scene.object(Version::V2)?;
        wanted["spec"]["availability"]["maxUnavailable"] = json!(1);
        scene.put(&wanted).await?;
        let tried = status(&scene.canary("v2").await?);
        let stable = tried.stable.ok_or("nothing is stable")?.revision;
        let candidate = tried.candidate.ok_or("no candidate")?.revision;

        let pods: Api<Pod> = Api::namespaced(scene.kube.clone(), &scene.wine.namespace);
        let mut names = scene.names_of(&stable).await?;
        names.extend(scene.names_of(&candidate).await?);
        assert_eq!(names.len(), 5, "three, and two for half of the traffic: {names:?}");
        let refused = AtomicU32::new(0);
        for name in names {
            client::until(&format!("{name} may go"), PATIENCE, || async {
                pods.evict(&name, &EvictParams::default()).await.map(drop).map_err(|error| {
                    refused.fetch_add(1, Ordering::Relaxed);
                    error.to_string()
                })
            })
            .await?;
        }
        assert!(refused.into_inner() >= 3, "each of them but the first has to wait for a successor");
        scene.ended("v2", Outcome::Promoted).await?;
        scene.serves("v2").await?;
        scene.settled().await?;
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}
