//! HTTPRoutes: the weights, and whether the gateway has confirmed them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serin_api::{GatewayTraffic, Slot};
use serin_engine::{Journal, Mirror, Weights, objects};

use super::{Child, Ident, journal};
use crate::owner::OwnerKind;

/// An HTTPRoute. Declared here because the `gateway-api` crate is built on an older kube (docs/adr/0001).
#[derive(kube::CustomResource, Serialize, Deserialize, Clone, Debug)]
#[kube(group = "gateway.networking.k8s.io", version = "v1", kind = "HTTPRoute", root = "HttpRoute")]
#[kube(plural = "httproutes", namespaced, schema = "disabled", status = "HttpRouteStatus")]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    #[serde(default)]
    pub parent_refs: Vec<RouteParent>,
    #[serde(default)]
    pub hostnames: Vec<String>,
    #[serde(default)]
    pub rules: Vec<RouteRule>,
}
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RouteParent {
    pub name: String,
    #[serde(default)]
    pub namespace: Option<String>,
    #[serde(default)]
    pub section_name: Option<String>,
}
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct RouteRule {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub matches: Vec<RouteMatch>,
    #[serde(default)]
    pub filters: Vec<RouteFilter>,
    #[serde(default)]
    pub backend_refs: Vec<RouteBackend>,
    /// As it is: it is only compared.
    #[serde(default)]
    pub session_persistence: Option<Value>,
}
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct RouteFilter {
    #[serde(default)]
    pub request_mirror: Option<RouteMirror>,
}
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct RouteMirror {
    pub backend_ref: RouteBackend,
    #[serde(default)]
    pub percent: Option<i32>,
    #[serde(default)]
    pub fraction: Option<Value>,
}
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct RouteMatch {
    #[serde(default)]
    pub headers: Vec<RouteHeader>,
}
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct RouteHeader {
    pub name: String,
    pub value: String,
}
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct RouteBackend {
    pub name: String,
    #[serde(default)]
    pub group: Option<String>,
    #[serde(default)]
    pub kind: Option<String>,
    #[serde(default)]
    pub namespace: Option<String>,
    #[serde(default = "one")]
    pub weight: i32,
}
fn one() -> i32 {
    1
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct HttpRouteStatus {
    #[serde(default)]
    pub parents: Vec<RouteParentStatus>,
}
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct RouteParentStatus {
    pub parent_ref: RouteParent,
    #[serde(default)]
    pub conditions: Vec<RouteCondition>,
}
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct RouteCondition {
    #[serde(rename = "type")]
    pub type_: String,
    pub status: String,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub observed_generation: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteView {
    pub ident: Ident,
    pub weights: Option<Weights>,
    /// What makes a request a tester's.
    pub testers: Option<RouteHeader>,
    /// How the rule for everybody keeps sessions.
    pub session: Option<Value>,
    pub parents: Vec<RouteParent>,
    pub hostnames: Vec<String>,
    pub journal: Option<Journal>,
    pub confirmed: bool,
    pub refused: Option<String>,
}
impl Child for HttpRoute {
    const OWNER: OwnerKind = OwnerKind::ModelDeployment;
    type View = RouteView;
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn ident(view: &RouteView) -> &Ident {
        &view.ident
    }
    fn view(&self, ident: Ident) -> RouteView {
        let name = self.metadata.name.clone().unwrap_or_default();
        let (weights, testers) = match self.spec.rules.as_slice() {
            [all] => (weights(&name, all), None),
            [all, few] => match testers(&name, few) {
                Some((slot, header)) => {
                    let all = weights(&name, all);
                    (all.map(|all| Weights { testers: Some(slot), ..all }), Some(header))
                }
                None => (None, None),
            },
            _ => (None, None),
        };
        let (confirmed, refused) = route_state(self);
        RouteView {
            ident,
            weights,
            testers,
            session: self.spec.rules.first().and_then(|all| all.session_persistence.clone()),
            parents: self.spec.parent_refs.clone(),
            hostnames: self.spec.hostnames.clone(),
            journal: journal(&self.metadata),
            confirmed,
            refused,
        }
    }
}

/// What the rule for everybody says; `None` if it is not as we make it.
fn weights(name: &str, rule: &RouteRule) -> Option<Weights> {
    let everybody = rule.matches.iter().all(|m| m.headers.is_empty());
    let mirror = mirror(name, rule).ok()?;
    match rule.backend_refs.as_slice() {
        [a, b] if everybody && a.name == format!("{name}-a") && b.name == format!("{name}-b") => {
            Some(Weights { a: a.weight, b: b.weight, testers: None, mirror })
        }
        _ => None,
    }
}

/// Copies that are not as we make them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NotOurs;

/// Who gets copies of a rule's requests, if anybody does. Other filters are not looked at.
fn mirror(name: &str, rule: &RouteRule) -> Result<Option<Mirror>, NotOurs> {
    let mirrors: Vec<&RouteMirror> = rule.filters.iter().filter_map(|f| f.request_mirror.as_ref()).collect();
    match mirrors.as_slice() {
        [] => Ok(None),
        [RouteMirror { backend_ref, percent, fraction: None }] => {
            let to = slot_of(name, &backend_ref.name).ok_or(NotOurs)?;
            Ok(Some(Mirror { to, percent: percent.unwrap_or(100) }))
        }
        _ => Err(NotOurs),
    }
}

/// The slot whose Service this is.
fn slot_of(name: &str, service: &str) -> Option<Slot> {
    [Slot::A, Slot::B].into_iter().find(|slot| service == format!("{name}-{}", slot.as_str()))
}

/// Where the testers' rule leads, and what makes a tester; `None` if it is not as we make it.
fn testers(name: &str, rule: &RouteRule) -> Option<(Slot, RouteHeader)> {
    let ([RouteMatch { headers }], [to]) = (rule.matches.as_slice(), rule.backend_refs.as_slice()) else {
        return None;
    };
    let [header] = headers.as_slice() else { return None };
    let slot = slot_of(name, &to.name)?;
    let copied = mirror(name, rule) != Ok(None);
    (to.weight > 0 && !copied).then(|| (slot, header.clone()))
}

/// Confirmed: every parent we name says Accepted and ResolvedRefs for this very generation. Refused: one of them says
/// that it does not accept it. References that do not resolve are no refusal: a Service made a moment ago may not have
/// reached the gateway yet.
pub fn route_state(route: &HttpRoute) -> (bool, Option<String>) {
    let generation = route.metadata.generation.unwrap_or(0);
    let here = route.metadata.namespace.as_deref();
    let parents = route.status.as_ref().map(|s| s.parents.as_slice()).unwrap_or_default();
    let mut confirmed = !route.spec.parent_refs.is_empty();
    let mut refused = None;
    for wanted in &route.spec.parent_refs {
        // An absent namespace is the route's own.
        let namespace = |p: &RouteParent| p.namespace.as_deref().or(here).map(str::to_owned);
        let same = |p: &&RouteParentStatus| {
            p.parent_ref.name == wanted.name
                && p.parent_ref.section_name == wanted.section_name
                && namespace(&p.parent_ref) == namespace(wanted)
        };
        let mut ok = false;
        for status in parents.iter().filter(same) {
            let says = |ty: &str, value: &str| {
                status.conditions.iter().find(|c| {
                    c.type_ == ty
                        && c.status == value
                        && c.observed_generation.is_some_and(|g| g >= generation)
                })
            };
            ok |= says("Accepted", "True").is_some() && says("ResolvedRefs", "True").is_some();
            if let Some(no) = says("Accepted", "False") {
                refused = Some(format!("Gateway {}: {}", wanted.name, no.message));
            }
        }
        confirmed &= ok;
    }
    (confirmed, refused)
}

/// What a gateway cannot find, if it says so of the route as it is now: a backend of any rule. In a route of ours there is
/// nothing to find but our own Services, a moment after they were made.
pub fn unresolved(route: &HttpRoute) -> Option<String> {
    let generation = route.metadata.generation.unwrap_or(0);
    let parents = route.status.as_ref().map(|s| s.parents.as_slice()).unwrap_or_default();
    parents.iter().find_map(|parent| {
        let no = parent.conditions.iter().find(|c| {
            c.type_ == "ResolvedRefs"
                && c.status == "False"
                && c.observed_generation.is_some_and(|g| g >= generation)
        })?;
        Some(format!("Gateway {}: {}", parent.parent_ref.name, no.message))
    })
}

/// Whether the route is attached where the spec says.
pub fn attached_as_wanted(view: &RouteView, wanted: &GatewayTraffic) -> bool {
    let parents: Vec<RouteParent> = wanted
        .parent_refs
        .iter()
        .map(|p| RouteParent {
            name: p.name.clone(),
            namespace: p.namespace.clone(),
            section_name: p.section_name.clone(),
        })
        .collect();
    let same = |header: &RouteHeader| {
        wanted.testers.as_ref().is_some_and(|t| t.header == header.name && t.value == header.value)
    };
    let written = view.weights.zip(view.journal.as_ref());
    let session = written.and_then(|(weights, journal)| objects::route::session(wanted, weights, journal));
    view.parents == parents
        && view.hostnames == wanted.hostnames
        && view.session == session
        && view.testers.as_ref().is_none_or(same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn route(parent_namespace: &str, conditions: &serde_json::Value) -> HttpRoute {
        serde_json::from_value(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "wine", "namespace": "ns", "generation": 4},
            "spec": {"parentRefs": [{"name": "gw", "namespace": "infra"}], "rules": []},
            "status": {"parents": [
                {"parentRef": {"name": "gw", "namespace": parent_namespace}, "conditions": conditions},
            ]},
        }))
        .unwrap()
    }

    fn ruled(rules: &serde_json::Value) -> RouteView {
        let mut route = route("infra", &json!([]));
        let journal = (serin_api::labels::JOURNAL.to_owned(), "r1-x/1".to_owned());
        route.metadata.annotations = Some([journal].into());
        route.spec.rules = serde_json::from_value(rules.clone()).unwrap();
        route.view(super::super::ident(route.meta()))
    }

    #[test]
    fn testers_are_read_as_they_were_written() {
        let all = json!({"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [
            {"name": "wine-a", "weight": 90}, {"name": "wine-b", "weight": 10},
        ]});
        let few = |header: &str, to: &str| {
            json!({"matches": [{"headers": [{"type": "Exact", "name": header, "value": "yes"}]}],
                "backendRefs": [{"name": to, "weight": 1}]})
        };
        let weights = Weights { a: 90, b: 10, testers: None, mirror: None };
        assert_eq!(ruled(&json!([all])).weights, Some(weights));
        let tested = ruled(&json!([all, few("X-Tester", "wine-b")]));
        assert_eq!(tested.weights, Some(Weights { testers: Some(Slot::B), ..weights }));
        let wanted = |testers: serde_json::Value| -> GatewayTraffic {
            let mut wanted = json!({"parentRefs": [{"name": "gw", "namespace": "infra"}]});
            wanted["testers"] = testers;
            serde_json::from_value(wanted).unwrap()
        };
        assert!(attached_as_wanted(&tested, &wanted(json!({"header": "X-Tester", "value": "yes"}))));
        assert!(!attached_as_wanted(&tested, &wanted(json!({"header": "X-Other", "value": "yes"}))));
        assert!(!attached_as_wanted(&tested, &wanted(json!(null))));
        // So are sessions: one that is not asked for is drift, and so is one that is not as asked for.
        let mut kept = all.clone();
        kept["sessionPersistence"] = json!({"type": "Cookie", "sessionName": "serin-r1-x", "cookieConfig": {"lifetimeType": "Session"}});
        let wanted = |session: serde_json::Value| -> GatewayTraffic {
            let mut wanted = json!({"parentRefs": [{"name": "gw", "namespace": "infra"}]});
            wanted["sessionPersistence"] = session;
            serde_json::from_value(wanted).unwrap()
        };
        assert!(attached_as_wanted(&ruled(&json!([kept])), &wanted(json!({}))));
        assert!(!attached_as_wanted(&ruled(&json!([kept])), &wanted(json!(null))));
        assert!(!attached_as_wanted(&ruled(&json!([kept])), &wanted(json!({"sessionName": "wine"}))));
        assert!(!attached_as_wanted(&ruled(&json!([all])), &wanted(json!({}))));
        // Whatever is not ours is drift.
        assert_eq!(ruled(&json!([all, few("X-Tester", "stranger")])).weights, None);
        assert_eq!(ruled(&json!([few("X-Tester", "wine-b"), all])).weights, None);
        assert_eq!(ruled(&json!([all, few("X-Tester", "wine-b"), all])).weights, None);
    }

    #[test]
    fn copies_are_read_as_they_were_written() {
        let copied = |filters: &serde_json::Value| {
            ruled(&json!([{"filters": filters, "backendRefs": [{"name": "wine-a", "weight": 100}, {"name": "wine-b", "weight": 0}]}]))
                .weights
        };
        let to = |name: &str, more: &serde_json::Value| {
            let mut filter = json!({"backendRef": {"name": name, "port": 80}});
            filter.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"type": "RequestMirror", "requestMirror": filter})
        };
        let header = json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {}});
        let mirror = |percent| Some(Some(Mirror { to: Slot::B, percent }));
        let found = |filters: &serde_json::Value| copied(filters).map(|weights| weights.mirror);
        assert_eq!(found(&json!([to("wine-b", &json!({}))])), mirror(100));
        assert_eq!(found(&json!([to("wine-b", &json!({"percent": 25})), header])), mirror(25));
        assert_eq!(found(&json!([header])), Some(None));
        // Whatever is not ours is drift.
        assert_eq!(found(&json!([to("stranger", &json!({}))])), None);
        assert_eq!(found(&json!([to("wine-b", &json!({"fraction": {"numerator": 1}}))])), None);
        assert_eq!(found(&json!([to("wine-b", &json!({})), to("wine-a", &json!({}))])), None);
    }

    #[test]
    fn a_weight_counts_only_when_its_own_gateway_speaks_of_this_generation() {
        let says = |accepted: &str, resolved: &str, generation: i64| {
            json!([
                {"type": "Accepted", "status": accepted, "message": "m", "observedGeneration": generation},
                {"type": "ResolvedRefs", "status": resolved, "observedGeneration": generation},
            ])
        };
        assert_eq!(route_state(&route("infra", &says("True", "True", 4))), (true, None));
        assert_eq!(route_state(&route("infra", &says("True", "True", 3))), (false, None));
        assert_eq!(route_state(&route("infra", &says("True", "False", 4))), (false, None));
        assert_eq!(route_state(&route("other", &says("True", "True", 4))), (false, None));
        assert_eq!(route_state(&route("infra", &json!([]))), (false, None));
        let (confirmed, refused) = route_state(&route("infra", &says("False", "True", 4)));
        assert!(!confirmed && refused.is_some_and(|r| r.contains("gw")));
    }
}
