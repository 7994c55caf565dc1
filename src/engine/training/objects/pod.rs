//! What the pods of attempts and evaluations have in common.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use serin_api::{EnvVar, Location, Resources, Storage, model::location, server::ImagePullPolicy};
use serin_wire::{Task, places};

use super::{PREPARE, env};
use crate::objects::storage::storage;

/// Longest task. Linux takes no longer string into an environment than 128 KiB, its name included.
const TASK_MAX: usize = 120 << 10;
/// Group that the volumes belong to, and user of the init container: the agent's image says the same.
pub const AGENT_ID: i64 = 65532;
/// Name of the volume that everything of ours lies in.
pub const VOLUME: &str = "serin";
const SHARED_MEMORY: &str = "shm";

/// The user's container.
pub struct Program<'a> {
    pub name: &'static str,
    /// Subcommand of the agent that runs it.
    pub verb: &'static str,
    pub image: &'a str,
    pub image_pull_policy: Option<ImagePullPolicy>,
    pub command: &'a [String],
    pub args: &'a [String],
    pub env: &'a [EnvVar],
    pub launcher_env: Vec<Value>,
    pub resources: &'a Resources,
    pub run_as_user: Option<i64>,
    pub shared_memory: Option<&'a str>,
}

/// The rest of the pod.
pub struct Around<'a> {
    pub task: &'a Task,
    pub storage: &'a Storage,
    pub agent_image: &'a str,
    pub claims: Claims,
    pub grace_seconds: i64,
    pub service_account: Option<&'a str>,
    pub mount_token: bool,
    pub pull_secrets: &'a [String],
}

/// Claims of the namespace, and which of them the program's container may write to.
#[derive(Default)]
pub struct Claims(BTreeMap<String, bool>);

impl Claims {
    /// Takes in the claim of an address, if it names one.
    pub fn read(&mut self, field: &str, uri: &str) -> Result<(), String> {
        self.take(field, uri, false)
    }

    /// The same for a folder that is written to.
    pub fn write(&mut self, field: &str, uri: &str) -> Result<(), String> {
        self.take(field, uri, true)
    }

    fn take(&mut self, field: &str, uri: &str, writes: bool) -> Result<(), String> {
        match location(field, uri)? {
            Location::Claim { claim, path: _ } => *self.0.entry(claim).or_default() |= writes,
            Location::Http(_) | Location::Store(_) => {}
        }
        Ok(())
    }

    pub fn volumes(&self) -> impl Iterator<Item = Value> {
        self.0.iter().enumerate().map(|(i, (claim, writes))| {
            json!({
                "name": format!("claim-{i}"),
                "persistentVolumeClaim": {"claimName": claim, "readOnly": !writes},
            })
        })
    }

    pub fn mounts(&self, writable: bool) -> impl Iterator<Item = Value> {
        self.0.iter().enumerate().map(move |(i, (claim, writes))| {
            json!({
                "name": format!("claim-{i}"),
                "mountPath": format!("{}/{claim}", places::CLAIMS_DIR),
                "readOnly": !(writable && *writes),
            })
        })
    }
}

/// Builds a pod's spec.
pub fn spec(program: Program<'_>, around: &Around<'_>) -> Result<Value, String> {
    let task = task(around.task)?;
    let (mut volumes, mut mounts) = (
        vec![json!({"name": VOLUME, "emptyDir": {}})],
        vec![json!({"name": VOLUME, "mountPath": places::ROOT})],
    );
    let mut prepare_mounts = mounts.clone();
    volumes.extend(around.claims.volumes());
    mounts.extend(around.claims.mounts(true));
    prepare_mounts.extend(around.claims.mounts(false));
    if let Some(size) = program.shared_memory {
        volumes.push(json!({"name": SHARED_MEMORY, "emptyDir": {"medium": "Memory", "sizeLimit": size}}));
        mounts.push(json!({"name": SHARED_MEMORY, "mountPath": "/dev/shm"}));
    }
    let (storage_env, storage_env_from) = storage(around.storage);
    let mut agent_env = vec![json!({"name": places::TASK, "value": task})];
    agent_env.extend(storage_env.as_array().into_iter().flatten().cloned());
    let mut pod = json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": around.grace_seconds,
        "automountServiceAccountToken": around.mount_token,
        // A variable for each Service of the namespace is noise, and one named `master` would be MASTER_PORT.
        "enableServiceLinks": false,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, "fsGroup": AGENT_ID},
        "volumes": volumes,
        "initContainers": [agent(PREPARE, "prepare", around.agent_image, &agent_env, &storage_env_from, &prepare_mounts)],
        "containers": [container(program, agent_env.clone(), &storage_env_from, &mounts)],
    });
    if let Some(account) = around.service_account {
        pod["serviceAccountName"] = json!(account);
    }
    if !around.pull_secrets.is_empty() {
        let secrets: Vec<Value> = around.pull_secrets.iter().map(|n| json!({"name": n})).collect();
        pod["imagePullSecrets"] = Value::Array(secrets);
    }
    Ok(pod)
}

/// A container that runs the agent alone, as its image has it.
pub fn agent(
    name: &str,
    verb: &str,
    image: &str,
    env: &[Value],
    env_from: &Value,
    mounts: &[Value],
) -> Value {
    json!({
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        // The operator's image holds the agent, too; its entry point is the operator.
        "command": ["/serin-agent"],
        "args": [verb],
        "env": env,
        "envFrom": env_from,
        "volumeMounts": mounts,
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "terminationMessagePolicy": "File",
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": AGENT_ID,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
    })
}

fn container(program: Program<'_>, mut env: Vec<Value>, env_from: &Value, mounts: &[Value]) -> Value {
    env.extend(program.env.iter().map(env::user));
    env.extend(program.launcher_env);
    let mut args = vec![program.verb.to_owned(), "--".to_owned()];
    args.extend(program.command.iter().chain(program.args).cloned());
    let mut container = json!({
        "name": program.name,
        "image": program.image,
        "command": [places::AGENT],
        "args": args,
        "env": env,
        "envFrom": env_from,
        "volumeMounts": mounts,
        // Never the log: what a program prints is no result.
        "terminationMessagePolicy": "File",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    if let Some(user) = program.run_as_user {
        container["securityContext"]["runAsNonRoot"] = json!(true);
        container["securityContext"]["runAsUser"] = json!(user);
    }
    if let Some(policy) = program.image_pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    let mut resources = Map::new();
    for (kind, quantities) in
        [("requests", &program.resources.requests), ("limits", &program.resources.limits)]
    {
        if !quantities.is_empty() {
            resources.insert(kind.to_owned(), json!(quantities));
        }
    }
    if !resources.is_empty() {
        container["resources"] = Value::Object(resources);
    }
    container
}

/// The task as a value that the kubelet leaves alone: it would replace `$(NAME)` in a parameter. JSON has another way to
/// write a dollar.
pub fn task(task: &Task) -> Result<String, String> {
    let text = serde_json::to_string(task)
        .map_err(|error| format!("the task cannot be written: {error}"))?
        .replace('$', "\\u0024");
    if text.len() > TASK_MAX {
        return Err(format!(
            "parameters, datasets and addresses come to {} bytes; a pod's environment takes {TASK_MAX}",
            text.len()
        ));
    }
    Ok(text)
}
