//! HTTPRoutes that users own, by name, fed by one watch. Of each only what a decision needs stays in memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use kube_runtime::watcher::Event;
use serin_api::{HttpRouteRef, labels};
use serin_engine::{
    Journal, ObservedTraffic, Weights,
    objects::user_route::{self, Backend, Rule},
};

use crate::{
    children::{HttpRoute, Ident, RouteBackend, ident, route_state, unresolved},
    mentions::Place,
};

/// A route that is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRoute {
    pub ident: Ident,
    /// As the apiserver writes it; a JSON patch may test it.
    resource_version: String,
    rules: Vec<Rule>,
    /// Our annotations; `None`: it has none at all.
    journals: Option<BTreeMap<String, String>>,
    confirmed: bool,
    refused: Option<String>,
}

impl UserRoute {
    pub fn of(route: &HttpRoute) -> Self {
        let here = route.metadata.namespace.as_deref();
        let rules = route.spec.rules.iter().map(|rule| Rule {
            name: rule.name.clone(),
            backends: rule.backend_refs.iter().map(|b| backend(b, here)).collect(),
        });
        let (confirmed, refused) = route_state(route);
        let ours = |(key, value): (&String, &String)| {
            key.starts_with(labels::JOURNAL).then(|| (key.clone(), value.clone()))
        };
        let journals = route.metadata.annotations.as_ref().filter(|all| !all.is_empty());
        Self {
            ident: ident(&route.metadata),
            resource_version: route.metadata.resource_version.clone().unwrap_or_default(),
            rules: rules.collect(),
            journals: journals.map(|all| all.iter().filter_map(ours).collect()),
            confirmed,
            // A backend that is missing anywhere in it: the gateway confirms nothing of the whole route.
            refused: refused.or_else(|| unresolved(route)),
        }
    }

    /// The weights of the ModelDeployment `name` in it; one line that says what is wrong if they cannot be found.
    pub fn observed(&self, wanted: &HttpRouteRef, name: &str) -> Result<ObservedTraffic, String> {
        let (mut place, weights) = user_route::find(wanted, name, &self.rules)?;
        place.bare = self.journals.is_none().then(|| self.resource_version.clone());
        let journal = self.journals.as_ref().and_then(|all| all.get(&labels::journal_of(name)));
        let journal = journal.and_then(|text| Journal::parse(text));
        Ok(ObservedTraffic {
            uid: self.ident.uid.clone(),
            weights,
            intact: journal.is_some(),
            journal,
            confirmed: self.confirmed,
            refused: self.refused.clone(),
            place: Some(place),
        })
    }

    /// The weights alone.
    pub fn weights(&self, wanted: &HttpRouteRef, name: &str) -> Option<Weights> {
        user_route::find(wanted, name, &self.rules).ok().map(|(_, weights)| weights)
    }
}

fn backend(backend: &RouteBackend, here: Option<&str>) -> Backend {
    let is_service = backend.group.as_deref().unwrap_or("").is_empty()
        && backend.kind.as_deref().unwrap_or("Service") == "Service"
        && (backend.namespace.is_none() || backend.namespace.as_deref() == here);
    Backend { service: is_service.then(|| backend.name.clone()), weight: backend.weight }
}

/// All of them.
#[derive(Debug, Default)]
pub struct UserRoutes {
    state: RwLock<State>,
    synced: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    now: BTreeMap<Place, Arc<UserRoute>>,
    /// A relist in progress: it replaces the rest when it is complete.
    relist: Option<BTreeMap<Place, Arc<UserRoute>>>,
}

impl UserRoutes {
    /// Whether the first list has arrived.
    pub fn synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// Says that there is nothing to list (the kind is not served).
    pub fn nothing_to_list(&self) {
        self.synced.store(true, Ordering::Release);
    }

