//! The Job of a look at the data, and what it said. The operator itself reads no store: it has neither the credentials
//! nor the business.

use serde_json::{Value, json};
use serin_api::{Digest, MovingData, SeenData, labels};
use serin_wire::{Look, LookResult, Place, Storage, Task, places};

use super::run::Policy;
use crate::{
    objects::storage::storage,
    training::objects::pod::{AGENT_ID, Claims, VOLUME, agent, task},
};

/// Container with the agent.
pub const LOOK: &str = "look";
/// Longest look, in seconds.
const DEADLINE_SECONDS: i64 = 43_200;

/// Name of the Job.
pub fn name(policy: &str, number: i32) -> String {
    format!("{policy}-look-{number}")
}

/// Builds the Job: one pod with the storage and the identity of the template's runs, and no token.
///
/// # Errors
/// One line; it can only come from a spec that validation refuses too.
pub fn job(policy: &Policy<'_>, number: i32, agent_image: &str) -> Result<Value, String> {
    let template = &policy.spec.template;
    let (endpoint, region) = (&template.storage.endpoint, &template.storage.region);
    let text = task(&Task::Look(Look {
        policy_uid: policy.uid.to_owned(),
        number,
        objects: policy
            .spec
            .data
            .iter()
            .map(|d| Place { name: d.name.clone(), uri: d.uri.clone() })
            .collect(),
        storage: Storage { endpoint: endpoint.clone(), region: region.clone() },
    }))?;
    let mut claims = Claims::default();
    for data in &policy.spec.data {
        claims.read(&format!("data {}: uri", data.name), &data.uri)?;
    }
    let (storage_env, storage_env_from) = storage(&template.storage);
    let mut env = vec![json!({"name": places::TASK, "value": text})];
    env.extend(storage_env.as_array().into_iter().flatten().cloned());
    let mut volumes = vec![json!({"name": VOLUME, "emptyDir": {}})];
    volumes.extend(claims.volumes());
    let mut mounts = vec![json!({"name": VOLUME, "mountPath": places::ROOT})];
    mounts.extend(claims.mounts(false));
    let mut pod = json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 5,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, "fsGroup": AGENT_ID},
        "volumes": volumes,
        "containers": [agent(LOOK, "look", agent_image, &env, &storage_env_from, &mounts)],
    });
    if let Some(account) = &template.trainer.service_account_name {
        pod["serviceAccountName"] = json!(account);
    }
    let labels = json!({
        labels::MANAGED_BY: labels::MANAGER,
        labels::RETRAIN: policy.name,
        labels::RETRAIN_UID: policy.uid,
        labels::RETRAIN_NUMBER: number.to_string(),
    });
    Ok(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": policy.metadata(&name(policy.name, number), &labels),
        "spec": {
            "completions": 1,
            "parallelism": 1,
            // A node that goes away, or a store that does for a moment.
            "backoffLimit": 2,
            "activeDeadlineSeconds": DEADLINE_SECONDS,
            "podReplacementPolicy": "Failed",
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }))
}

/// Reads what a look said: exactly what it was asked, about this policy, in this look.
///
/// # Errors
/// One line.
pub fn seen(text: &str, uid: &str, number: i32, data: &[MovingData]) -> Result<Vec<SeenData>, String> {
    let result = LookResult::parse(text).map_err(|e| e.to_string())?;
    if result.policy_uid != uid || result.number != number {
        return Err("the result is of another look".to_owned());
    }
    let asked: Vec<&str> = data.iter().map(|d| d.name.as_str()).collect();
    let told: Vec<&str> = result.objects.iter().map(|o| o.name.as_str()).collect();
    if asked != told {
        return Err("the result is about other data than was asked for".to_owned());
    }
    result
        .objects
        .into_iter()
        .map(|object| {
            let digest = Digest(object.digest);
            if !digest.is_well_formed() {
                return Err(format!("the result has no SHA-256 for {}", object.name));
            }
            let bytes = i64::try_from(object.bytes);
            let bytes = bytes.map_err(|_| format!("the result has no size for {}", object.name))?;
            Ok(SeenData { name: object.name, digest, bytes })
        })
        .collect()
}
