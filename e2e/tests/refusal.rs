//! Bad versions: they go, they stay away, and nobody but they themselves fails a request.

use std::time::{Duration, Instant};

use serde_json::json;
use serin_api::{
    Outcome, Reason, Verdict,
    conditions::{self, Type},
};
use serin_e2e::{
    images::Version,
    ring::{audit, patient, run, status},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_fails_requests_is_rolled_back_and_stays_away() {
    run("fails", async |scene| {
        scene.begin().await?;
        let stable = scene.stable_pods().await?;
        let load = scene.load(100)?;
        scene.answers(&load, Version::V1).await?;

        scene.apply(Version::BadFeatures).await?;
        let md = scene.ended("v3", Outcome::RolledBack).await?;
        let s = status(&md);
        let failed = s.last_failed.ok_or("no lastFailed")?;
        assert_eq!(
            (failed.version.as_str(), failed.reason.as_str()),
            ("v3", Reason::AnalysisFailed.as_str())
        );
        let evidence = failed.evidence.first().ok_or("no evidence")?;
        assert_eq!((evidence.metric.as_str(), evidence.verdict), ("errors", Verdict::Fail), "{evidence:?}");
        assert!(evidence.log10_e.parse::<f64>()? >= 2.0, "{evidence:?}");
        assert_eq!(s.stable.map(|s| s.version).as_deref(), Some("v1"));
        scene.settled().await?;
        scene.answers(&load, Version::V1).await?;
        assert_eq!(scene.stable_pods().await?, stable, "the stable pods were not touched");

        let told = scene.explained()?;
        assert_eq!((&told["outcome"], &told["verdict"]), (&json!("RolledBack"), &json!("Fail")), "{told}");

        // GitOps applies the same again and again.
        let mark = audit::mark(&scene.ring.bed);
        let again = Instant::now();
        for _ in 0..3 {
            scene.apply(Version::BadFeatures).await?;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let cost = audit::Cost::of(&scene.ring.bed, mark, &scene.wine.namespace)?;
        assert!(
            cost.writes.is_empty() && cost.events == 0,
            "a rejected spec applied again does nothing: {cost}"
        );
        assert_eq!(scene.seen.weights_since(again), [(100, 0)]);

        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[Version::BadFeatures])?, 0, "{counts:?}");
        let bad = counts.of(&scene.ring.built.model(Version::BadFeatures)?.digest);
        eprintln!("{} of {} requests met the bad version, {} failed", bad.total, counts.sent, bad.failed());
        assert!(bad.failed() > 0, "the proof that there was something to find: {counts:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_crashes_never_has_traffic() {
    run("crashes", async |scene| {
        scene.begin().await?;
        let load = scene.load(50)?;
        scene.answers(&load, Version::V1).await?;
        scene.apply(Version::Crashing).await?;
        let label = Version::Crashing.label();
        let md = scene.ended(label, Outcome::RolledBack).await?;
        let failed = status(&md).last_failed.ok_or("no lastFailed")?;
        assert_eq!(failed.reason, Reason::CrashLoop.as_str(), "{failed:?}");
        scene.settled().await?;
        assert_eq!(scene.seen.weights(), [(100, 0)], "not one percent at any time");
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        let crashing = counts.of(&scene.ring.built.model(Version::Crashing)?.digest);
        assert_eq!(crashing.total, 0);
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_another_digest_never_serves() {
    run("digest", async |scene| {
        scene.begin().await?;
        let load = scene.load(50)?;
        scene.answers(&load, Version::V1).await?;
        scene.wine.rollout["progressDeadlineSeconds"] = json!(20);
        let mut object = scene.object(Version::V2)?;
        object["spec"]["model"]["artifact"]["digest"] = json!(format!("sha256:{}", "0".repeat(64)));
        scene.put(&object).await?;
        let md = scene.ended("v2", Outcome::RolledBack).await?;
        let failed = status(&md).last_failed.ok_or("no lastFailed")?;
        assert!(failed.message.contains("digest"), "the reason is for people: {failed:?}");
        let progress = conditions::get(&status(&md).conditions, Type::Progressing).cloned();
        assert!(progress.is_some_and(|c| c.message.contains("digest")), "and stands in a condition");
        scene.settled().await?;
        assert_eq!(scene.seen.weights(), [(100, 0)], "not one percent at any time");
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        let v1 = counts.of(&scene.ring.built.model(Version::V1)?.digest);
        assert_eq!(v1.total, counts.sent, "only v1 answered: {counts:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_takes_too_much_memory_is_rolled_back() {
    run("memory", async |scene| {
        scene.wine.rollout = patient(60);
        scene.wine.rollout["analysis"]["metrics"] = json!([
            {"name": "errors", "errorRatio": {}},
            {"name": "memory", "threshold": {"gauge": {"series": "process_resident_memory_bytes"}, "max": "16Mi"}},
        ]);
        scene.begin().await?;
        let load = scene.load(20)?;
        scene.answers(&load, Version::V1).await?;
        scene.apply(Version::Slow).await?;
        let md = scene.ended(Version::Slow.label(), Outcome::RolledBack).await?;
        let failed = status(&md).last_failed.ok_or("no lastFailed")?;
        assert_eq!(failed.reason, Reason::AnalysisFailed.as_str(), "{failed:?}");
        let memory = failed.evidence.iter().find(|e| e.metric == "memory").ok_or("no evidence of memory")?;
        assert_eq!(memory.verdict, Verdict::Fail, "{memory:?}");
        scene.settled().await?;
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slower_version_is_rolled_back_by_a_native_histogram() {
    // Prometheus keeps the histograms of this scenario's namespace in the native form, and no others.
    run("native", async |scene| {
        scene.wine.rollout = patient(60);
        scene.wine.rollout["analysis"]["metrics"] = json!([{"name": "slow", "latency": {}}]);
        scene.begin().await?;
        let load = scene.load(60)?;
        scene.answers(&load, Version::V1).await?;
        scene.apply(Version::Slow).await?;
        let md = scene.ended(Version::Slow.label(), Outcome::RolledBack).await?;
        let failed = status(&md).last_failed.ok_or("no lastFailed")?;
        assert_eq!(failed.reason, Reason::AnalysisFailed.as_str(), "{failed:?}");
        assert!(failed.message.contains("slow: ") && failed.message.contains("% slower than"), "{failed:?}");
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        Ok(())
    })
    .await;
}
