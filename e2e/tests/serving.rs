//! The first version, from wherever its file comes.

use std::time::Duration;

use serde_json::json;
use serin_api::{
    Outcome,
    conditions::{self, Type},
};
use serin_e2e::{
    client,
    images::{self, Version},
    ring::{run, status},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_version_serves_the_file_that_was_asked_for() {
    run("first", async |scene| {
        scene.begin().await?;
        let md = scene.ended("v1", Outcome::Deployed).await?;
        let conditions = status(&md).conditions;
        assert!(conditions::is_true(&conditions, Type::ArtifactVerified), "{conditions:?}");
        assert!(!conditions::is_true(&conditions, Type::Stalled), "{conditions:?}");
        let load = scene.load(50)?;
        scene.answers(&load, Version::V1).await?;
        let counts = load.stop().await?;
        // The server itself hashes the file that it loaded and signs each answer with it.
        let v1 = counts.of(&scene.ring.built.model(Version::V1)?.digest);
        assert_eq!((v1.total, v1.failed()), (counts.sent, 0), "{counts:?}");
        let cost = scene.cost()?;
        assert!(cost.writes.len() <= 7, "a first version takes few writes: {cost}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_a_claim_serves_as_well() {
    run("claim", async |scene| {
        if scene.ring.bed.is_external() {
            eprintln!("skipped: the nodes of a given cluster do not have the file");
            return Ok(());
        }
        let folder = images::target().join("e2e/models");
        let claim =
            CLAIM.replace("NAMESPACE", &scene.wine.namespace).replace("FOLDER", &folder.to_string_lossy());
        client::apply(&scene.ring.bed, &claim)?;
        let mut object = scene.object(Version::V1)?;
        object["spec"]["model"]["artifact"]["uri"] = json!("pvc://models/v1");
        scene.begin_with(&object).await?;
        let load = scene.load(20)?;
        scene.answers(&load, Version::V1).await?;
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        scene.delete().await?;
        let volume = scene.wine.namespace.clone();
        let gone = scene.ring.bed.kubectl().args(["delete", "pv", &volume, "--wait=false"]).status()?;
        assert!(gone.success(), "the volume can be deleted");
        Ok(())
    })
    .await;
}

const CLAIM: &str = "
apiVersion: v1
kind: PersistentVolume
metadata: {name: NAMESPACE}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadOnlyMany]
  storageClassName: ''
  hostPath: {path: FOLDER, type: Directory}
  claimRef: {name: models, namespace: NAMESPACE}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: models, namespace: NAMESPACE}
spec:
  accessModes: [ReadOnlyMany]
  storageClassName: ''
  volumeName: NAMESPACE
  resources: {requests: {storage: 1Gi}}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_namesake_of_a_deleted_one_serves() {
    run("namesake", async |scene| {
        scene.begin().await?;
        let load = scene.load(50)?;
        scene.wine.rollout = serin_e2e::ring::patient(60);
        scene.apply(Version::V2).await?;
        scene.canary("v2").await?;
        load.stop().await?;

        scene.delete().await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let left = scene.pods_of("").await?;
        assert!(left.is_empty(), "nothing comes back after the deletion: {left:?}");

        scene.begin().await?;
        let load = scene.load(50)?;
        scene.answers(&load, Version::V1).await?;
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}
