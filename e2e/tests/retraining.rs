//! A policy on real data in a real store, and on what a real Prometheus counted.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use serin_api::{RetrainPolicyStatus, RunResult, TriggerState, conditions};
use serin_e2e::{
    Error, client,
    load::Load,
    ring::{PATIENCE, Scene, run},
    training::Training,
};

const POLICY: &str = "again";

async fn until(
    scene: &Scene,
    training: &Training,
    what: &str,
    holds: impl Fn(&RetrainPolicyStatus) -> bool,
) -> Result<RetrainPolicyStatus, Error> {
    client::until(what, PATIENCE, || async {
        let policy = training.policies(&scene.kube).get(POLICY).await.map_err(|e| e.to_string())?;
        let status = policy.status.unwrap_or_default();
        let ready = conditions::get(&status.conditions, conditions::Type::Ready);
        let says = ready.map(|c| format!("{}: {}", c.reason, c.message)).unwrap_or_default();
        if holds(&status) { Ok(status) } else { Err(format!("{says}; {:?}", status.triggers)) }
    })
    .await
}

async fn apply(scene: &Scene, training: &Training, policy: &Value) -> Result<(), Error> {
    let params = PatchParams::apply("e2e").force();
    training.policies(&scene.kube).patch(POLICY, &params, &Patch::Apply(policy)).await?;
    Ok(())
}

fn ended(count: usize) -> impl Fn(&RetrainPolicyStatus) -> bool {
    move |status| status.runs.len() == count && status.runs.iter().all(|r| r.ended_at.is_some())
}

/// No version: one is trained on what lies there. It serves, and people say what would have been right: too often something
/// else. The data has changed, and a second one is trained on it.
#[tokio::test(flavor = "multi_thread")]
async fn live_mistakes_train_on_the_data_of_that_moment() {
    run("again", async |scene| {
        let training = scene.training()?;
        let light = training.bring("light.csv")?;
        let stale = json!([{"name": "stale", "maxAge": {"seconds": 86_400}}]);
        apply(scene, &training, &training.policy(POLICY, &stale)?).await?;
        let status = until(scene, &training, "the first run has ended", ended(1)).await?;
        let record = &status.runs[0];
        assert_eq!(record.result, Some(RunResult::Succeeded), "{record:?}");
        assert_eq!(status.data[0].digest.0, light.digest, "hashed in a pod, from the store");
        let version = record.version.clone().ok_or("no version")?;

        scene.wine.put(&scene.kube, &scene.wine.object_of(&version)).await?;
        scene.serves(&version).await?;
        let host = scene.wine.host.clone().unwrap_or_default();
        Load::reachable(&scene.ring.bed, &scene.ring.built, &host, &scene.report()?).await?;
        let load = scene.labelled_load(50, "strong")?;
        let mut policy = training.policy(
            POLICY,
            &json!([{"name": "mistakes", "quality": {
                "bad": {"series": "wine_predictions_wrong_total"},
                "all": {"series": "wine_predictions_labelled_total"},
                "maxBadPermille": 999, "windowSeconds": 60, "forSeconds": 5, "minCount": 100,
            }}]),
        )?;
        policy["spec"]["deploymentRef"] = json!(scene.wine.name);
        apply(scene, &training, &policy).await?;
        let state = |wanted: TriggerState| {
            move |s: &RetrainPolicyStatus| {
                s.triggers.first().is_some_and(|t| t.name == "mistakes" && t.state == wanted)
            }
        };
        let well = until(scene, &training, "not all answers are wrong", state(TriggerState::Quiet)).await?;
        eprintln!("{}", well.triggers[0].message);

        let all = training.bring("train.csv")?;
        policy["spec"]["triggers"][0]["quality"]["maxBadPermille"] = json!(100);
        apply(scene, &training, &policy).await?;
        let status = until(scene, &training, "the second run has ended", ended(2)).await?;
        let counts = load.stop().await?;
        assert_eq!(scene.failed_besides(&counts, &[])?, 0, "{counts:?}");
        let record = &status.runs[1];
        eprintln!("{}", record.message);
        assert_eq!(
            (record.trigger.as_str(), record.result),
            ("mistakes", Some(RunResult::Succeeded)),
            "{record:?}"
        );
        assert_eq!(status.data[0].digest.0, all.digest);
        let made = training.runs(&scene.kube).get(&record.name).await?;
        assert_eq!(made.spec.datasets[0].digest.0, all.digest);
        assert_ne!(record.version, status.runs[0].version);
        Ok(())
    })
    .await;
}
