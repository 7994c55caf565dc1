//! What a launcher reads to find the other pods.
//!
//! torchrun takes every flag from `PET_FLAG`. With a static rendezvous the node's rank is the completion index, so that
//! index 0 is always rank 0 and publishes. Elastic runs (`minNodes`) use c10d, where ranks are given out anew whenever
//! somebody comes or goes. What torchrun sets for its processes (`LOCAL_RANK` and the like) is left to it.

use std::fmt::Display;

use serde_json::{Value, json};
use serin_api::{EnvVar, Launcher};
use serin_wire::places;

use super::{PORT, Run};
use crate::training::Child;

/// Of the container `train`, after the user's own.
pub fn launcher(run: &Run<'_>, attempt: i32) -> Vec<Value> {
    let trainer = &run.spec.trainer;
    match (trainer.launcher, trainer.min_nodes) {
        (Launcher::Plain, _) => Vec::new(),
        (Launcher::Env, _) => {
            let mut env = master(run, attempt);
            env.push(value("WORLD_SIZE", &trainer.nodes));
            env.push(index("RANK"));
            env
        }
        (Launcher::Torchrun, None) => {
            let mut env = torchrun(run, attempt, &trainer.nodes.to_string(), 0);
            env.push(index("PET_NODE_RANK"));
            env.push(value("PET_MASTER_ADDR", &host(run, attempt)));
            env.push(value("PET_MASTER_PORT", &PORT));
            env.extend(master(run, attempt));
            env
        }
        (Launcher::Torchrun, Some(least)) => {
            // A pod that goes takes the others' processes with it; they are started again with who is left.
            let restarts = run.spec.retries.disruptions;
            let mut env = torchrun(run, attempt, &format!("{least}:{}", trainer.nodes), restarts);
            env.push(value("PET_RDZV_BACKEND", &"c10d"));
            env.push(value("PET_RDZV_ENDPOINT", &format!("{}:{PORT}", host(run, attempt))));
            env
        }
    }
}

fn torchrun(run: &Run<'_>, attempt: i32, nodes: &str, restarts: i32) -> Vec<Value> {
    vec![
        value("PET_NNODES", &nodes),
        // Never `auto`: on CPUs it counts the machine's cores, not the pod's.
        value("PET_NPROC_PER_NODE", &run.spec.trainer.processes_per_node),
        value("PET_RDZV_ID", &format!("{}-a{attempt}", run.uid)),
        value("PET_MAX_RESTARTS", &restarts),
        // The error of the first rank that fails ends up in the pod's status.
        value("TORCHELASTIC_ERROR_FILE", &places::TERMINATION_LOG),
    ]
}

fn master(run: &Run<'_>, attempt: i32) -> Vec<Value> {
    vec![value("MASTER_ADDR", &host(run, attempt)), value("MASTER_PORT", &PORT)]
}

/// Index 0. A single pod has no Service, and needs none to find itself.
fn host(run: &Run<'_>, attempt: i32) -> String {
    if !super::service::is_needed(run.spec.trainer.nodes) {
        return "127.0.0.1".to_owned();
    }
    let job = Child::Attempt(attempt).name(run.name);
    format!("{job}-0.{job}.{}.svc", run.namespace)
}

fn value(name: &str, value: &dyn Display) -> Value {
    json!({"name": name, "value": value.to_string()})
}

fn index(name: &str) -> Value {
    let path = "metadata.annotations['batch.kubernetes.io/job-completion-index']";
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

/// A variable of the user's.
pub fn user(e: &EnvVar) -> Value {
    if let Some(r) = &e.secret_key_ref {
        return json!({"name": e.name, "valueFrom": {"secretKeyRef": {"name": r.name, "key": r.key}}});
    }
    if let Some(r) = &e.config_map_key_ref {
        return json!({"name": e.name, "valueFrom": {"configMapKeyRef": {"name": r.name, "key": r.key}}});
    }
    json!({"name": e.name, "value": e.value.clone().unwrap_or_default()})
}
