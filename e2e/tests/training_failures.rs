//! Trainings that fail: each in its own way, on its own budget, and with its reason.

use kube::api::ListParams;
use serde_json::{Value, json};
use serin_api::{
    AttemptEnd, Reason, RunPhase, RunResult, TrainingRunStatus,
    conditions::{self, Type},
};
use serin_e2e::{
    Error,
    ring::{PATIENCE, Scene, run},
    training::{Recipe, succeeded},
};

/// Applies a run without an evaluation, with more parameters, and waits until it has ended.
async fn ends(
    scene: &Scene,
    name: &str,
    parameters: &Value,
    change: impl FnOnce(&mut Value),
) -> Result<TrainingRunStatus, Error> {
    let training = scene.training()?;
    let mut object = training.plain(name, Recipe::V1)?;
    for (key, value) in parameters.as_object().into_iter().flatten() {
        object["spec"]["parameters"][key] = value.clone();
    }
    change(&mut object["spec"]);
    training.apply(&scene.kube, &object).await?;
    training.until(&scene.kube, name, "the end of the run", PATIENCE, |s| s.completion.is_some()).await
}

/// What the attempts ended as.
fn attempts(status: &TrainingRunStatus) -> Vec<Option<AttemptEnd>> {
    status.attempts.iter().map(|a| a.end).collect()
}

fn failed_as(status: &TrainingRunStatus, reason: Reason) {
    let end = status.completion.as_ref();
    assert!(
        end.is_some_and(|e| e.result == RunResult::Failed && e.reason == reason.as_str()),
        "{:?} was expected, not {end:?}",
        reason.as_str()
    );
    assert_eq!((status.phase, &status.model_version), (Some(RunPhase::Failed), &None));
    assert!(conditions::is_true(&status.conditions, Type::Stalled), "{:?}", status.conditions);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_tried_again_and_the_next_attempt_counts() {
    run("crash", async |scene| {
        let status = ends(scene, "crash", &json!({"fail_attempts": "1"}), |_| {}).await?;
        assert!(succeeded(&status), "{status:?}");
        assert_eq!(attempts(&status), [Some(AttemptEnd::Crashed), Some(AttemptEnd::Succeeded)]);
        assert_eq!((status.spent.crashes, status.spent.disruptions), (1, 0));
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_memory_spends_the_budget_for_crashes() {
    run("oom", async |scene| {
        let status = ends(scene, "oom", &json!({"hog_mib": "300"}), |spec| {
            spec["trainer"]["resources"] = json!({"limits": {"memory": "100Mi"}});
            spec["retries"] = json!({"crashes": 1});
        })
        .await?;
        failed_as(&status, Reason::Crashed);
        assert_eq!(attempts(&status), [Some(AttemptEnd::Crashed); 2]);
        assert_eq!((status.spent.crashes, status.spent.disruptions), (2, 0));
        let said = status.attempts.last().and_then(|a| a.message.clone()).unwrap_or_default();
        eprintln!("out of memory is said as: {said}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_says_it_is_no_use_is_believed_at_once() {
    run("fatal", async |scene| {
        let status = ends(scene, "fatal", &json!({"fail_attempts": "99", "fail_with": "42"}), |_| {}).await?;
        failed_as(&status, Reason::Fatal);
        assert_eq!(attempts(&status), [Some(AttemptEnd::Fatal)]);
        let said = status.attempts.first().and_then(|a| a.message.clone()).unwrap_or_default();
        assert!(said.contains("exit code 42"), "the program's own words: {said}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_leaves_nothing_has_failed() {
    run("nothing", async |scene| {
        let status = ends(scene, "nothing", &json!({"output": "none"}), |_| {}).await?;
        failed_as(&status, Reason::NoOutput);
        assert_eq!(attempts(&status), [Some(AttemptEnd::NoOutput)]);
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_is_not_what_the_run_says_is_refused() {
    run("inputs", async |scene| {
        let status = ends(scene, "inputs", &json!({}), |spec| {
            spec["datasets"][0]["digest"] = json!(format!("sha256:{}", "0".repeat(64)));
        })
        .await?;
        failed_as(&status, Reason::InputsRefused);
        assert_eq!(attempts(&status), [Some(AttemptEnd::InputsRefused)]);
        assert!(status.completion.is_some_and(|c| c.message.contains("train")), "which data set");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_missing_is_waited_for_and_named() {
    run("image", async |scene| {
        let training = scene.training()?;
        let mut object = training.plain("image", Recipe::V1)?;
        object["spec"]["trainer"]["image"] = json!("serin.test/nowhere:1");
        object["spec"]["preRunningDeadlineSeconds"] = json!(60);
        object["spec"]["retries"] = json!({"starts": 0});
        training.apply(&scene.kube, &object).await?;
        training
            .until(&scene.kube, "image", "it says that the image is missing", PATIENCE, |s| {
                s.conditions.iter().any(|c| {
                    c.reason == Reason::ImagePull.as_str() && c.message.contains("serin.test/nowhere:1")
                })
            })
            .await?;
        let ended = |s: &TrainingRunStatus| s.completion.is_some();
        let status = training.until(&scene.kube, "image", "the end", PATIENCE, ended).await?;
        failed_as(&status, Reason::NeverStarted);
        assert_eq!(attempts(&status), [Some(AttemptEnd::NeverStarted)]);
        assert_eq!((status.spent.crashes, status.spent.starts), (0, 1));
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_the_gate_refuses_is_no_version() {
    run("gate", async |scene| {
        let training = scene.training()?;
        let mut object = training.judged("gate", Recipe::V1)?;
        object["spec"]["evaluation"]["gate"]["metrics"][0]["min"] = json!("0.99");
        training.apply(&scene.kube, &object).await?;
        let status =
            training.until(&scene.kube, "gate", "the end", PATIENCE, |s| s.completion.is_some()).await?;
        failed_as(&status, Reason::GateFailed);
        let result = status.evaluation.and_then(|e| e.result).ok_or("no result")?;
        assert!(!result.passed && result.message.contains("0.99"), "{result:?}");
        assert!(training.versions(&scene.kube).list(&ListParams::default()).await?.items.is_empty());
        Ok(())
    })
    .await;
}
