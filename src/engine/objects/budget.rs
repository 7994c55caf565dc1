//! The PodDisruptionBudget.

use serde_json::{Value, json};
use serin_api::{IntOrString, labels};

use super::Owner;
use crate::revision;

/// One for the pods of all versions: a pod that two of them select cannot be evicted at all. A pod that is not ready may
/// always go, or a version that crashes would block every drain
/// (<https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy>).
pub fn budget(owner: &Owner<'_>, max_unavailable: &IntOrString, uid: Option<&str>) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": owner.metadata(owner.name, &[], uid),
        "spec": {
            "maxUnavailable": max_unavailable,
            "selector": {"matchLabels": {labels::INSTANCE: revision::instance(owner.uid)}},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    })
}
