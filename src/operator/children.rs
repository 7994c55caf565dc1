//! What we keep of other kinds. A decoded Deployment of `k8s-openapi` holds 38 kB (docs/adr/0004); these structs are
//! decoded from the watch directly, and of them only the views below stay in memory.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use serde::{Deserialize, Serialize};
use serin_api::{GatewayTraffic, Slot, labels};
use serin_engine::{Journal, PodTrouble, Weights, build};

/// A Deployment: replicas and availability.
#[derive(kube::Resource, Serialize, Deserialize, Clone, Debug)]
#[resource(inherit = k8s_openapi::api::apps::v1::Deployment)]
pub struct SlimDeployment {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: SlimDeploymentSpec,
    #[serde(default)]
    pub status: SlimDeploymentStatus,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct SlimDeploymentSpec {
    #[serde(default)]
    pub replicas: Option<i32>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimDeploymentStatus {
    #[serde(default)]
    pub available_replicas: i32,
    #[serde(default)]
    pub observed_generation: i64,
}

/// A Service: its selector.
#[derive(kube::Resource, Serialize, Deserialize, Clone, Debug)]
#[resource(inherit = k8s_openapi::api::core::v1::Service)]
pub struct SlimService {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: SlimServiceSpec,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct SlimServiceSpec {
    #[serde(default)]
    pub selector: BTreeMap<String, String>,
}

/// A pod: why it is not ready, and since when its server runs.
#[derive(kube::Resource, Serialize, Deserialize, Clone, Debug)]
#[resource(inherit = k8s_openapi::api::core::v1::Pod)]
pub struct SlimPod {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub status: SlimPodStatus,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimPodStatus {
    #[serde(default)]
    pub conditions: Vec<SlimCondition>,
    #[serde(default)]
    pub container_statuses: Vec<SlimContainer>,
    #[serde(default)]
    pub init_container_statuses: Vec<SlimContainer>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct SlimCondition {
    #[serde(rename = "type", default)]
    pub type_: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub message: Option<String>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimContainer {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub restart_count: i32,
    #[serde(default)]
    pub state: SlimState,
    #[serde(default)]
    pub last_state: SlimState,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct SlimState {
    #[serde(default)]
    pub waiting: Option<SlimWaiting>,
    #[serde(default)]
    pub running: Option<SlimRunning>,
    #[serde(default)]
    pub terminated: Option<SlimTerminated>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct SlimWaiting {
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub message: Option<String>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimRunning {
    #[serde(default)]
    pub started_at: Option<Time>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimTerminated {
    #[serde(default)]
    pub exit_code: i32,
    #[serde(default)]
    pub message: Option<String>,
}

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
    pub backend_refs: Vec<RouteBackend>,
}
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct RouteBackend {
    pub name: String,
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

/// What every view has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident {
    pub name: String,
    pub uid: String,
    /// 0 if the server's version is no number; then freshness cannot be told and is assumed.
    pub version: u64,
    pub deleting: bool,
}

/// The owner a child names, and whether it is one of ours at all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnerKey {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

/// A kind we index: how it becomes a small view under its owner.
pub trait Child: Clone + std::fmt::Debug {
    type View: Clone + PartialEq + Send + Sync + std::fmt::Debug + 'static;
    fn meta(&self) -> &ObjectMeta;
    fn view(&self, ident: Ident) -> Self::View;
    fn ident(view: &Self::View) -> &Ident;
    /// By owner reference; pods, which a ReplicaSet owns, by label.
    fn owner(&self) -> Option<OwnerKey> {
        let meta = self.meta();
        let owner = meta.owner_references.iter().flatten().find(|o| is_ours(o))?;
        Some(OwnerKey {
            namespace: meta.namespace.clone()?,
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        })
    }
}

fn is_ours(o: &OwnerReference) -> bool {
    o.kind == "ModelDeployment" && o.api_version.starts_with("serin.dev/") && o.controller == Some(true)
}

pub fn ident(meta: &ObjectMeta) -> Ident {
    Ident {
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        version: meta.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0),
        deleting: meta.deletion_timestamp.is_some(),
    }
}

fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

fn slot(text: Option<&str>) -> Option<Slot> {
    match text {
        Some("a") => Some(Slot::A),
        Some("b") => Some(Slot::B),
        _ => None,
    }
}

fn journal(meta: &ObjectMeta) -> Option<Journal> {
    meta.annotations.as_ref()?.get(labels::JOURNAL).and_then(|t| Journal::parse(t))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentView {
    pub ident: Ident,
    pub revision: String,
    pub slot: Option<Slot>,
    pub replicas: i32,
    pub available: i32,
}
impl Child for SlimDeployment {
    type View = DeploymentView;
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn ident(view: &DeploymentView) -> &Ident {
        &view.ident
    }
    fn view(&self, ident: Ident) -> DeploymentView {
        let current = self.status.observed_generation >= self.metadata.generation.unwrap_or(0);
        DeploymentView {
            ident,
            revision: label(&self.metadata, labels::REVISION).unwrap_or_default().to_owned(),
            slot: slot(label(&self.metadata, labels::SLOT)),
            replicas: self.spec.replicas.unwrap_or(1),
            // A count of an older generation may speak of pods that were just scaled away; it can only be too high.
            available: if current {
                self.status.available_replicas
            } else {
                self.status.available_replicas.min(self.spec.replicas.unwrap_or(1))
            },
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    pub ident: Ident,
    pub slot_label: Option<Slot>,
    pub selector: BTreeMap<String, String>,
    pub weights: Option<Weights>,
    pub journal: Option<Journal>,
}
impl Child for SlimService {
    type View = ServiceView;
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn ident(view: &ServiceView) -> &Ident {
        &view.ident
    }
    fn view(&self, ident: Ident) -> ServiceView {
        let weights = self.metadata.annotations.as_ref().and_then(|a| a.get(build::WEIGHTS)).and_then(|t| {
            let (a, b) = t.split_once('/')?;
            Some(Weights { a: a.parse().ok()?, b: b.parse().ok()? })
        });
        ServiceView {
            ident,
            slot_label: slot(label(&self.metadata, labels::SLOT)),
            selector: self.spec.selector.clone(),
            weights,
            journal: journal(&self.metadata),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteView {
    pub ident: Ident,
    pub weights: Option<Weights>,
    pub parents: Vec<RouteParent>,
    pub hostnames: Vec<String>,
    pub journal: Option<Journal>,
    pub confirmed: bool,
    pub refused: Option<String>,
}
impl Child for HttpRoute {
    type View = RouteView;
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn ident(view: &RouteView) -> &Ident {
        &view.ident
    }
    fn view(&self, ident: Ident) -> RouteView {
        let name = self.metadata.name.clone().unwrap_or_default();
        let weights = match self.spec.rules.as_slice() {
            [rule] => match rule.backend_refs.as_slice() {
                [a, b] if a.name == format!("{name}-a") && b.name == format!("{name}-b") => {
                    Some(Weights { a: a.weight, b: b.weight })
                }
                _ => None,
            },
            _ => None,
        };
        let (confirmed, refused) = route_state(self);
        RouteView {
            ident,
            weights,
            parents: self.spec.parent_refs.clone(),
            hostnames: self.spec.hostnames.clone(),
            journal: journal(&self.metadata),
            confirmed,
            refused,
        }
    }
}

/// Confirmed: every parent we name says Accepted and ResolvedRefs for this very generation. Refused: one of them
/// says no to it.
fn route_state(route: &HttpRoute) -> (bool, Option<String>) {
    let generation = route.metadata.generation.unwrap_or(0);
    let parents = route.status.as_ref().map(|s| s.parents.as_slice()).unwrap_or_default();
    let mut confirmed = !route.spec.parent_refs.is_empty();
    let mut refused = None;
    for wanted in &route.spec.parent_refs {
        let same = |p: &&RouteParentStatus| {
            p.parent_ref.name == wanted.name && p.parent_ref.section_name == wanted.section_name
        };
        let mut ok = false;
        for status in parents.iter().filter(same) {
            let says = |ty: &str, value: &str| {
                status.conditions.iter().find(|c| {
                    c.type_ == ty && c.status == value && c.observed_generation.is_some_and(|g| g >= generation)
                })
            };
            ok = says("Accepted", "True").is_some() && says("ResolvedRefs", "False").is_none();
            if let Some(no) = says("Accepted", "False") {
                refused = Some(format!("Gateway {}: {}", wanted.name, no.message));
            }
        }
        confirmed &= ok;
    }
    (confirmed, refused)
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
    view.parents == parents && view.hostnames == wanted.hostnames
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodView {
    pub ident: Ident,
    pub revision: String,
    /// When its server's container started, in milliseconds since the epoch.
    pub started_ms: Option<i64>,
    pub trouble: Option<PodTrouble>,
}

/// Restarts after which a container that waits to be started again counts as crash-looping.
const CRASHES: i32 = 3;

impl Child for SlimPod {
    type View = PodView;
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn ident(view: &PodView) -> &Ident {
        &view.ident
    }
    fn owner(&self) -> Option<OwnerKey> {
        Some(OwnerKey {
            namespace: self.metadata.namespace.clone()?,
            name: label(&self.metadata, labels::DEPLOYMENT)?.to_owned(),
            uid: label(&self.metadata, labels::INSTANCE)?.to_owned(),
        })
    }
    fn view(&self, mut ident: Ident) -> PodView {
        // Freshness is never asked of pods; without versions, equal views mean that nothing of interest changed.
        ident.version = 0;
        let server = self.status.container_statuses.iter().find(|c| c.name == "server");
        PodView {
            ident,
            revision: label(&self.metadata, labels::REVISION).unwrap_or_default().to_owned(),
            started_ms: server
                .and_then(|c| c.state.running.as_ref())
                .and_then(|r| r.started_at.as_ref())
                .map(|t| t.0.as_millisecond()),
            trouble: trouble(&self.status),
        }
    }
}

fn trouble(status: &SlimPodStatus) -> Option<PodTrouble> {
    for c in status.init_container_statuses.iter().chain(&status.container_statuses) {
        let Some(waiting) = &c.state.waiting else { continue };
        match waiting.reason.as_str() {
            "CrashLoopBackOff" if c.restart_count >= CRASHES => {
                return Some(PodTrouble::CrashLoop { restarts: c.restart_count, message: last_words(c) });
            }
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                let message = waiting.message.clone().unwrap_or_else(|| waiting.reason.clone());
                return Some(PodTrouble::ImagePull { message: clean(&message) });
            }
            _ => {}
        }
    }
    status
        .conditions
        .iter()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False" && c.reason.as_deref() == Some("Unschedulable"))
        .map(|c| PodTrouble::Unschedulable { message: clean(c.message.as_deref().unwrap_or_default()) })
}

fn last_words(c: &SlimContainer) -> String {
    let Some(end) = &c.last_state.terminated else { return format!("container {}", c.name) };
    let words = end.message.as_deref().map(str::trim).filter(|m| !m.is_empty());
    let last_line = words.and_then(|w| w.lines().last()).map(clean);
    match last_line {
        Some(line) => format!("container {} exited with {}: {line}", c.name, end.exit_code),
        None => format!("container {} exited with {}", c.name, end.exit_code),
    }
}

/// One bounded line: what a container says ends up in a status, and control characters in a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
