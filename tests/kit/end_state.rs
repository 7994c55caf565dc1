//! What a rollout leaves behind, with everything masked that differs from one run to the next.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Value, json};

use crate::invariants;
use crate::world::World;

/// Kinds that count.
const KINDS: [&str; 5] = ["ModelDeployment", "Deployment", "Service", "HTTPRoute", "PodDisruptionBudget"];

/// Fields that hold a time.
const TIMES: [&str; 8] = [
    "at",
    "since",
    "from",
    "startedAt",
    "analysisFrom",
    "stableRecordedAt",
    "lastTransitionTime",
    "creationTimestamp",
];

/// Every object of the namespace, comparable.
pub fn masked(world: &World, name: &str) -> BTreeMap<String, String> {
    let now = world.history.now();
    let uid =
        now.get("ModelDeployment", name).map(|model| model["metadata"]["uid"].clone()).unwrap_or_default();
    let mut words = vec![(world.namespace.clone(), "NAMESPACE".to_owned())];
    if let Some(uid) = uid.as_str() {
        words.push((uid.to_owned(), "UID".to_owned()));
        words.push((serin_engine::revision::instance(uid), "INSTANCE".to_owned()));
    }
    for deployment in now.all("Deployment") {
        let labels = &deployment["metadata"]["labels"];
        let revision = labels["serin.dev/revision"].as_str().unwrap_or("no revision");
        words.push((text(&deployment["metadata"]["name"]), format!("{name}-of-{revision}")));
    }
    let mut result = BTreeMap::new();
    for kind in KINDS {
        for object in now.all(kind) {
            let mut object = object.clone();
            strip(kind, &mut object);
            let key = replaced(&format!("{kind} {}", text(&object["metadata"]["name"])), &words);
            let told = replaced(&serde_json::to_string_pretty(&object).unwrap(), &words);
            // Two objects that are the same but for what is masked would be a duplicate: it must not vanish here.
            let key = if result.contains_key(&key) { format!("{key} once more") } else { key };
            result.insert(key, told);
        }
    }
    result
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn replaced(told: &str, words: &[(String, String)]) -> String {
    words.iter().fold(told.to_owned(), |told, (word, mask)| told.replace(word, mask))
}

fn strip(kind: &str, object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["uid", "resourceVersion", "generation", "managedFields"] {
            metadata.remove(field);
        }
    }
    match kind {
        "ModelDeployment" => {}
        "Deployment" => {
            let available = object["status"]["availableReplicas"].clone();
            object["status"] = json!({"availableReplicas": available});
        }
        "Service" => {
            object["spec"]["clusterIP"] = Value::Null;
            object["spec"]["clusterIPs"] = Value::Null;
        }
        "HTTPRoute" => object["status"] = json!(invariants::weights(object)),
        _ => object["status"] = Value::Null,
    }
    mask(object, &Regex::new(r"[0-9]+(\.[0-9]+)?").unwrap());
}

/// Times, the numbers in messages, and the evidence, which depends on when it was looked at.
fn mask(value: &mut Value, number: &Regex) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value {
                    Value::String(text) if TIMES.contains(&key.as_str()) => "TIME".clone_into(text),
                    Value::String(text) if key == "message" => {
                        *text = number.replace_all(text, "#").into_owned();
                    }
                    Value::Array(_) if key == "evidence" => *value = Value::Null,
                    other => mask(other, number),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, number)),
        _ => {}
    }
}
