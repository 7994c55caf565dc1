//! A better version takes over without a lost request, with the very pods that were tested.

use serde_json::{Value, json};
use serin_api::{Outcome, Verdict};
use serin_e2e::{
    Error,
    images::Version,
    ring::{Scene, run, status},
};

/// Writes of one rollout of two steps besides Events, with three pods, from the apply until the old pods are gone.
const WRITES: usize = 15;

#[tokio::test(flavor = "multi_thread")]
async fn a_good_version_takes_over_with_the_pods_that_were_tested() {
    run("promote", async |scene| {
        scene.wine.replicas = 3;
        scene.begin().await?;
        let load = scene.load(100)?;
        scene.answers(&load, Version::V1).await?;
        let mark = serin_e2e::ring::audit::mark(&scene.ring.bed);

        scene.apply(Version::V2).await?;
        let md = scene.canary("v2").await?;
        let v2 = status(&md).candidate.ok_or("no candidate")?.revision;
        let before = scene.pods_of(&v2).await?;
        assert!(!before.is_empty(), "a candidate with traffic has pods");
        let md = scene.ended("v2", Outcome::Promoted).await?;
        assert_eq!(status(&md).verdict, Some(Verdict::Promoted));
        scene.serves("v2").await?;
        scene.answers(&load, Version::V2).await?;
        scene.settled().await?;
        // The last of the old pods are gone; requests after that are the proof that nothing led to them any more.
        scene.answers(&load, Version::V2).await?;

        let after = scene.pods_of(&v2).await?;
        assert_eq!(after.len(), 3);
        for (uid, restarts) in &before {
            assert_eq!(after.get(uid), Some(restarts), "tested pods serve on: {before:?}, {after:?}");
        }
        let told = scene.explained()?;
        assert_eq!((&told["outcome"], &told["verdict"]), (&json!("Promoted"), &json!("Pass")), "{told}");
        let counts = load.stop().await?;
        // Requests that the load left out, because its connections were busy, are the machine's: one that hangs fails.
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        let steps = scene.seen.weights();
        assert_eq!(steps, [(100, 0), (75, 25), (50, 50), (0, 100)], "weights only rise, step by step");
        let cost = serin_e2e::ring::audit::Cost::of(&scene.ring.bed, mark, &scene.wine.namespace)?;
        eprintln!("one rollout of two steps: {cost}");
        assert!(cost.writes.len() <= WRITES, "one rollout takes at most {WRITES} writes: {cost}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn testers_reach_a_preview_through_the_gateway() {
    run("testers", async |scene| {
        scene.wine.rollout = json!({
            "strategy": "BlueGreen", "blueGreen": {"autoPromote": false}, "analysis": {"intervalSeconds": 2},
        });
        let wanted = |scene: &Scene, version| -> Result<Value, Error> {
            let mut object = scene.object(version)?;
            object["spec"]["traffic"]["gateway"]["testers"] =
                json!({"header": "X-Tester", "value": "yes, me"});
            Ok(object)
        };
        scene.begin_with(&wanted(scene, Version::V1)?).await?;
        let (load, testers) = (scene.load(50)?, scene.load_of_testers(20, "X-Tester: yes, me")?);
        scene.answers(&load, Version::V1).await?;
        scene.answers(&testers, Version::V1).await?;

        scene.put(&wanted(scene, Version::V2)?).await?;
        scene.answers(&testers, Version::V2).await?;
        assert_eq!(scene.seen.weights(), [(100, 0)]);
        // Back: nobody is left behind at what is going.
        scene.put(&wanted(scene, Version::V1)?).await?;
        scene.serves("v1").await?;
        scene.answers(&testers, Version::V1).await?;
        scene.settled().await?;
        scene.answers(&testers, Version::V1).await?;
        let (others, testers) = (load.stop().await?, testers.stop().await?);
        let digest = &scene.ring.built.model(Version::V2)?.digest;
        assert_eq!(others.of(digest).total, 0, "nobody else: {others:?}");
        assert_eq!(scene.failed_besides(&others, &[])?, 0, "{others:?}");
        assert_eq!(scene.failed_besides(&testers, &[])?, 0, "{testers:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_traffic_is_switched_at_once_without_a_lost_request() {
    run("bluegreen", async |scene| {
        scene.wine.rollout = json!({
            "strategy": "BlueGreen", "blueGreen": {"previewSeconds": 6}, "analysis": {"intervalSeconds": 2},
        });
        scene.begin().await?;
        let load = scene.load(100)?;
        scene.answers(&load, Version::V1).await?;
        scene.apply(Version::V2).await?;
        scene.ended("v2", Outcome::Promoted).await?;
        scene.answers(&load, Version::V2).await?;
        scene.settled().await?;
        scene.answers(&load, Version::V2).await?;
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        assert_eq!(scene.seen.weights(), [(100, 0), (0, 100)], "nothing in between");
        Ok(())
    })
    .await;
}
