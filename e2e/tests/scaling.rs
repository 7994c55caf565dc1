//! Scaling and rollouts do not wait for each other.

use std::time::Duration;

use serin_api::Outcome;
use serin_e2e::{
    client,
    images::Version,
    ring::{PATIENCE, patient, run, status},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_stable_version_scales_while_another_one_is_tried() {
    run("scale", async |scene| {
        scene.wine.replicas = 3;
        scene.wine.rollout = patient(15);
        scene.begin().await?;
        let first = scene.stable_pods().await?;
        let v1 = scene.status().await?.stable.ok_or("nothing is stable")?.revision;
        let load = scene.load(100)?;
        scene.apply(Version::V2).await?;
        let md = scene.canary("v2").await?;
        let began = status(&md).candidate.ok_or("no candidate")?.started_at;

        for replicas in [9_usize, 3] {
            scene.wine.replicas = i32::try_from(replicas)?;
            scene.apply(Version::V2).await?;
            client::until(&format!("{replicas} stable pods"), PATIENCE, || async {
                let ready = scene.ready_pods(&v1).await.map_err(|e| e.to_string())?;
                let all = scene.pods_of(&v1).await.map_err(|e| e.to_string())?.len();
                let tried = scene.status().await.map_err(|e| e.to_string())?.candidate;
                let same = tried.is_some_and(|c| c.started_at == began);
                if !same {
                    return Err("the canary ended or began again while its stable version scaled".to_owned());
                }
                if ready >= replicas && all == replicas {
                    Ok(())
                } else {
                    Err(format!("{ready} of {all} ready"))
                }
            })
            .await?;
        }
        scene.ended("v2", Outcome::Promoted).await?;
        scene.serves("v2").await?;
        scene.settled().await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        assert_eq!(scene.stable_pods().await?.len(), 3);
        assert_eq!(first.len(), 3);
        Ok(())
    })
    .await;
}
