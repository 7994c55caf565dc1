//! A node with room for so many pods: what only counted pods can have is handed from version to version, without a request
//! that fails.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use serin_api::Outcome;
use serin_e2e::{
    Error, client,
    images::Version,
    ring::{PATIENCE, Scene, run, status},
};

/// A resource of the scenario's own, as a device plugin would tell of it, so that others on the node have nothing to do with it
/// (<https://kubernetes.io/docs/tasks/administer-cluster/extended-resource-node/>).
async fn places(scene: &Scene, resource: &str, number: u32) -> Result<(), Error> {
    let nodes: Api<Node> = Api::all(scene.kube.clone());
    let name =
        nodes.list(&ListParams::default()).await?.items.into_iter().next().and_then(|n| n.metadata.name);
    let name = name.ok_or("there is no node")?;
    let capacity = json!({"status": {"capacity": {resource: number.to_string()}}});
    nodes.patch_status(&name, &PatchParams::default(), &Patch::Merge(capacity)).await?;
    client::until("the node has places to give", Duration::from_secs(30), || async {
        let node = nodes.get(&name).await.map_err(|e| e.to_string())?;
        let allocatable = node.status.and_then(|s| s.allocatable).unwrap_or_default();
        match allocatable.get(resource) {
            Some(there) if there.0 == number.to_string() => Ok(()),
            there => Err(format!("{there:?}")),
        }
    })
    .await
}

/// The object in which each pod takes one place.
fn object(scene: &Scene, version: Version, resource: &str) -> Result<Value, Error> {
    let mut wanted = scene.object(version)?;
    wanted["spec"]["server"]["resources"]["requests"][resource] = json!("1");
    wanted["spec"]["server"]["resources"]["limits"] = json!({resource: "1"});
    Ok(wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_with_one_place_to_spare_costs_no_request() {
    run("surge", async |scene| {
        let resource = "surge.serin.dev/place";
        scene.wine.replicas = 3;
        scene.wine.rollout = json!({
            "steps": [{"weight": 33, "holdSeconds": 4}, {"weight": 67, "holdSeconds": 4}],
            "analysis": {"intervalSeconds": 2},
            "maxSurge": 1,
        });
        places(scene, resource, 4).await?;
        scene.begin_with(&object(scene, Version::V1, resource)?).await?;
        let load = scene.load(100)?;
        scene.put(&object(scene, Version::V2, resource)?).await?;
        let tested = status(&scene.canary("v2").await?).candidate.ok_or("no candidate")?.revision;
        let before = scene.pods_of(&tested).await?;
        scene.ended("v2", Outcome::Promoted).await?;
        scene.serves("v2").await?;
        scene.settled().await?;
        let after = scene.pods_of(&tested).await?;
        assert!(before.keys().all(|uid| after.contains_key(uid)), "{before:?}, {after:?}");
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn room_that_is_made_costs_no_request_and_a_bad_version_gives_it_back() {
    run("room", async |scene| {
        let resource = "room.serin.dev/place";
        scene.wine.replicas = 3;
        scene.wine.rollout = json!({
            "steps": [{"weight": 33, "holdSeconds": 4}, {"weight": 67, "holdSeconds": 4}],
            "analysis": {"intervalSeconds": 2},
            "whenUnschedulable": "MakeRoom",
            "deadlines": {"unschedulableSeconds": 10},
        });
        places(scene, resource, 3).await?;
        scene.begin_with(&object(scene, Version::V1, resource)?).await?;
        let load = scene.load(100)?;
        scene.put(&object(scene, Version::V2, resource)?).await?;
        scene.until("room is made", |_, s| s.candidate.as_ref().is_some_and(|c| c.fits == Some(3))).await?;
        scene.ended("v2", Outcome::Promoted).await?;
        scene.serves("v2").await?;
        scene.settled().await?;

        // A third of the requests to it fail, at a weight for which pods were given up.
        scene.put(&object(scene, Version::BadFeatures, resource)?).await?;
        scene.ended(Version::BadFeatures.label(), Outcome::RolledBack).await?;
        client::until("all pods of v2 are back", PATIENCE, || async {
            let pods = scene.stable_pods().await.map_err(|e| e.to_string())?;
            let stable =
                scene.status().await.map_err(|e| e.to_string())?.stable.ok_or("nothing is stable")?;
            let ready = scene.ready_pods(&stable.revision).await.map_err(|e| e.to_string())?;
            if ready == 3 && pods.len() == 3 { Ok(()) } else { Err(format!("{ready} of {}", pods.len())) }
        })
        .await?;
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[Version::BadFeatures])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}
