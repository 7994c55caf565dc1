//! What must hold at every moment of every test, checked on the whole history in the apiserver's own order.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::history::{Change, Now};

/// Each broken rule, in words.
pub fn broken(changes: &[Change]) -> Vec<String> {
    let mut now = Now::default();
    let mut broken = Vec::new();
    for change in changes {
        let before = now.get(change.kind, &change.name).cloned();
        let name = owner(&change.object).unwrap_or_default();
        match change.kind {
            "HTTPRoute" if !change.gone && !name.is_empty() => {
                route(&now, &name, before.as_ref(), &change.object, &mut broken);
            }
            "Deployment" => leaving(&now, &name, change, before.as_ref(), &mut broken),
            _ => {}
        }
        now.apply(change);
    }
    broken
}

/// The ModelDeployment that an object says it belongs to.
fn owner(object: &Value) -> Option<String> {
    object["metadata"]["labels"]["serin.dev/model-deployment"].as_str().map(ToOwned::to_owned)
}

/// Percent by slot, from a route of ours.
pub fn weights(route: &Value) -> BTreeMap<String, i64> {
    let rules = route["spec"]["rules"].as_array().into_iter().flatten();
    let backends = rules.flat_map(|rule| rule["backendRefs"].as_array().into_iter().flatten());
    backends
        .filter_map(|backend| {
            let (_, slot) = backend["name"].as_str()?.rsplit_once('-')?;
            Some((slot.to_owned(), backend["weight"].as_i64().unwrap_or(1)))
        })
        .collect()
}

/// Set anew, to another value, by a test that changes or deletes a child of ours: what follows is not our doing.
pub const BY_HAND: &str = "serin.dev/by-hand";

fn by_hand(before: Option<&Value>, after: &Value) -> bool {
    let mark = |object: &Value| object["metadata"]["annotations"][BY_HAND].clone();
    mark(after) != before.map_or(Value::Null, mark)
}

fn written_by_us(route: &Value) -> bool {
    route["metadata"]["annotations"]["serin.dev/journal"].is_string()
}

/// Weights add up, and none rises where nothing is available while there is something to protect.
fn route(now: &Now, name: &str, before: Option<&Value>, after: &Value, broken: &mut Vec<String>) {
    let generation = |route: &Value| route["metadata"]["generation"].as_i64();
    let same = before.is_some_and(|before| generation(before) == generation(after));
    if same || !written_by_us(after) || by_hand(before, after) {
        return;
    }
    let weights_now = weights(after);
    let journal = after["metadata"]["annotations"]["serin.dev/journal"].as_str().unwrap_or_default();
    let told = format!("route of {name} ({journal}) {weights_now:?}");
    let sum: i64 = weights_now.values().sum();
    if sum != 100 {
        broken.push(format!("{told}: the weights add up to {sum}"));
    }
    let serves = now.get("ModelDeployment", name).is_some_and(|model| !model["status"]["stable"].is_null());
    let weights_before = before.map(weights).unwrap_or_default();
    for (slot, weight) in &weights_now {
        let was = weights_before.get(slot).copied().unwrap_or(0);
        if serves && *weight > was && available(now, name, slot) == 0 && !scaled_to_zero(now, name) {
            broken.push(format!("{told}: {slot} rises from {was} with nothing available"));
        }
    }
}

fn scaled_to_zero(now: &Now, name: &str) -> bool {
    now.get("ModelDeployment", name).is_some_and(|model| model["spec"]["replicas"] == 0)
}

/// Available pods of a slot.
pub fn available(now: &Now, name: &str, slot: &str) -> i64 {
    let of_slot = now.all("Deployment").filter(|deployment| {
        let labels = &deployment["metadata"]["labels"];
        labels["serin.dev/model-deployment"] == name && labels["serin.dev/slot"] == slot
    });
    of_slot.map(|deployment| deployment["status"]["availableReplicas"].as_i64().unwrap_or(0)).sum()
}

/// No Deployment goes while it has traffic, unless everything goes with its owner.
fn leaving(now: &Now, name: &str, change: &Change, before: Option<&Value>, broken: &mut Vec<String>) {
    let is_leaving = |object: &Value| object["metadata"]["deletionTimestamp"].is_string();
    let news = change.gone || is_leaving(&change.object);
    let doomed = change.object["metadata"]["annotations"][BY_HAND].is_string();
    if !news || before.is_some_and(is_leaving) || name.is_empty() || doomed {
        return;
    }
    let owner_stays = now.get("ModelDeployment", name).is_some_and(|model| {
        !is_leaving(model)
            && change.object["metadata"]["ownerReferences"][0]["uid"] == model["metadata"]["uid"]
    });
    let slot = change.object["metadata"]["labels"]["serin.dev/slot"].as_str().unwrap_or_default();
    let weight = now.get("HTTPRoute", name).and_then(|route| weights(route).get(slot).copied()).unwrap_or(0);
    if owner_stays && weight > 0 {
        broken.push(format!("{} goes while its slot {slot} has {weight} % of the traffic", change.name));
    }
}
