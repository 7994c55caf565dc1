//! From data to a version that serves; versions that are there already; pods that train together.

use std::time::Duration;

use kube::api::ListParams;
use serde_json::{Value, json};
use serin_api::{
    AttemptEnd, Origin, Role, RunPhase, RunResult,
    conditions::{self, Type},
};
use serin_e2e::{
    client,
    load::Load,
    ring::{PATIENCE, run},
    training::{Recipe, succeeded},
};

/// Writes of one run with an evaluation besides Events and the version.
const WRITES: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_becomes_a_version_that_serves() {
    run("trains", async |scene| {
        let training = scene.training()?;
        training.apply(&scene.kube, &training.judged("first", Recipe::V1)?).await?;
        let status = training.until(&scene.kube, "first", "a version", PATIENCE, succeeded).await?;
        let cost = scene.cost()?;
        eprintln!("one run with an evaluation: {cost}");

        let name = status.model_version.clone().ok_or("no version")?;
        let version = training.versions(&scene.kube).get(&name).await?;
        assert_eq!(version.spec.origin, Origin::Trained);
        assert!(name.starts_with("wine-"), "{name}");
        let (output, found) = (status.output.ok_or("no output")?.model, version.spec.artifact.clone());
        assert_eq!((&found.digest, &found.uri), (&output.digest, &output.uri));
        let judged = version.status.clone().unwrap_or_default();
        assert!(conditions::is_true(&judged.conditions, Type::Evaluated), "{:?}", judged.conditions);
        let accuracy = judged.evaluations.first().and_then(|e| e.metrics.first()).ok_or("no metric")?;
        assert!(accuracy.candidate.parse::<f64>()? > 0.65, "{accuracy:?}");

        // What lies in the store is what was hashed.
        let (bucket, key) = found.uri.trim_start_matches("s3://").split_once('/').ok_or("no s3://")?;
        let file = training.store.get(bucket, key)?.ok_or("nothing in the store")?;
        assert_eq!(serin_e2e::images::sha256(&file), found.digest.0);
        let besides = cost.writes.iter().filter(|w| !w.resource.starts_with("modelversions")).count();
        assert!(besides <= WRITES, "a run with an evaluation takes at most {WRITES} writes: {cost}");

        scene.wine.put(&scene.kube, &scene.wine.object_of(&name)).await?;
        scene.serves(&name).await?;
        let host = scene.wine.host.clone().unwrap_or_default();
        let report = scene.report()?;
        Load::reachable(&scene.ring.bed, &scene.ring.built, &host, &report).await?;
        let load = scene.load(50)?;
        client::until("the trained model answers", Duration::from_mins(1), || async {
            let counts = load.counts();
            if counts.of(&found.digest.0).total > 20 { Ok(()) } else { Err(format!("{counts:?}")) }
        })
        .await?;
        let counts = load.stop().await?;
        assert_eq!(counts.of(&found.digest.0).total, counts.sent, "{counts:?}");
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        client::until("the version says who serves it", PATIENCE, || async {
            let version = training.versions(&scene.kube).get(&name).await.map_err(|e| e.to_string())?;
            let who = version.status.unwrap_or_default().deployments;
            let serves = who.iter().any(|d| d.name == scene.wine.name && d.role == Role::Stable);
            if serves { Ok(()) } else { Err(format!("{who:?}")) }
        })
        .await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_inputs_are_not_trained_twice() {
    run("reused", async |scene| {
        let training = scene.training()?;
        training.apply(&scene.kube, &training.judged("one", Recipe::V1)?).await?;
        let first = training.until(&scene.kube, "one", "a version", PATIENCE, succeeded).await?;
        training.apply(&scene.kube, &training.judged("two", Recipe::V1)?).await?;
        let second =
            training.until(&scene.kube, "two", "it is reused", PATIENCE, |s| s.completion.is_some()).await?;
        let end = second.completion.ok_or("no completion")?;
        assert_eq!(end.result, RunResult::Reused, "{end:?}");
        assert_eq!(second.model_version, first.model_version);
        assert_eq!(second.attempt, 0, "nothing was trained");
        assert!(training.jobs(&scene.kube, "two").await?.is_empty());
        let versions = training.versions(&scene.kube).list(&ListParams::default()).await?.items;
        assert_eq!(versions.len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pods_of_a_gang_find_each_other_by_name() {
    run("gang", async |scene| {
        let training = scene.training()?;
        let mut object = training.plain("gang", Recipe::V1)?;
        object["spec"]["trainer"]["command"] = json!(["/wine", "gang"]);
        object["spec"]["trainer"]["nodes"] = json!(2);
        object["spec"]["trainer"]["launcher"] = json!("Env");
        object["spec"]["retention"] = json!({"jobsSeconds": 0});
        training.apply(&scene.kube, &object).await?;
        let status = training.until(&scene.kube, "gang", "a version", PATIENCE, succeeded).await?;
        assert_eq!(status.phase, Some(RunPhase::Succeeded));
        let attempt = status.attempts.first().ok_or("no attempt")?;
        assert_eq!((attempt.end, status.attempt), (Some(AttemptEnd::Succeeded), 1), "{attempt:?}");
        let uri = status.output.ok_or("no output")?.model.uri;
        let (bucket, key) = uri.trim_start_matches("s3://").split_once('/').ok_or("no s3://")?;
        let report: Value = serde_json::from_slice(&training.store.get(bucket, key)?.ok_or("not there")?)?;
        assert_eq!(report, json!({"world": 2, "ranks": [0, 1]}));
        training.cleared(&scene.kube, "gang", PATIENCE).await
    })
    .await;
}
