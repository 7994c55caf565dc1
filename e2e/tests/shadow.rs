//! Shadows: the gateway copies real requests to a version whose answers nobody gets.

use std::time::Duration;

use serde_json::{Value, json};
use serin_api::{
    ModelDeployment, Outcome, Reason, Verdict,
    conditions::{self, Type},
};
use serin_bed::SecondGateway;
use serin_e2e::{
    Error, client,
    images::Version,
    load::Load,
    ring::{Scene, run, status},
};

/// A version behind the second gateway, which copies requests.
fn behind(scene: &Scene, gateway: SecondGateway, version: Version) -> Result<Value, Error> {
    let mut object = scene.object(version)?;
    object["spec"]["traffic"]["gateway"]["parentRefs"] =
        json!([{"name": gateway.name, "namespace": gateway.namespace}]);
    Ok(object)
}

fn rollout(promotion: &str) -> Value {
    json!({
        "strategy": "Shadow", "shadow": {"holdSeconds": 6, "promotion": promotion},
        "analysis": {"intervalSeconds": 2},
    })
}

/// v1 serves behind it, under load.
async fn begin(scene: &mut Scene, gateway: SecondGateway, promotion: &str) -> Result<Load, Error> {
    scene.wine.replicas = 2;
    scene.wine.rollout = rollout(promotion);
    scene.put(&behind(scene, gateway, Version::V1)?).await?;
    scene.serves("v1").await?;
    let host = scene.wine.host.clone().ok_or("no host name")?;
    scene.reachable(gateway.port, &host).await?;
    let report = scene.report()?;
    let load =
        Load::start_at(&scene.ring.bed, &scene.ring.built, gateway.port, host.as_str(), 100, 600, &report)?;
    scene.answers(&load, Version::V1).await?;
    Ok(load)
}

/// Requests that a revision's pods say they have answered.
async fn answered(scene: &Scene, revision: &str) -> Result<u64, Error> {
    let mut sum = 0;
    for pod in scene.names_of(revision).await? {
        let path = format!("/api/v1/namespaces/{}/pods/{pod}:8080/proxy/metrics", scene.wine.namespace);
        let metrics = scene.kubectl(&["get", "--raw", &path])?;
        let lines = metrics.lines().filter(|line| line.starts_with("http_requests_total{"));
        sum += lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>();
    }
    Ok(sum)
}

/// Waits until the copies have reached a version, by its own word; gives its revision.
async fn copied(scene: &Scene, version: &str) -> Result<String, Error> {
    let has = |md: &ModelDeployment| {
        status(md).candidate.is_some_and(|c| c.version == version && c.mirror_percent() == 100)
    };
    let md = scene.until(&format!("{version} is a shadow"), |md, _| has(md)).await?;
    let revision = status(&md).candidate.ok_or("no candidate")?.revision;
    client::until("copies arrive", Duration::from_mins(1), || async {
        let copies = answered(scene, &revision).await.map_err(|e| e.to_string())?;
        if copies > 50 { Ok(()) } else { Err(format!("{copies} so far")) }
    })
    .await?;
    Ok(revision)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_answers_nobody_until_a_person_promotes_its_pods() {
    run("shadow", async |scene| {
        let gateway = scene.ring.second_gateway().await?;
        let load = begin(scene, gateway, "ByHand").await?;
        scene.put(&behind(scene, gateway, Version::V2)?).await?;
        let revision = copied(scene, "v2").await?;
        scene.until("it is good enough", |_, s| s.verdict == Some(Verdict::Pass)).await?;
        let pods = scene.pods_of(&revision).await?;
        let v2 = &scene.ring.built.model(Version::V2)?.digest;
        let (copies, counts) = (answered(scene, &revision).await?, load.counts());
        eprintln!("{copies} copies reached v2; {counts:?}");
        assert_eq!(counts.of(v2).total, 0, "users see the stable version's answers only: {counts:?}");
        assert_eq!(scene.seen.weights(), [(100, 0)]);

        let args = ["promote", &scene.wine.name, "--namespace", &scene.wine.namespace];
        scene.ring.built.kubectl_serin(&scene.ring.bed, &args)?;
        scene.ended("v2", Outcome::Promoted).await?;
        scene.serves("v2").await?;
        scene.answers(&load, Version::V2).await?;
        scene.settled().await?;
        scene.answers(&load, Version::V2).await?;
        assert_eq!(scene.pods_of(&revision).await?, pods, "the pods that were tested serve");
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        assert_eq!(scene.seen.weights(), [(100, 0), (0, 100)]);
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_shadow_takes_over_on_evidence_and_a_bad_one_fails_no_request() {
    run("shadows", async |scene| {
        let gateway = scene.ring.second_gateway().await?;
        let load = begin(scene, gateway, "OnEvidence").await?;
        scene.put(&behind(scene, gateway, Version::V2)?).await?;
        let revision = copied(scene, "v2").await?;
        let pods = scene.pods_of(&revision).await?;
        scene.ended("v2", Outcome::Promoted).await?;
        scene.serves("v2").await?;
        scene.answers(&load, Version::V2).await?;
        scene.settled().await?;
        assert_eq!(scene.pods_of(&revision).await?, pods, "the pods that were tested serve");
        let told = scene.explained()?;
        assert_eq!((&told["outcome"], &told["verdict"]), (&json!("Promoted"), &json!("Pass")), "{told}");

        // It fails what it is asked, and nobody ever hears of it.
        let bad = Version::BadFeatures;
        scene.put(&behind(scene, gateway, bad)?).await?;
        let md = scene.ended(bad.label(), Outcome::RolledBack).await?;
        let failed = status(&md).last_failed.ok_or("no lastFailed")?;
        assert_eq!(failed.reason, Reason::AnalysisFailed.as_str(), "{failed:?}");
        scene.settled().await?;
        scene.answers(&load, Version::V2).await?;
        let counts = load.stop().await?;
        eprintln!("rolled back: {}; {counts:?}", failed.message);
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        assert_eq!(counts.of(&scene.ring.built.model(bad)?.digest).total, 0, "{counts:?}");
        assert_eq!(scene.seen.weights(), [(100, 0), (0, 100)], "the bad one had no weight at any time");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_does_not_copy_is_told_and_left_alone() {
    run("unshadowed", async |scene| {
        scene.wine.rollout = rollout("OnEvidence");
        scene.begin().await?;
        let load = scene.load(50)?;
        scene.answers(&load, Version::V1).await?;
        scene.apply(Version::V2).await?;
        let md = scene
            .until("the gateway cannot", |_, s| {
                conditions::get(&s.conditions, Type::Stalled)
                    .is_some_and(|c| c.status == "True" && c.reason == Reason::MirrorUnsupported.as_str())
            })
            .await?;
        let told = conditions::get(&status(&md).conditions, Type::Stalled).map(|c| c.message.clone());
        assert!(told.as_ref().is_some_and(|told| told.contains("HTTPRouteRequestMirror")), "{told:?}");
        scene.answers(&load, Version::V1).await?;
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        assert!(status(&md).candidate.is_none(), "nothing was begun");
        assert_eq!(scene.seen.weights(), [(100, 0)]);
        Ok(())
    })
    .await;
}
