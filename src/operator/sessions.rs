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
/// A watch that was begun before a definition was replaced goes on for up to two minutes without its new fields, and what it
/// has shown is not shown again. That goes for our own and for the gateway's: a field that is new is left alone for so long.
const SETTLED: Duration = Duration::from_secs(150);
const DOCUMENT: &str = "/openapi/v3/apis/gateway.networking.k8s.io/v1";

/// What was found out, and when.
#[derive(Default)]
pub struct SessionField {
    found: Mutex<Found>,
}

#[derive(Clone, Copy, Default)]
struct Found {
    asked: Option<Instant>,
    has: Option<bool>,
    /// When it was first seen, if it was not there before.
    appeared: Option<Instant>,
}

impl SessionField {
    /// The last answer; none while the field is too new to be relied on.
    pub fn known(&self) -> Option<bool> {
        self.last().known(Instant::now())
    }

    /// Finds it out, unless that was done a moment ago. An error leaves the last answer.
    pub async fn look(&self, client: &Client) {
        let now = Instant::now();
        if self.last().asked.is_some_and(|at| now.duration_since(at) < AGAIN) {
            return;
        }
        let answer = ask(client).await;
        if let Err(error) = &answer {
            tracing::warn!(%error, "cannot ask whether HTTPRoute has sessionPersistence");
        }
        let next = self.last().after(answer.ok(), now);
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }

    fn last(&self) -> Found {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    fn after(self, answer: Option<bool>, now: Instant) -> Self {
        let has = answer.or(self.has);
        let appeared = match (self.has, has) {
            (Some(false), Some(true)) => Some(now),
            (_, Some(true)) => self.appeared,
            _ => None,
        };
        Self { asked: Some(now), has, appeared }
    }

    fn known(self, now: Instant) -> Option<bool> {
        let new = self.appeared.is_some_and(|at| now.duration_since(at) < SETTLED);
        self.has.filter(|_| !new)
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
        routes
            .filter_map(|(_, route)| route.properties.get("spec")?.properties.get("rules")?.items.as_ref())
            .any(|rule| rule.properties.contains_key("sessionPersistence"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_new_field_is_left_alone_until_every_watch_knows_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let yes = Found::default().after(Some(true), start);
        assert_eq!(yes.known(start), Some(true), "it was there when we came");
        let no = Found::default().after(None, start).after(Some(false), start);
        assert_eq!(no.known(start), Some(false));
        let new = no.after(Some(true), at(30)).after(None, at(60)).after(Some(true), at(90));
        assert_eq!((new.known(at(90)), new.known(at(200))), (None, Some(true)));
        assert_eq!(new.after(Some(false), at(300)).known(at(300)), Some(false));
        assert_eq!(new.after(Some(true), at(300)).known(at(300)), Some(true));
    }

    #[test]
    fn a_field_of_a_rule_is_found_where_it_is() {
        let has = |kind: &str, field: &str| {
            let mut rule =
                json!({"type": "object", "properties": {"backendRefs": {"type": "array", "items": {}}}});
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
