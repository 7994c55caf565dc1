//! Services: one a slot behind a gateway, or a single one whose selector is the switch.

use serde_json::{Value, json};
use serin_api::{Slot, labels};

use super::{Owner, WEIGHTS};
use crate::{
    plan::{Journal, Weights},
    revision,
};

/// The Service of a slot: a backend of the route. Its selector never changes.
pub fn slot_service(owner: &Owner<'_>, slot: Slot) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": owner.metadata(&owner.slot_service_name(slot), &[(labels::SLOT, slot.as_str())], None),
        "spec": {
            "selector": {labels::INSTANCE: revision::instance(owner.uid), labels::SLOT: slot.as_str()},
            "ports": ports(),
        },
    })
}

/// Replica ratio: the Service that users call. It selects one slot, or both while a candidate has weight; how many
/// pods each has is then the weight.
pub fn ratio_service(owner: &Owner<'_>, weights: Weights, journal: &Journal, uid: Option<&str>) -> Value {
    let mut metadata = owner.metadata(owner.name, &[], uid);
    metadata["annotations"] = json!({
        labels::JOURNAL: journal.to_string(),
        WEIGHTS: format!("{}/{}", weights.a, weights.b),
    });
    let mut selector = json!({labels::INSTANCE: revision::instance(owner.uid)});
    if let Some(slot) = only(weights) {
        selector[labels::SLOT] = json!(slot.as_str());
    }
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": selector, "ports": ports()},
    })
}

/// The one slot that has all the traffic, if there is one.
pub fn only(weights: Weights) -> Option<Slot> {
    match (weights.a, weights.b) {
        (100, 0) => Some(Slot::A),
        (0, 100) => Some(Slot::B),
        _ => None,
    }
}

/// Port of every Service; the name of the container's port survives a change of its number.
pub const PORT: i32 = 80;

fn ports() -> Value {
    json!([{"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"}])
}
