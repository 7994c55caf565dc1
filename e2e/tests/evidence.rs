//! What Prometheus says is late, stands still, comes twice or begins anew: the verdict is right, or there is none.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use serin_api::{
    Outcome, Reason, Verdict,
    conditions::{self, Type},
};
use serin_bed::SCRAPED_TWICE;
use serin_e2e::{
    Error, client,
    images::Version,
    ring::{PATIENCE, Scene, patient, run, run_alone, servers, status},
};

/// Where the server tells its metrics.
const PATH: &str = "prometheus.io/path";
/// First weight of a canary, of slots a and b.
const FIRST: (i64, i64) = (75, 25);

/// A version whose server tells its metrics there.
fn telling(scene: &Scene, version: Version, path: &str) -> Result<Value, Error> {
    let mut object = scene.object(version)?;
    object["spec"]["server"]["ports"] = json!({"metricsPath": path});
    Ok(object)
}

/// Sets an annotation of all pods, by which Prometheus finds them, or takes it away.
async fn annotate(scene: &Scene, key: &str, value: Option<&str>) -> Result<(), Error> {
    let s = scene.status().await?;
    let revisions = s.stable.map(|s| s.revision).into_iter().chain(s.candidate.map(|c| c.revision));
    let pods: Api<Pod> = Api::namespaced(scene.kube.clone(), &scene.wine.namespace);
    for revision in revisions {
        for name in scene.names_of(&revision).await? {
            let patch = json!({"metadata": {"annotations": {key: value}}});
            pods.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        }
    }
    Ok(())
}

/// Waits until the weight is held for this reason, and returns what is said about the metrics.
async fn held(scene: &Scene, reason: Reason, verdict: Verdict) -> Result<String, Error> {
    let md = scene
        .until(&format!("held: {reason}"), |_, s| {
            let progress = conditions::get(&s.conditions, Type::Progressing);
            progress.is_some_and(|c| c.reason == reason.as_str()) && s.verdict == Some(verdict)
        })
        .await?;
    let metrics = conditions::get(&status(&md).conditions, Type::MetricsAvailable).cloned();
    Ok(metrics.map(|c| c.message).unwrap_or_default())
}