    /// A route by namespace and name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<UserRoute>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.now.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Takes an event in; gives the routes that changed.
    pub fn take(&self, event: &Event<HttpRoute>) -> Vec<Place> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let place = |route: &HttpRoute| -> Option<Place> {
            Some((route.metadata.namespace.clone()?, route.metadata.name.clone()?))
        };
        match event {
            Event::Init => {
                state.relist = Some(BTreeMap::new());
                Vec::new()
            }
            Event::InitApply(route) => {
                if let (Some(relist), Some(place)) = (state.relist.as_mut(), place(route)) {
                    relist.insert(place, Arc::new(UserRoute::of(route)));
                }
                Vec::new()
            }
            Event::InitDone => {
                let new = state.relist.take().unwrap_or_default();
                let old = std::mem::replace(&mut state.now, new);
                self.synced.store(true, Ordering::Release);
                let all = old.keys().chain(state.now.keys());
                let changed = all.filter(|place| old.get(*place) != state.now.get(*place));
                let changed: std::collections::BTreeSet<Place> = changed.cloned().collect();
                changed.into_iter().collect()
            }
            Event::Apply(route) => {
                let Some(place) = place(route) else { return Vec::new() };
                let view = Arc::new(UserRoute::of(route));
                let old = state.now.insert(place.clone(), Arc::clone(&view));
                if old.as_ref() == Some(&view) { Vec::new() } else { vec![place] }
            }
            Event::Delete(route) => {
                let Some(place) = place(route) else { return Vec::new() };
                state.now.remove(&place);
                vec![place]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn route(backends: &serde_json::Value, annotations: &serde_json::Value) -> HttpRoute {
        serde_json::from_value(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {
                "name": "front", "namespace": "ns", "uid": "u", "resourceVersion": "7", "annotations": annotations,
            },
            "spec": {"parentRefs": [{"name": "gw"}], "rules": [{"backendRefs": backends}]},
        }))
        .unwrap()
    }

    #[test]
    fn services_of_this_namespace_count() {
        let wanted = HttpRouteRef { name: "front".to_owned(), rule: None };
        let seen = |backends: &serde_json::Value| {
            UserRoute::of(&route(backends, &json!({}))).observed(&wanted, "wine")
        };
        let plain = json!([{"name": "wine-a", "port": 80}, {"name": "wine-b", "port": 80, "weight": 0, "namespace": "ns"}]);
        let found = seen(&plain).unwrap();
        assert_eq!(found.weights, Weights { a: 1, b: 0, testers: None, mirror: None });
        assert_eq!(found.place.unwrap().bare.as_deref(), Some("7"));
        assert!(!found.intact && found.journal.is_none());
        assert!(seen(&json!([{"name": "wine-a"}, {"name": "wine-b", "namespace": "other"}])).is_err());
        assert!(
            seen(&json!([{"name": "wine-a"}, {"name": "wine-b", "kind": "InferencePool", "group": "x"}]))
                .is_err()
        );
        let journal = json!({"serin.dev/journal-wine": "r1-x/2", "other": "y"});
        let found = UserRoute::of(&route(&plain, &journal)).observed(&wanted, "wine").unwrap();
        assert_eq!(found.journal.map(|j| j.to_string()).as_deref(), Some("r1-x/2"));
        assert_eq!(found.place.unwrap().bare, None);
    }

    #[test]
    fn a_backend_that_nobody_finds_is_told() {
        let plain = json!([{"name": "wine-a"}, {"name": "wine-b"}, {"name": "another"}]);
        let mut route = serde_json::to_value(route(&plain, &json!({}))).unwrap();
        route["metadata"]["generation"] = json!(3);
        let seen = |route: &serde_json::Value| {
            let route: HttpRoute = serde_json::from_value(route.clone()).unwrap();
            UserRoute::of(&route).refused
        };
        assert_eq!(seen(&route), None);
        let condition = |generation: i64| {
            json!({"parents": [{"parentRef": {"name": "gw"}, "conditions": [
                {"type": "Accepted", "status": "True", "observedGeneration": 3, "reason": "Accepted", "message": ""},
                {"type": "ResolvedRefs", "status": "False", "observedGeneration": generation,
                 "reason": "BackendNotFound", "message": "service another not found"},
            ]}]})
        };
        route["status"] = condition(3);
        assert_eq!(seen(&route).as_deref(), Some("Gateway gw: service another not found"));
        route["status"] = condition(2);
        assert_eq!(seen(&route), None, "that was said of another one");
    }

    #[test]
    fn what_changed_is_told() {
        let routes = UserRoutes::default();
        let place = ("ns".to_owned(), "front".to_owned());
        let one = route(&json!([]), &json!({}));
        assert_eq!(routes.take(&Event::Apply(one.clone())), std::slice::from_ref(&place));
        assert_eq!(routes.take(&Event::Apply(one.clone())), []);
        routes.take(&Event::Init);
        assert!(routes.get("ns", "front").is_some(), "until the list is complete");
        assert_eq!(routes.take(&Event::InitDone), [place]);
        assert!(routes.synced() && routes.get("ns", "front").is_none());
    }
}
