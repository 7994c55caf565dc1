//! The node object, and its heartbeat: without one, the node's controller declares every pod on it unready.

use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::world::TEST_LABEL;

pub async fn register(client: &Client, name: &str) {
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let node: Node = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {TEST_LABEL: "node", "kubernetes.io/hostname": name}},
        "status": {
            "capacity": {"cpu": "64", "memory": "256Gi", "pods": "1000"},
            "allocatable": {"cpu": "64", "memory": "256Gi", "pods": "1000"},
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
                "lastHeartbeatTime": now, "lastTransitionTime": now,
            }],
        },
    }))
    .unwrap();
    beat(client, name).await;
    Api::<Node>::all(client.clone()).create(&PostParams::default(), &node).await.unwrap();
}

pub async fn heartbeat(client: Client, name: String) {
    loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        beat(&client, &name).await;
    }
}

async fn beat(client: &Client, name: &str) {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": 40,
            "renewTime": Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
        },
    });
    let api: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    let renewed = api.patch(name, &PatchParams::apply("serin-tests").force(), &Patch::Apply(&lease)).await;
    if let Err(error) = renewed {
        eprintln!("heartbeat of {name}: {error}");
    }
}
