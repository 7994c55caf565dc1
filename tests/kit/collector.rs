//! The garbage collector learns of a kind up to half a minute after its definition was made
//! (`resourceResyncTime` in Kubernetes' `pkg/controller/garbagecollector`). What is deleted earlier keeps its children
//! for longer than any test waits.

use std::time::Duration;

use chrono::Utc;
use kube::api::{ApiResource, DeleteParams, DynamicObject, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use serin_api::{ModelDeployment, TrainingRun};
use tokio::time::{Instant, sleep};

use crate::fixtures::wine;
use crate::gateway::http_route;
use crate::runs::run;

/// Where no operator looks.
const NAMESPACE: &str = "kube-public";
/// How long one pair may take: the collector looks less and less often at an owner that it does not know.
const ONE_TRY: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_mins(2);

/// Returns when the children of ModelDeployments and TrainingRuns are collected.
pub async fn wait_for_kinds(client: &Client) {
    let (model, training) = (json!(wine("v1")), json!(run()));
    let kinds = [
        (ApiResource::erase::<ModelDeployment>(&()), model),
        (ApiResource::erase::<TrainingRun>(&()), training),
    ];
    let limit = Instant::now() + LIMIT;
    for (owner, body) in kinds {
        while !is_collected(client, &owner, &body).await {
            assert!(Instant::now() < limit, "children of a {} are not collected", owner.kind);
        }
    }
}

/// Whether the child of an owner that is deleted goes within a moment.
async fn is_collected(client: &Client, owner: &ApiResource, body: &Value) -> bool {
    let child = http_route();
    let owners: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, owner);
    let children: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &child);
    let name = format!("probe-{}", Utc::now().timestamp_micros());
    let mut body = body.clone();
    body["metadata"] = json!({"name": name});
    let made = owners.create(&PostParams::default(), &serde_json::from_value(body).unwrap()).await.unwrap();
    let reference = json!({
        "apiVersion": made.types.as_ref().unwrap().api_version, "kind": owner.kind, "name": name, "uid": made.uid(),
    });
    let of_it: DynamicObject = serde_json::from_value(json!({
        "apiVersion": child.api_version, "kind": child.kind,
        "metadata": {"name": name, "ownerReferences": [reference]}, "spec": {},
    }))
    .unwrap();
    children.create(&PostParams::default(), &of_it).await.unwrap();
    owners.delete(&name, &DeleteParams::background()).await.unwrap();
    let limit = Instant::now() + ONE_TRY;
    while children.get_metadata_opt(&name).await.unwrap().is_some() {
        if Instant::now() > limit {
            let _ = children.delete(&name, &DeleteParams::background()).await;
            return false;
        }
        sleep(Duration::from_millis(50)).await;
    }
    true
}
