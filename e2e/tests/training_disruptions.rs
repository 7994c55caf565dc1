//! Trainings that are disturbed: pods taken away, Jobs deleted, the operator killed, the object store gone.

use std::collections::BTreeSet;

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    Api,
    api::{DeleteParams, EvictParams, ListParams},
};
use serde_json::{Value, json};
use serin_api::{AttemptEnd, RunPhase, TrainingRunStatus};
use serin_e2e::{
    Error, client,
    ring::{PATIENCE, Scene, run, run_alone},
    training::{Recipe, Training, succeeded},
};

use crate::faults::kill;

/// A run of some seconds, with a checkpoint after each tree.
fn slow(training: &Training, name: &str) -> Result<Value, Error> {
    let mut object = training.plain(name, Recipe::V2)?;
    object["spec"]["parameters"]["tree_ms"] = json!("500");
    object["spec"]["checkpoints"] = json!({"uri": format!("s3://models/{}/checkpoints", training.namespace)});
    Ok(object)
}

/// Waits until a checkpoint of a run is in the store, whole.
async fn checkpoint(scene: &Scene, training: &Training, name: &str) -> Result<(), Error> {
    let uid = training.runs(&scene.kube).get(name).await?.metadata.uid.unwrap_or_default();
    client::until("a checkpoint in the store", PATIENCE, || async {
        let found = training.published().map_err(|e| e.to_string())?;
        let whole = found.iter().any(|key| key.contains(&uid) && key.ends_with("/.complete"));
        if whole { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evicted_training_goes_on_from_its_checkpoint_and_comes_to_the_same_model() {
    run("evicted", async |scene| {
        let training = scene.training()?;
        training.apply(&scene.kube, &training.plain("undisturbed", Recipe::V2)?).await?;
        training.apply(&scene.kube, &slow(&training, "evicted")?).await?;
        checkpoint(scene, &training, "evicted").await?;
        let pods: Api<Pod> = Api::namespaced(scene.kube.clone(), &training.namespace);
        for pod in training.pods(&scene.kube, "evicted").await? {
            pods.evict(&pod.metadata.name.unwrap_or_default(), &EvictParams::default()).await?;
        }
        let status = training.until(&scene.kube, "evicted", "a version", PATIENCE, succeeded).await?;
        let ends: Vec<_> = status.attempts.iter().map(|a| a.end).collect();
        assert_eq!(ends, [Some(AttemptEnd::Disrupted), Some(AttemptEnd::Succeeded)], "{status:?}");
        assert_eq!((status.spent.crashes, status.spent.disruptions), (0, 1), "it is no crash");
        let resumed = status.attempts[1].resumed_from.clone().ok_or("not from a checkpoint")?;
        assert!(resumed.starts_with("a1/step-"), "{resumed}");
        let other = training.until(&scene.kube, "undisturbed", "a version", PATIENCE, succeeded).await?;
        let digest = |s: TrainingRunStatus| s.output.map(|o| o.model.digest);
        assert_eq!(digest(status), digest(other), "the same bytes as without the eviction");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_restarts_when_the_job_of_an_ended_run_is_deleted() {
    run("latched", async |scene| {
        let training = scene.training()?;
        training.apply(&scene.kube, &training.plain("done", Recipe::V1)?).await?;
        let before = training.until(&scene.kube, "done", "a version", PATIENCE, succeeded).await?;
        let jobs: Api<Job> = Api::namespaced(scene.kube.clone(), &training.namespace);
        jobs.delete("done-a1", &DeleteParams::background()).await?;
        client::until("the Job is gone", PATIENCE, || async {
            let left = training.jobs(&scene.kube, "done").await.map_err(|e| e.to_string())?.len();
            if left == 0 { Ok(()) } else { Err(format!("{left} Jobs")) }
        })
        .await?;
        // Another whole run is time enough for the operator to do something wrong.
        training.apply(&scene.kube, &training.plain("other", Recipe::V2)?).await?;
        training.until(&scene.kube, "other", "a version", PATIENCE, succeeded).await?;
        assert!(training.jobs(&scene.kube, "done").await?.is_empty(), "no Job came back");
        assert_eq!(training.status(&scene.kube, "done").await?, before, "and nothing else was said");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_killed_in_a_run_comes_to_one_job_an_attempt_and_one_version() {
    run_alone("killed-run", async |scene| {
        let training = scene.training()?;
        let mut object = slow(&training, "run")?;
        object["spec"]["parameters"]["tree_ms"] = json!("200");
        object["spec"]["evaluation"] = training.judged("run", Recipe::V2)?["spec"]["evaluation"].clone();
        training.apply(&scene.kube, &object).await?;
        kill(scene).await?;
        for (what, phase) in
            [("the pods run", RunPhase::Running), ("the evaluation runs", RunPhase::Evaluating)]
        {
            let reached = |s: &TrainingRunStatus| s.phase == Some(phase) || s.completion.is_some();
            training.until(&scene.kube, "run", what, PATIENCE, reached).await?;
            kill(scene).await?;
        }
        let status = training.until(&scene.kube, "run", "a version", PATIENCE, succeeded).await?;
        assert_eq!(status.attempt, 1, "{status:?}");
        let jobs = training.jobs(&scene.kube, "run").await?;
        let names: BTreeSet<_> = jobs.into_iter().filter_map(|j| j.metadata.name).collect();
        assert_eq!(names, BTreeSet::from(["run-a1".to_owned(), "run-e1".to_owned()]));
        assert_eq!(training.versions(&scene.kube).list(&ListParams::default()).await?.items.len(), 1);
        // What is there under a name that was never deleted was made once. The log cannot tell by itself: a POST whose sender
        // is killed stands there as one that timed out, carried out or not (`finishRequest` in
        // k8s.io/apiserver/pkg/endpoints/handlers/finisher).
        let writes = scene.cost()?.writes;
        for (resource, names) in [("jobs", 2), ("modelversions", 1)] {
            let of_it: Vec<_> = writes.iter().filter(|w| w.resource == resource).collect();
            assert!(of_it.iter().all(|w| !w.verb.starts_with("delete")), "{of_it:?}");
            let made = of_it.iter().filter(|w| w.verb == "create" && w.code == 201).count();
            assert!(made <= names, "made twice: {of_it:?}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_outlasts_an_outage_of_the_object_store() {
    run_alone("no-store", async |scene| {
        if scene.ring.bed.is_external() {
            eprintln!("skipped: the object store of a given cluster is left alone");
            return Ok(());
        }
        let training = scene.training()?;
        let object = training.judged("run", Recipe::V1)?;
        scene.ring.bed.s3_stop()?;
        // Whatever happens in between, it comes back.
        let met = meets_the_outage(scene, &training, &object).await;
        scene.ring.bed.s3_start()?;
        met?;
        let status = training.until(&scene.kube, "run", "a version", PATIENCE, succeeded).await?;
        let others = status.attempts.iter().filter_map(|a| a.end).filter(|e| *e != AttemptEnd::Succeeded);
        let others: Vec<_> = others.collect();
        eprintln!("attempts that the outage cost: {others:?}");
        assert!(others.iter().all(|e| *e == AttemptEnd::Crashed), "{others:?}");
        Ok(())
    })
    .await;
}

/// Applies the run and waits until its pod asks the store in vain.
async fn meets_the_outage(scene: &Scene, training: &Training, object: &Value) -> Result<(), Error> {
    training.apply(&scene.kube, object).await?;
    client::until("the pod asks for its data", PATIENCE, || async {
        let pods = training.pods(&scene.kube, "run").await.map_err(|e| e.to_string())?;
        let asks = |pod: &Pod| {
            let inits = pod.status.as_ref().and_then(|s| s.init_container_statuses.as_ref());
            inits
                .into_iter()
                .flatten()
                .filter_map(|c| c.state.as_ref())
                .any(|s| s.terminated.is_some() || s.running.is_some())
        };
        if pods.iter().any(asks) { Ok(()) } else { Err(format!("{} pods", pods.len())) }
    })
    .await
}
