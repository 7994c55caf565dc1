//! The examples that the tests change one field of, and the CRD's rules.
#![allow(dead_code, reason = "each test binary uses a part of this module")]

use kube::core::cel::Validator;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serin_api::ModelDeployment;

/// A full example as JSON, as an apiserver would get it.
pub fn full_of(kind: &str) -> Value {
    let text = match kind {
        "ModelDeployment" => include_str!("../full/model-deployment.yaml"),
        "ModelVersion" => include_str!("../full/model-version.yaml"),
        "RetrainPolicy" => include_str!("../full/retrain-policy.yaml"),
        "TrainingRun" => include_str!("../full/training-run.yaml"),
        other => panic!("no example of a {other}"),
    };
    serde_saphyr::from_str(text).unwrap()
}

/// [`full_of`] a ModelDeployment.
pub fn full() -> Value {
    full_of("ModelDeployment")
}

/// An example with the value at a JSON pointer replaced; `None` removes it.
pub fn with_of(kind: &str, pointer: &str, value: Option<Value>) -> Value {
    changed(full_of(kind), pointer, value)
}

/// [`with_of`] a ModelDeployment.
pub fn with(pointer: &str, value: Option<Value>) -> Value {
    with_of("ModelDeployment", pointer, value)
}

/// The object with the value at a JSON pointer replaced; `None` removes it.
pub fn changed(mut object: Value, pointer: &str, value: Option<Value>) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match (object.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")), value) {
        (Value::Object(map), Some(v)) => drop(map.insert(key.to_owned(), v)),
        (Value::Object(map), None) => drop(map.remove(key)),
        (Value::Array(items), Some(v)) => items[key.parse::<usize>().unwrap()] = v,
        (Value::Array(items), None) => drop(items.remove(key.parse::<usize>().unwrap())),
        _ => panic!("{pointer} leads nowhere"),
    }
    object
}

/// The typed object.
pub fn typed(object: Value) -> ModelDeployment {
    read(object)
}

/// The typed object, of any kind.
pub fn read<T: DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).unwrap()
}

/// The schema of a kind.
pub fn schema(kind: &str) -> Value {
    let crd = serin_api::crds().into_iter().find(|crd| crd.spec.names.kind == kind);
    let crd = crd.unwrap_or_else(|| panic!("no CRD of {kind}"));
    serde_json::to_value(crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref()).unwrap()
}

/// Messages of the rules of its CRD that an object breaks.
pub fn broken(object: &Value) -> Vec<String> {
    broken_by_change(object, None)
}

/// The same for a change.
pub fn broken_by_change(object: &Value, old: Option<&Value>) -> Vec<String> {
    let schema = schema(object["kind"].as_str().unwrap());
    match Validator::new().validate(&schema, object, old) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

/// Messages of all rules of a schema; `oldSelf` in a rule means that it is about changes.
pub fn rules(schema: &Value) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    match schema {
        Value::Object(map) => {
            for rule in map.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                let about_changes = rule["rule"].as_str().unwrap().contains("oldSelf");
                found.push((rule["message"].as_str().unwrap().to_owned(), about_changes));
            }
            map.values().for_each(|v| found.extend(rules(v)));
        }
        Value::Array(items) => items.iter().for_each(|v| found.extend(rules(v))),
        _ => {}
    }
    found
}
