//! Definitions that take anything, for tests of what an operator does with objects that its own would have refused.

use std::time::Duration;

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, Client};
use serde_json::{Value, json};
use serin_api::{ModelDeployment, ModelVersion, TrainingRun};

use crate::cluster::{Cluster, crd};
use crate::manifests;

/// Replaces Serin's definitions by ones that take anything.
pub async fn loosen(cluster: &Cluster) {
    let loose: Vec<String> = serin_api::crds::crds().into_iter().map(|crd| loose(crd).to_string()).collect();
    manifests::apply(cluster.bed(), &loose.join("\n---\n")).await;
    in_force(&cluster.client(), true).await;
}

/// Puts Serin's own back.
pub async fn restore(cluster: &Cluster) {
    manifests::apply(cluster.bed(), &crd()).await;
    in_force(&cluster.client(), false).await;
}

fn loose(crd: impl serde::Serialize) -> Value {
    let mut crd = serde_json::to_value(crd).unwrap();
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = &mut crd["spec"]["versions"][0];
    version["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "properties": {"spec": open, "status": open}});
    // The scale subresource has rules of its own about replicas.
    version["subresources"] = json!({"status": {}});
    crd
}

/// The handler of a new definition replaces the old one a moment after it was taken.
async fn in_force(client: &Client, loose: bool) {
    let kinds = [
        ApiResource::erase::<ModelDeployment>(&()),
        ApiResource::erase::<ModelVersion>(&()),
        ApiResource::erase::<TrainingRun>(&()),
    ];
    for kind in kinds {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &kind);
        let probe = json!({
            "apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "probe"}, "spec": {"model": 7},
        });
        let dry = PatchParams { dry_run: true, ..PatchParams::apply("probe").force() };
        let limit = tokio::time::Instant::now() + Duration::from_secs(20);
        while api.patch("probe", &dry, &Patch::Apply(&probe)).await.is_ok() != loose {
            assert!(tokio::time::Instant::now() < limit, "the definition of {} does not change", kind.kind);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
