//! People change their minds while a version is being tried.

use serde_json::json;
use serin_api::Outcome;
use serin_e2e::{
    images::Version,
    ring::{patient, quick, run, status},
};

#[tokio::test(flavor = "multi_thread")]
async fn back_to_the_stable_spec_ends_a_canary_and_restarts_nothing() {
    run("back", async |scene| {
        scene.wine.rollout = patient(60);
        scene.wine.replicas = 2;
        scene.begin().await?;
        let stable = scene.stable_pods().await?;
        let load = scene.load(50)?;
        scene.apply(Version::V2).await?;
        scene.canary("v2").await?;
        scene.answers(&load, Version::V2).await?;
        let asked = std::time::Instant::now();
        scene.apply(Version::V1).await?;
        scene.ended("v2", Outcome::Superseded).await?;
        let took = asked.elapsed();
        scene.serves("v1").await?;
        assert!(took.as_secs() < 10, "back without an analysis, but it took {took:?}");
        scene.settled().await?;
        assert_eq!(scene.stable_pods().await?, stable, "the stable pods were not touched");
        assert_eq!(scene.seen.weights(), [(100, 0), (75, 25), (100, 0)]);
        assert!(scene.status().await?.last_failed.is_none(), "nothing was rejected");
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_spec_replaces_a_canary_from_its_first_step() {
    run("third", async |scene| {
        scene.wine.rollout = patient(60);
        scene.begin().await?;
        let stable = scene.stable_pods().await?;
        let load = scene.load(100)?;
        scene.apply(Version::V2).await?;
        let md = scene.canary("v2").await?;
        let v2 = status(&md).candidate.ok_or("no candidate")?.revision;
        scene.answers(&load, Version::V2).await?;

        scene.wine.rollout = quick();
        let mut third = scene.object(Version::V2)?;
        third["spec"]["model"]["version"] = json!("v2-tuned");
        third["spec"]["server"]["env"] = json!([{"name": "TUNED", "value": "yes"}]);
        scene.put(&third).await?;
        scene.ended("v2", Outcome::Superseded).await?;
        let md = scene.canary("v2-tuned").await?;
        let candidate = status(&md).candidate.ok_or("no candidate")?;
        assert_ne!(candidate.revision, v2);
        assert_eq!(candidate.step, "1/2", "it begins at its first step");
        assert!(scene.pods_of(&v2).await?.is_empty(), "it began when the former one had gone");
        assert_eq!(scene.stable_pods().await?, stable, "the stable pods were not touched");
        scene.ended("v2-tuned", Outcome::Promoted).await?;
        scene.settled().await?;
        let steps = [(100, 0), (75, 25), (100, 0), (75, 25), (50, 50), (0, 100)];
        assert_eq!(scene.seen.weights(), steps, "to zero before the next one begins");
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}