/// How the versions ended, newest first.
async fn outcomes(scene: &Scene) -> Result<Vec<Outcome>, Error> {
    Ok(scene.status().await?.history.iter().map(|h| h.outcome).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_that_come_late_delay_the_verdict_and_change_nothing() {
    run("late", async |scene| {
        scene.wine.rollout = patient(45);
        scene.begin().await?;
        let load = scene.load(100)?;
        let applied = Instant::now();
        scene.apply(Version::V2).await?;
        scene.canary("v2").await?;
        // Later than anybody waits.
        annotate(scene, PATH, Some("/metrics/late/90")).await?;
        let said = held(scene, Reason::NoData, Verdict::NoData).await?;
        assert!(!said.is_empty());
        annotate(scene, PATH, Some("/metrics")).await?;
        scene.ended("v2", Outcome::Promoted).await?;
        scene.serves("v2").await?;
        assert_eq!(scene.seen.weights_since(applied), [(100, 0), FIRST, (50, 50), (0, 100)]);

        // As late as a pipeline usually is.
        annotate(scene, PATH, Some("/metrics/late/8")).await?;
        scene.put(&telling(scene, Version::BadFeatures, "/metrics/late/8")?).await?;
        let md = scene.ended(Version::BadFeatures.label(), Outcome::RolledBack).await?;
        let failed = status(&md).last_failed.ok_or("no lastFailed")?;
        assert_eq!(failed.reason, Reason::AnalysisFailed.as_str(), "{failed:?}");
        scene.settled().await?;
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[Version::BadFeatures])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_whose_time_stands_still_are_silence() {
    run("stuck", async |scene| {
        scene.wine.rollout = patient(1);
        scene.begin().await?;
        let stable = scene.stable_pods().await?;
        let load = scene.load(100)?;
        scene.wine.rollout["analysis"]["onNoData"] = json!("Rollback");
        // Long enough to be seen held before, also on a busy machine.
        scene.wine.rollout["analysis"]["noDataTimeoutSeconds"] = json!(25);
        // As bad as it is, nobody knows.
        scene.put(&telling(scene, Version::BadFeatures, "/metrics/stuck")?).await?;
        held(scene, Reason::NoData, Verdict::NoData).await?;
        let md = scene.ended(Version::BadFeatures.label(), Outcome::RolledBack).await?;
        let failed = status(&md).last_failed.ok_or("no lastFailed")?;
        assert_eq!(failed.reason, Reason::NoData.as_str(), "the verdict that the spec asks for: {failed:?}");
        assert_eq!(scene.seen.weights(), [(100, 0), FIRST, (100, 0)]);
        scene.settled().await?;
        assert_eq!(scene.stable_pods().await?, stable, "the stable pods were not touched");
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[Version::BadFeatures])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_that_stand_still_promote_nothing_until_they_move() {
    run("still", async |scene| {
        scene.wine.rollout = patient(1);
        scene.begin().await?;
        let load = scene.load(100)?;
        scene.put(&telling(scene, Version::BadFeatures, "/metrics/still")?).await?;
        held(scene, Reason::NoData, Verdict::NoData).await?;
        assert_eq!(scene.seen.weights(), [(100, 0), FIRST], "no request that is known of, no more traffic");
        // What it did meanwhile comes to light.
        annotate(scene, PATH, Some("/metrics")).await?;
        let md = scene.ended(Version::BadFeatures.label(), Outcome::RolledBack).await?;
        let failed = status(&md).last_failed.ok_or("no lastFailed")?;
        assert_eq!(failed.reason, Reason::AnalysisFailed.as_str(), "{failed:?}");
        scene.settled().await?;
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[Version::BadFeatures])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_scraped_twice_is_no_evidence_until_it_is_scraped_once() {
    run("twice", async |scene| {
        scene.wine.rollout = patient(30);
        scene.begin().await?;
        let load = scene.load(100)?;
        scene.apply(Version::V2).await?;
        scene.canary("v2").await?;
        annotate(scene, SCRAPED_TWICE, Some("true")).await?;
        let said = held(scene, Reason::MetricsUnavailable, Verdict::ProviderError).await?;
        assert!(said.contains("a pod is scraped under two targets"), "{said}");
        annotate(scene, SCRAPED_TWICE, None).await?;
        scene.ended("v2", Outcome::Promoted).await?;
        scene.serves("v2").await?;
        assert_eq!(scene.seen.weights(), [(100, 0), FIRST, (50, 50), (0, 100)]);
        never_too_many(scene, &load.stop().await?)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_begins_anew_invents_nothing() {
    run("reset", async |scene| {
        if scene.ring.bed.is_external() {
            eprintln!("skipped: no process is ended on the nodes of a given cluster");
            return Ok(());
        }
        scene.wine.replicas = 4;
        scene.wine.rollout = json!({
            "steps": [{"weight": 50, "holdSeconds": 25}, {"weight": 75, "holdSeconds": 4}],
            "analysis": {"intervalSeconds": 2},
        });
        let long_drain = |scene: &Scene, version| -> Result<Value, Error> {
            let mut object = scene.object(version)?;
            // Long enough for everybody to hear that it is not ready any more.
            let args = object["spec"]["server"]["args"].as_array_mut().ok_or("no arguments")?;
            if let Some(seconds) = args.last_mut() {
                *seconds = json!("8");
            }
            Ok(object)
        };
        scene.begin_with(&long_drain(scene, Version::V1)?).await?;
        let load = scene.load(100)?;
        scene.put(&long_drain(scene, Version::V2)?).await?;
        let s = status(&scene.canary("v2").await?);
        scene.answers(&load, Version::V2).await?;
        let (v1, v2) =
            (s.stable.ok_or("nothing is stable")?.revision, s.candidate.ok_or("no candidate")?.revision);
        for revision in [&v1, &v2] {
            restart_one(scene, revision).await?;
        }
        let tried = scene.pods_of(&v2).await?;
        scene.ended("v2", Outcome::Promoted).await?;
        scene.serves("v2").await?;
        let after = scene.pods_of(&v2).await?;
        assert!(tried.iter().all(|(uid, n)| after.get(uid) == Some(n)), "{tried:?}, {after:?}");
        assert_eq!(outcomes(scene).await?, [Outcome::Promoted, Outcome::Deployed], "no rollback on the way");
        never_too_many(scene, &load.stop().await?)
    })
    .await;
}

/// Not more requests of the candidate were judged than it answered, and none failed.
fn never_too_many(scene: &Scene, counts: &serin_e2e::load::Counts) -> Result<(), Error> {
    let told = scene.explained()?;
    let judged = told["evidence"][0]["samples"].as_u64().ok_or("no evidence")?;
    let answered = counts.of(&scene.ring.built.model(Version::V2)?.digest).total;
    eprintln!("{judged} of {answered} answers of the candidate were judged");
    assert!(judged > 0 && judged <= answered, "{judged} were judged, {answered} answered");
    assert_eq!(scene.failed_besides(counts, &[])?, 0, "{counts:?}");
    Ok(())
}

/// One server of a revision is asked to end, and started anew in its pod. Waits until that is ready.
async fn restart_one(scene: &Scene, revision: &str) -> Result<(), Error> {
    let pods = scene.pods_of(revision).await?;
    let uid = pods.keys().next().ok_or("no pods")?;
    for pid in servers(uid)? {
        std::process::Command::new("kill").args(["-TERM", &pid]).status()?;
    }
    client::until("its container was started once more", PATIENCE, || async {
        let now = scene.pods_of(revision).await.map_err(|e| e.to_string())?;
        let ready = scene.ready_pods(revision).await.map_err(|e| e.to_string())?;
        if now.get(uid) == Some(&1) && ready == now.len() {
            Ok(())
        } else {
            Err(format!("{now:?}, {ready} ready"))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_that_lost_its_data_is_believed_again_when_it_has_new_ones() {
    run_alone("forgot", async |scene| {
        if scene.ring.bed.is_external() {
            eprintln!("skipped: the Prometheus of a given cluster is left alone");
            return Ok(());
        }
        let bed = &scene.ring.bed;
        scene.wine.rollout = patient(3);
        scene.begin().await?;
        let load = scene.load(100)?;
        for (version, outcome) in
            [(Version::V2, Outcome::Promoted), (Version::BadFeatures, Outcome::RolledBack)]
        {
            scene.apply(version).await?;
            scene.canary(version.label()).await?;
            bed.prometheus_lose()?;
            bed.prometheus_start()?;
            scene.ended(version.label(), outcome).await?;
            scene.settled().await?;
        }
        assert_eq!(outcomes(scene).await?, [Outcome::RolledBack, Outcome::Promoted, Outcome::Deployed]);
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[Version::BadFeatures])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}

/// How long nobody asks anything, after it was said.
const QUIET: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn without_a_request_nothing_is_promoted_and_nothing_sent_back() {
    run("quiet", async |scene| {
        scene.wine.rollout = patient(1);
        scene.begin().await?;
        scene.apply(Version::V2).await?;
        scene.canary("v2").await?;
        held(scene, Reason::NoData, Verdict::NoData).await?;
        tokio::time::sleep(QUIET).await;
        assert_eq!(scene.seen.weights(), [(100, 0), FIRST], "held at its first step");
        let load = scene.load(100)?;
        scene.ended("v2", Outcome::Promoted).await?;
        scene.serves("v2").await?;
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}
