//! A scripted gateway for one namespace: it confirms routes, late, never, or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::fixtures::GATEWAY;
use crate::world::TEST_LABEL;

/// `HTTPRoute`.
pub fn http_route() -> ApiResource {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    ApiResource::from_gvk_with_plural(&kind, "httproutes")
}

fn gateways() -> ApiResource {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway");
    ApiResource::from_gvk_with_plural(&kind, "gateways")
}

/// `GatewayClass`.
pub fn gateway_class() -> ApiResource {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "GatewayClass");
    ApiResource::from_gvk_with_plural(&kind, "gatewayclasses")
}

/// Makes the Gateway of a namespace and its class, which is named like the namespace, and has the class say what it can do.
pub async fn say(client: &Client, namespace: &str, features: &[&str]) {
    let classes: Api<DynamicObject> = Api::all_with(client.clone(), &gateway_class());
    let here: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &gateways());
    let params = PatchParams::apply("test-gateway").force();
    let labels = json!({TEST_LABEL: "gateway"});
    let class = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
        "metadata": {"name": namespace, "labels": labels},
        "spec": {"controllerName": "serin.dev/test-gateway"},
    });
    classes.patch(namespace, &params, &Patch::Apply(&class)).await.unwrap();
    let named: Vec<Value> = features.iter().map(|name| json!({"name": name})).collect();
    let status = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": namespace},
        "status": {"supportedFeatures": named},
    });
    classes.patch_status(namespace, &params, &Patch::Apply(&status)).await.unwrap();
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": GATEWAY},
        "spec": {"gatewayClassName": namespace, "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
    });
    here.patch(GATEWAY, &params, &Patch::Apply(&gateway)).await.unwrap();
}

/// Removes the class again, if there is one.
pub async fn forget(client: &Client, namespace: &str) {
    let classes: Api<DynamicObject> = Api::all_with(client.clone(), &gateway_class());
    let _ = classes.delete(namespace, &DeleteParams::background()).await;
}

/// How it answers.
#[derive(Debug, Clone, Default)]
struct Script {
    delay: Duration,
    paused: bool,
    refusal: Option<String>,
}

/// Confirms the routes of one namespace until it is dropped.
pub struct Gateway {
    script: watch::Sender<Script>,
    task: JoinHandle<()>,
}

impl Gateway {
    /// Starts it.
    pub fn start(client: Client, namespace: &str) -> Self {
        let script = watch::channel(Script::default()).0;
        let controller = Arc::new(Controller { client, namespace: namespace.to_owned() });
        let task = tokio::spawn(controller.run(script.subscribe()));
        Self { script, task }
    }

    /// How long it takes to confirm.
    pub fn delay(&self, delay: Duration) {
        self.script.send_modify(|script| script.delay = delay);
    }

    /// Confirms nothing from now on, or again.
    pub fn pause(&self, paused: bool) {
        self.script.send_modify(|script| script.paused = paused);
    }

    /// Refuses every route with this message, or accepts them again.
    pub fn refuse(&self, refusal: Option<&str>) {
        self.script.send_modify(|script| script.refusal = refusal.map(ToOwned::to_owned));
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Controller {
    client: Client,
    namespace: String,
}

impl Controller {
    async fn run(self: Arc<Self>, mut script: watch::Receiver<Script>) {
        let mut changes = watcher(self.routes(), watcher::Config::default()).default_backoff().boxed();
        let mut routes = BTreeMap::new();
        // Routes without an answer, or with a backend that is not there yet: looked at again, as a gateway does that
        // watches Services. Never all of them: with a thousand that would be most of what an apiserver has to do.
        let mut due = BTreeSet::new();
        let mut again = tokio::time::interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Some(Ok(watcher::Event::Apply(route) | watcher::Event::InitApply(route))) => {
                        due.insert(route.name_any());
                        routes.insert(route.name_any(), route);
                    }
                    Some(Ok(watcher::Event::Delete(route))) => {
                        routes.remove(&route.name_any());
                        continue;
                    }
                    Some(Ok(watcher::Event::Init | watcher::Event::InitDone)) => continue,
                    Some(Err(error)) => {
                        eprintln!("gateway: {error}");
                        continue;
                    }
                    None => return,
                },
                changed = script.changed() => match changed {
                    Ok(()) => due.extend(routes.keys().cloned()),
                    Err(_) => return,
                },
                _ = again.tick(), if !due.is_empty() => {}
            }
            let now = script.borrow().clone();
            if now.paused {
                continue;
            }
            for name in std::mem::take(&mut due) {
                if let Some(route) = routes.get(&name)
                    && !self.answer(route, &now).await
                {
                    due.insert(name);
                }
            }
        }
    }

    fn routes(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &http_route())
    }

    /// Writes what it thinks of a route, if it has not yet; `false` if a backend is missing.
    async fn answer(&self, route: &DynamicObject, script: &Script) -> bool {
        let missing = self.missing_backend(&route.data).await;
        let wanted = parents(route, script, missing.as_deref());
        if same(&wanted, &route.data["status"]["parents"]) {
            return missing.is_none();
        }
        tokio::time::sleep(script.delay).await;
        let patch = json!({"metadata": {"uid": route.uid()}, "status": {"parents": wanted}});
        let (routes, name) = (self.routes(), route.name_any());
        match routes.patch_status(&name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => eprintln!("gateway: {error}"),
            Ok(_) => {}
        }
        missing.is_none()
    }

    async fn missing_backend(&self, route: &Value) -> Option<String> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), &self.namespace);
        let rules = route["spec"]["rules"].as_array().into_iter().flatten();
        for backend in rules.flat_map(|rule| rule["backendRefs"].as_array().into_iter().flatten()) {
            let name = backend["name"].as_str().unwrap_or_default();
            if matches!(services.get_opt(name).await, Ok(None)) {
                return Some(name.to_owned());
            }
        }
        None
    }
}

fn parents(route: &DynamicObject, script: &Script, missing: Option<&str>) -> Value {
    let generation = route.metadata.generation;
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let condition = |kind: &str, ok: bool, reason: &str, message: &str| {
        json!({
            "type": kind, "status": if ok { "True" } else { "False" }, "reason": reason, "message": message,
            "observedGeneration": generation, "lastTransitionTime": now,
        })
    };
    let accepted = match &script.refusal {
        Some(why) => condition("Accepted", false, "NotAllowedByListeners", why),
        None => condition("Accepted", true, "Accepted", ""),
    };
    let resolved = match missing {
        Some(name) => condition("ResolvedRefs", false, "BackendNotFound", &format!("no Service {name}")),
        None => condition("ResolvedRefs", true, "ResolvedRefs", ""),
    };
    let refs = route.data["spec"]["parentRefs"].as_array().cloned().unwrap_or_default();
    let parent = |parent| {
        let controller = "serin.dev/test-gateway";
        json!({"parentRef": parent, "controllerName": controller, "conditions": [accepted.clone(), resolved.clone()]})
    };
    refs.into_iter().map(parent).collect()
}

/// Whether two answers say the same, whenever they were given.
fn same(a: &Value, b: &Value) -> bool {
    fn timeless(value: &Value) -> Value {
        let mut value = value.clone();
        for parent in value.as_array_mut().into_iter().flatten() {
            for condition in parent["conditions"].as_array_mut().into_iter().flatten() {
                condition["lastTransitionTime"] = Value::Null;
            }
        }
        value
    }
    timeless(a) == timeless(b)
}
