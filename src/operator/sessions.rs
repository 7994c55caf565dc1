//! Whether this cluster's HTTPRoute has `sessionPersistence`, a field of the Gateway API's experimental channel. An
//! apiserver drops an unknown field from a new object and refuses it in an apply, and no gateway lists it among what it
//! supports. The apiserver's own description of the API, which everybody may read, is asked; and only while a deployment
//! wants the field, as the answer is large.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::Request;
use kube::Client;
use serde::Deserialize;

/// An answer is asked for again after this long: definitions are replaced seldom.
const AGAIN: Duration = Duration::from_secs(30);
const DOCUMENT: &str = "/openapi/v3/apis/gateway.networking.k8s.io/v1";

/// What was found out, and when.
#[derive(Default)]
pub struct SessionField {
    found: Mutex<Option<(Instant, Option<bool>)>>,
}

impl SessionField {
    /// The last answer.
    pub fn known(&self) -> Option<bool> {
        self.last().and_then(|(_, has)| has)
    }

    /// Finds it out, unless that was done a moment ago. An error leaves the last answer.
    pub async fn look(&self, client: &Client) {
        if self.last().is_some_and(|(at, _)| at.elapsed() < AGAIN) {
            return;
        }
        let has = match ask(client).await {
            Ok(has) => Some(has),
            Err(error) => {
                tracing::warn!(%error, "cannot ask whether HTTPRoute has sessionPersistence");
                self.known()
            }
        };
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), has));
    }

    fn last(&self) -> Option<(Instant, Option<bool>)> {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(client: &Client) -> kube::Result<bool> {
    let request = Request::get(DOCUMENT).body(Vec::new()).map_err(kube::Error::HttpError)?;
    Ok(client.request::<Document>(request).await?.has_session_persistence())
}

/// As much of an OpenAPI document as leads to the field.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Document {
    components: Components,
}
#[derive(Deserialize, Default)]
#[serde(default)]
struct Components {
    schemas: HashMap<String, Schema>,
}
#[derive(Deserialize, Default)]
#[serde(default)]
struct Schema {
    properties: HashMap<String, Schema>,
    items: Option<Box<Schema>>,
}

impl Document {
    fn has_session_persistence(&self) -> bool {
        let routes = self.components.schemas.iter().filter(|(name, _)| name.ends_with(".HTTPRoute"));
        routes.filter_map(|(_, route)| route.properties.get("spec")?.properties.get("rules")?.items.as_ref())
            .any(|rule| rule.properties.contains_key("sessionPersistence"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_of_a_rule_is_found_where_it_is() {
        let has = |kind: &str, field: &str| {
            let mut rule = json!({"type": "object", "properties": {"backendRefs": {"type": "array", "items": {}}}});
            rule["properties"][field] = json!({"type": "object"});
            let rules = json!({"type": "array", "items": rule});
            let spec = json!({"type": "object", "properties": {"rules": rules}});
            let route = json!({"type": "object", "properties": {"spec": spec, "kind": {"type": "string"}}});
            let mut schemas = json!({});
            schemas[format!("io.k8s.networking.gateway.v1.{kind}")] = route;
            let document = json!({"openapi": "3.0.0", "components": {"schemas": schemas}});
            serde_json::from_value::<Document>(document).unwrap().has_session_persistence()
        };
        assert!(has("HTTPRoute", "sessionPersistence"));
        assert!(!has("HTTPRoute", "timeouts"));
        assert!(!has("GRPCRoute", "sessionPersistence"));
        assert!(!serde_json::from_value::<Document>(json!({})).unwrap().has_session_persistence());
    }
}
