//! The HTTPRoute: always both backends, so that a step is a change of two numbers.

use serde_json::{Map, Value, json};
use serin_api::{GatewayTraffic, Slot, labels};

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
