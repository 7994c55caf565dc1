//! Answers that come in bit by bit, as those of language models do, outlive what happens to their version.

use std::time::Duration;

use serin_api::Outcome;
use serin_e2e::{
    client,
    images::Version,
    ring::{PATIENCE, run},
};

/// How long one answer takes to come in. Longer than the steps of a rollout are held.
const LONG: Duration = Duration::from_secs(15);
/// Whoever serves such answers says so.
const DRAIN_SECONDS: i32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn no_long_answer_is_cut_by_a_promotion_or_a_rollback() {
    run("streams", async |scene| {
        scene.wine.drain_seconds = DRAIN_SECONDS;
        scene.begin().await?;
        let load = scene.load(50)?;
        scene.answers(&load, Version::V1).await?;
        let streams = scene.load_of_streams(LONG)?;
        let digest = |version| scene.ring.built.model(version).map(|m| m.digest.clone());
        let ended_of = async |version: Version, more: u64| {
            let digest = digest(version)?;
            let before = streams.counts().of(&digest).total;
            client::until(&format!("{more} long answers of {}", version.label()), PATIENCE, || async {
                let counts = streams.counts();
                if counts.of(&digest).total >= before + more { Ok(()) } else { Err(format!("{counts:?}")) }
            })
            .await
        };
        client::until("long answers are under way", PATIENCE, || async {
            let counts = streams.counts();
            if counts.in_flight >= 3 { Ok(()) } else { Err(format!("{counts:?}")) }
        })
        .await?;

        scene.apply(Version::V2).await?;
        scene.ended("v2", Outcome::Promoted).await?;
        // The last ones that v1 began.
        scene.settled().await?;
        ended_of(Version::V2, 3).await?;

        scene.apply(Version::BadFeatures).await?;
        scene.ended("v3", Outcome::RolledBack).await?;
        scene.settled().await?;
        ended_of(Version::V2, 1).await?;

        let counts = streams.stop().await?;
        for version in [Version::V1, Version::V2, Version::BadFeatures] {
            assert!(counts.of(&digest(version)?).total > 0, "{}: {counts:?}", version.label());
        }
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[Version::BadFeatures])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}
