//! The HTTPRoute: always both backends, so that a step is a change of two numbers.

use serde_json::{Map, Value, json};
use serin_api::{GatewayTraffic, SessionPersistence, Slot, labels};

use super::{Owner, service::PORT};
use crate::plan::{Journal, Mirror, Weights};

/// Copies of requests to a slot; the gateway drops the answers. All of them is what the filter does by itself, and more
/// gateways can do that than a part.
fn copies(owner: &Owner<'_>, mirror: Mirror) -> Value {
    let name = owner.slot_service_name(mirror.to);
    let mut filter = json!({"backendRef": {"group": "", "kind": "Service", "name": name, "port": PORT}});
    if mirror.percent < 100 {
        filter["percent"] = json!(mirror.percent);
    }
    json!({"type": "RequestMirror", "requestMirror": filter})
}

/// What can be written of it: a cluster whose HTTPRoute has no `sessionPersistence` drops it from a new route and refuses a
/// change of an old one.
pub fn served(gateway: &GatewayTraffic, session_persistence: Option<bool>) -> GatewayTraffic {
    let mut served = gateway.clone();
    served.session_persistence.take_if(|_| session_persistence != Some(true));
    served
}

/// How sessions are kept under these weights: not at all while one version has everything. A gateway keeps a session at a
/// backend of weight 0, too (GEP-1619), so that the field has to go for the way back, and for a promotion, to move
/// everybody. The cookie's name has the candidate in it: whoever has a cookie of another trial is divided anew.
pub fn session(gateway: &GatewayTraffic, weights: Weights, journal: &Journal) -> Option<Value> {
    let SessionPersistence { session_name, absolute_timeout_seconds } =
        gateway.session_persistence.as_ref()?;
    if weights.a <= 0 || weights.b <= 0 {
        return None;
    }
    // All words, also where they are the API's defaults, so that it reads as it was written.
    let lifetime = if absolute_timeout_seconds.is_some() { "Permanent" } else { "Session" };
    let name = session_name.as_deref().unwrap_or("serin");
    let mut session = json!({
        "type": "Cookie",
        "sessionName": format!("{name}-{}", journal.revision),
        "cookieConfig": {"lifetimeType": lifetime},
    });
    if let Some(seconds) = absolute_timeout_seconds {
        session["absoluteTimeout"] = json!(duration(*seconds));
    }
    Some(session)
}

/// Seconds as the Gateway API writes a time: at most five digits before a unit.
fn duration(seconds: i32) -> String {
    let parts = [(seconds / 3600, "h"), (seconds % 3600 / 60, "m"), (seconds % 60, "s")];
    let words: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    words.concat()
}

/// Builds it.
pub fn route(
    owner: &Owner<'_>,
    gateway: &GatewayTraffic,
    weights: Weights,
    journal: &Journal,
    uid: Option<&str>,
) -> Value {
    let mut metadata = owner.metadata(owner.name, &[], uid);
    metadata["annotations"] = json!({labels::JOURNAL: journal.to_string()});
    let backends: Vec<Value> = [Slot::A, Slot::B]
        .into_iter()
        .map(|slot| {
            json!({
                "group": "", "kind": "Service",
                "name": owner.slot_service_name(slot), "port": PORT, "weight": weights.of(slot),
            })
        })
        .collect();
    let path = json!({"path": {"type": "PathPrefix", "value": "/"}});
    let mut everybody = json!({"matches": [path], "backendRefs": backends});
    if let Some(mirror) = weights.mirror {
        everybody["filters"] = json!([copies(owner, mirror)]);
    }
    if let Some(session) = session(gateway, weights, journal) {
        everybody["sessionPersistence"] = session;
    }
    let mut rules = vec![everybody];
    if let (Some(testers), Some(slot)) = (&gateway.testers, weights.testers) {
        // The more headers a rule matches, the sooner it is taken; the order in the list says nothing.
        let mut header = path;
        header["headers"] = json!([{"type": "Exact", "name": testers.header, "value": testers.value}]);
        let name = owner.slot_service_name(slot);
        let to = json!({"group": "", "kind": "Service", "name": name, "port": PORT, "weight": 1});
        rules.push(json!({"matches": [header], "backendRefs": [to]}));
    }
    let mut spec = json!({
        "parentRefs": gateway.parent_refs.iter().map(|p| {
            let mut r = Map::new();
            r.insert("group".to_owned(), json!("gateway.networking.k8s.io"));
            r.insert("kind".to_owned(), json!("Gateway"));
            r.insert("name".to_owned(), json!(p.name));
            if let Some(ns) = &p.namespace {
                r.insert("namespace".to_owned(), json!(ns));
            }
            if let Some(section) = &p.section_name {
                r.insert("sectionName".to_owned(), json!(section));
            }
            Value::Object(r)
        }).collect::<Vec<_>>(),
        "rules": rules,
    });
    if !gateway.hostnames.is_empty() {
        spec["hostnames"] = json!(gateway.hostnames);
    }
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata,
        "spec": spec,
    })
}
