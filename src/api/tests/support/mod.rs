//! The example that the tests change one field of.

use serde_json::Value;
use serin_api::ModelDeployment;

/// `full.yaml` as JSON, as an apiserver would get it.
pub fn full() -> Value {
    serde_saphyr::from_str(include_str!("../full.yaml")).unwrap()
}

/// `full()` with the value at a JSON pointer replaced; `None` removes it.
#[allow(dead_code, reason = "each test binary uses a part of this module")]
pub fn with(pointer: &str, value: Option<Value>) -> Value {
    let mut object = full();
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
#[allow(dead_code, reason = "each test binary uses a part of this module")]
pub fn typed(object: Value) -> ModelDeployment {
    serde_json::from_value(object).unwrap()
}
