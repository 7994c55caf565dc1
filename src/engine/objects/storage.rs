//! How a container reaches the object stores.

use serde_json::{Value, json};
use serin_api::Storage;

/// Environment, and what it is taken over from whole: the user's Secret, which the kubelet reads and we never do.
pub fn storage(storage: &Storage) -> (Value, Value) {
    let places = [("SERIN_STORAGE_ENDPOINT", &storage.endpoint), ("SERIN_STORAGE_REGION", &storage.region)];
    let set =
        |(name, value): (&str, &Option<String>)| value.as_ref().map(|v| json!({"name": name, "value": v}));
    let env = places.into_iter().filter_map(set).collect();
    let secret = storage.secret_name.iter().map(|name| json!({"secretRef": {"name": name}})).collect();
    (env, secret)
}
