//! The Job of an evaluation: one pod, with its own image and data.

use serde_json::{Value, json};
use serin_wire::{Evaluate, Task};

use super::{
    EVALUATE, Run,
    job::{failure_policy, model, object, stores},
    pod::{self, Around, Claims, Program},
};
use crate::training::{Child, EvaluationJob};

/// Seconds that a program has after SIGTERM; there is nothing to save.
const GRACE_SECONDS: i64 = 10;

/// Builds it. The pod has the training's stores, identity and pull secrets, but no token: the models it reads are there.
pub fn evaluation(run: &Run<'_>, job: &EvaluationJob, agent_image: &str) -> Result<Value, String> {
    let spec = run.spec;
    let Some(evaluation) = &spec.evaluation else {
        return Err("evaluation is missing".to_owned());
    };
    let child = Child::Evaluation(job.number);
    let champion = job.champion.as_ref().map(|c| &c.model);
    let task = Task::Evaluate(Evaluate {
        run_uid: run.uid.to_owned(),
        number: job.number,
        nonce: job.nonce.clone(),
        candidate: model(&job.candidate),
        champion: champion.map(model),
        dataset: object(&evaluation.dataset),
        reports: spec.output.uri.clone(),
        storage: stores(&spec.storage),
    });
    let mut claims = Claims::default();
    claims.read("output.uri", &job.candidate.uri)?;
    if let Some(champion) = champion {
        claims.read("champion's uri", &champion.uri)?;
    }
    claims.read("evaluation.dataset.uri", &evaluation.dataset.uri)?;
    claims.write("output.uri", &spec.output.uri)?;
    let program = Program {
        name: EVALUATE,
        verb: "evaluate",
        image: &evaluation.image,
        image_pull_policy: evaluation.image_pull_policy,
        command: &evaluation.command,
        args: &evaluation.args,
        env: &evaluation.env,
        launcher_env: Vec::new(),
        resources: &evaluation.resources,
        run_as_user: evaluation.run_as_user,
        shared_memory: None,
    };
    let around = Around {
        task: &task,
        storage: &spec.storage,
        agent_image,
        claims,
        grace_seconds: GRACE_SECONDS,
        service_account: spec.trainer.service_account_name.as_deref(),
        mount_token: false,
        pull_secrets: &spec.trainer.image_pull_secrets,
    };
    Ok(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": run.metadata(child),
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 0,
            "activeDeadlineSeconds": evaluation.deadline_seconds,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": failure_policy(EVALUATE, false),
            "template": {
                "metadata": {"labels": run.labels(child)},
                "spec": pod::spec(program, &around)?,
            },
        },
    }))
}
