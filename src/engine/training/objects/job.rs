//! The Job of an attempt: all pods or none. Any failure ends it, and the next attempt is another Job.

use serde_json::{Value, json};
use serin_api::{Layout, ModelFiles, labels};
use serin_wire::{Object, Task, Train, places::exit};

use super::{
    Run, TRAIN, env,
    pod::{self, Around, Claims, Program},
    service,
};
use crate::training::{Child, inputs};

/// Builds it. `base` is the base model, references followed; `remaining` are the seconds of running that the deadline
/// leaves. The error is one line for `Stalled`; it can only come from a spec that validation refuses too.
pub fn attempt(
    run: &Run<'_>,
    attempt: i32,
    base: Option<&ModelFiles>,
    remaining: Option<i64>,
    agent_image: &str,
) -> Result<Value, String> {
    let spec = run.spec;
    let trainer = &spec.trainer;
    let child = Child::Attempt(attempt);
    let task = Task::Train(Train {
        run_uid: run.uid.to_owned(),
        attempt,
        datasets: spec.datasets.iter().map(object).collect(),
        base: base.map(model),
        parameters: spec.parameters.clone(),
        seed: spec.seed.clone(),
        output: spec.output.uri.clone(),
        checkpoints: spec.checkpoints.as_ref().map(|c| c.uri.clone()),
        storage: stores(&spec.storage),
    });
    let mut claims = Claims::default();
    for dataset in &spec.datasets {
        claims.read(&format!("datasets {}: uri", dataset.name), &dataset.uri)?;
    }
    if let Some(base) = base {
        claims.read("baseModel: uri", &base.uri)?;
    }
    claims.write("output.uri", &spec.output.uri)?;
    if let Some(checkpoints) = &spec.checkpoints {
        claims.write("checkpoints.uri", &checkpoints.uri)?;
    }
    let program = Program {
        name: TRAIN,
        verb: "run",
        image: &trainer.image,
        image_pull_policy: trainer.image_pull_policy,
        command: &trainer.command,
        args: &trainer.args,
        env: &trainer.env,
        launcher_env: env::launcher(run, attempt),
        resources: &trainer.resources,
        run_as_user: trainer.run_as_user,
        shared_memory: trainer.shared_memory.as_deref(),
    };
    let around = Around {
        task: &task,
        storage: &spec.storage,
        agent_image,
        claims,
        grace_seconds: trainer.termination_grace_period_seconds,
        service_account: trainer.service_account_name.as_deref(),
        mount_token: trainer.service_account_name.is_some(),
        pull_secrets: &trainer.image_pull_secrets,
    };
    let mut pod = pod::spec(program, &around)?;
    if service::is_needed(trainer.nodes) {
        pod["subdomain"] = json!(child.name(run.name));
    }
    if !trainer.node_selector.is_empty() {
        pod["nodeSelector"] = json!(trainer.node_selector);
    }
    let mut job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": run.metadata(child),
        "spec": {
            "completionMode": "Indexed",
            "completions": trainer.nodes,
            "parallelism": trainer.nodes,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": failure_policy(TRAIN, trainer.min_nodes.is_some()),
            "suspend": spec.queue_name.is_some(),
            "template": {"metadata": {"labels": run.labels(child)}, "spec": pod},
        },
    });
    job["metadata"]["annotations"] = json!({labels::RUN_HASH: inputs::run_hash(spec)});
    if let Some(queue) = &spec.queue_name {
        job["metadata"]["labels"][labels::QUEUE] = json!(queue);
    }
    if let Some(remaining) = remaining {
        // A backstop for the time in which no operator looks: the Job's clock starts with the first pod's creation, ours
        // when all of them run.
        let start = spec.pre_running_deadline_seconds.max(0);
        job["spec"]["activeDeadlineSeconds"] = json!(remaining.max(1).saturating_add(start));
    }
    Ok(job)
}

/// See [`super::rule`]. An elastic run lets the Job replace a disrupted pod; everything else ends the Job.
pub(super) fn failure_policy(container: &str, elastic: bool) -> Value {
    let disrupted = if elastic { "Ignore" } else { "FailJob" };
    let fatal: Vec<i32> = (exit::FATAL_FIRST..=exit::FATAL_LAST).collect();
    json!({"rules": [
        {"action": disrupted, "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": container, "operator": "In", "values": fatal}},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [exit::INPUTS_REFUSED]}},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [exit::NO_OUTPUT]}},
    ]})
}

pub(super) fn object(dataset: &serin_api::Dataset) -> Object {
    Object { name: dataset.name.clone(), uri: dataset.uri.clone(), digest: dataset.digest.0.clone() }
}

pub(super) fn model(files: &ModelFiles) -> serin_wire::Model {
    serin_wire::Model {
        uri: files.uri.clone(),
        digest: files.digest.0.clone(),
        layout: match files.layout {
            Layout::File => serin_wire::Layout::File,
            Layout::Directory => serin_wire::Layout::Directory,
        },
    }
}

pub(super) fn stores(storage: &serin_api::Storage) -> serin_wire::Storage {
    serin_wire::Storage { endpoint: storage.endpoint.clone(), region: storage.region.clone() }
}
