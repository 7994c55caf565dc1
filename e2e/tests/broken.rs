//! What serves begins to crash, while another version is on its way.

use std::{collections::BTreeMap, fs};

use serde_json::json;
use serin_api::{
    Outcome, Reason,
    conditions::{self, Type},
};
use serin_e2e::{
    Error, client,
    images::Version,
    ring::{PATIENCE, Scene, patient, run, servers, status},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_is_promoted_by_hand_while_the_stable_version_crashes() {
    run("broken-canary", async |scene| {
        if is_external(scene) {
            return Ok(());
        }
        scene.wine.replicas = 2;
        scene.wine.rollout = patient(600);
        scene.begin().await?;
        let v1 = stable(scene).await?;
        let load = scene.load(50)?;
        scene.apply(Version::V2).await?;
        let md = scene.canary("v2").await?;
        let v2 = status(&md).candidate.ok_or("no candidate")?.revision;
        scene.answers(&load, Version::V2).await?;
        let tested = scene.pods_of(&v2).await?;

        break_pods(scene, &v1).await?;
        says(scene, Reason::StableUnavailable).await?;
        crashes(scene, &v1).await?;
        let held = scene.status().await?.candidate.ok_or("the candidate was given up")?;
        assert_eq!((held.revision.as_str(), held.weight), (v2.as_str(), 25), "held, not sent back");

        let args = ["promote", &scene.wine.name, "--namespace", &scene.wine.namespace];
        let said = scene.ring.built.kubectl_serin(&scene.ring.bed, &args)?;
        assert!(said.contains("is to take over now"), "{said}");
        scene.ended("v2", Outcome::Promoted).await?;
        serves_on_its_own(scene, &tested).await?;
        let counts = load.stop().await?;
        let v2 = counts.of(&scene.ring.built.model(Version::V2)?.digest);
        assert_eq!(v2.failed(), 0, "what was healthy lost nothing: {counts:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_just_starts_takes_over_from_one_that_crashes() {
    run("broken-start", async |scene| {
        if is_external(scene) {
            return Ok(());
        }
        scene.wine.rollout = patient(600);
        scene.begin().await?;
        let v1 = stable(scene).await?;
        let load = scene.load(50)?;
        let mut object = scene.object(Version::V2)?;
        // Available after the other one has begun to crash.
        object["spec"]["availability"]["minReadySeconds"] = json!(10);
        scene.put(&object).await?;
        let md = scene.until("v2 starts", |_, s| s.candidate.is_some()).await?;
        let v2 = status(&md).candidate.ok_or("no candidate")?.revision;
        break_pods(scene, &v1).await?;
        let md = scene.ended("v2", Outcome::Deployed).await?;
        assert!(status(&md).last_failed.is_none());
        let pods = scene.pods_of(&v2).await?;
        serves_on_its_own(scene, &pods).await?;
        assert_eq!(
            scene.seen.weights(),
            [(100, 0), (0, 100)],
            "without steps: there is nothing to compare with"
        );
        let counts = load.stop().await?;
        let v2 = counts.of(&scene.ring.built.model(Version::V2)?.digest);
        assert_eq!(v2.failed(), 0, "what was healthy lost nothing: {counts:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_begins_to_crash_takes_nothing_with_it() {
    run("broken-candidate", async |scene| {
        if is_external(scene) {
            return Ok(());
        }
        scene.wine.rollout = patient(600);
        scene.begin().await?;
        let stable = scene.stable_pods().await?;
        let load = scene.load(50)?;
        scene.apply(Version::V2).await?;
        let md = scene.canary("v2").await?;
        let v2 = status(&md).candidate.ok_or("no candidate")?.revision;
        scene.answers(&load, Version::V2).await?;
        break_pods(scene, &v2).await?;
        scene.until("v2 has no traffic", |_, s| s.candidate.as_ref().is_none_or(|c| c.weight == 0)).await?;
        scene.answers(&load, Version::V1).await?;
        let counts = load.stop().await?;
        let v1 = counts.of(&scene.ring.built.model(Version::V1)?.digest);
        assert_eq!(v1.failed(), 0, "{counts:?}");

        // The status is there before the gateway has heard of the weights.
        scene.calm().await?;
        let load = scene.load(50)?;
        let md = scene.ended("v2", Outcome::RolledBack).await?;
        let failed = status(&md).last_failed.ok_or("no lastFailed")?;
        assert_eq!(failed.reason, Reason::CrashLoop.as_str(), "{failed:?}");
        assert!(!failed.message.contains("never had traffic"), "{failed:?}");
        assert!(status(&md).history[0].trial.is_some(), "it was tried at 25 %");
        scene.settled().await?;
        assert_eq!(scene.stable_pods().await?, stable, "the stable pods were not touched");
        assert_eq!(scene.seen.weights(), [(100, 0), (75, 25), (100, 0)]);
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}

fn is_external(scene: &Scene) -> bool {
    let external = scene.ring.bed.is_external();
    if external {
        eprintln!("skipped: nothing is broken on the nodes of a given cluster");
    }
    external
}

async fn stable(scene: &Scene) -> Result<String, Error> {
    Ok(scene.status().await?.stable.ok_or("nothing is stable")?.revision)
}

/// Waits until the status says why it does not go on.
async fn says(scene: &Scene, reason: Reason) -> Result<(), Error> {
    let said = |s: &serin_api::ModelDeploymentStatus| {
        conditions::get(&s.conditions, Type::Progressing).is_some_and(|c| c.reason == reason.as_str())
    };
    scene.until(reason.as_str(), |_, s| said(s)).await.map(drop)
}

/// Waits until every pod of a revision was started in vain.
async fn crashes(scene: &Scene, revision: &str) -> Result<(), Error> {
    client::until("its pods crash", PATIENCE, || async {
        let pods = scene.pods_of(revision).await.map_err(|e| e.to_string())?;
        let crash = !pods.is_empty() && pods.values().all(|restarts| *restarts >= 2);
        if crash { Ok(()) } else { Err(format!("{pods:?}")) }
    })
    .await
}

/// The second version serves, with the pods that it had, and not one request of a new load fails.
async fn serves_on_its_own(scene: &Scene, had: &BTreeMap<String, i32>) -> Result<(), Error> {
    scene.serves("v2").await?;
    scene.settled().await?;
    let pods = scene.stable_pods().await?;
    assert!(had.iter().all(|(uid, n)| pods.get(uid) == Some(n)), "its pods serve on: {had:?}, {pods:?}");
    let port = scene.ring.bed.gateway_port().ok_or("no gateway")?;
    let host = scene.wine.host.clone().ok_or("no host name")?;
    let report = scene.report()?.with_extension("after.jsonl");
    let after =
        serin_e2e::load::Load::start_at(&scene.ring.bed, &scene.ring.built, port, &host, 50, 2, &report)?;
    let counts = after.finish().await?;
    assert!(counts.sent > 0, "{counts:?}");
    assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
    Ok(())
}

/// The model files of a revision's pods are damaged on their node, as by a bad disk, and their servers die of it: each
/// further start fails.
async fn break_pods(scene: &Scene, revision: &str) -> Result<(), Error> {
    let pods = scene.pods_of(revision).await?;
    assert!(!pods.is_empty(), "{revision} has no pods");
    for uid in pods.keys() {
        let volume = format!("kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/model");
        fs::write(scene.ring.bed.dir().join(volume).join("model"), "damaged")?;
        let mut killed = 0;
        for pid in servers(uid)? {
            killed +=
                usize::from(std::process::Command::new("kill").args(["-KILL", &pid]).status()?.success());
        }
        assert_eq!(killed, 1, "one server in pod {uid}");
    }
    Ok(())
}
