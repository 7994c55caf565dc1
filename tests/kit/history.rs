//! Everything that happened to the objects of one namespace, in the order of the apiserver.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::gateway::http_route;

/// An object after a change, or as it was when it went.
#[derive(Debug, Clone)]
pub struct Change {
    /// When it was seen.
    pub at: Instant,
    /// Kind.
    pub kind: &'static str,
    /// Name.
    pub name: String,
    /// Its resourceVersion: the order of all changes of all kinds, as there is one etcd.
    pub version: u64,
    /// Whether it is gone.
    pub gone: bool,
    /// The object, without managed fields.
    pub object: Arc<Value>,
}

/// Watches one namespace until it is dropped.
pub struct History {
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    changes: Mutex<Vec<Change>>,
    current: Mutex<BTreeMap<(&'static str, String), Arc<Value>>>,
    news: watch::Sender<usize>,
}

fn kinds() -> [(&'static str, ApiResource); 11] {
    let kind = |group, version, kind, plural| {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    };
    [
        ("ModelDeployment", kind("serin.dev", "v1alpha1", "ModelDeployment", "modeldeployments")),
        ("RetrainPolicy", kind("serin.dev", "v1alpha1", "RetrainPolicy", "retrainpolicies")),
        ("TrainingRun", kind("serin.dev", "v1alpha1", "TrainingRun", "trainingruns")),
        ("ModelVersion", kind("serin.dev", "v1alpha1", "ModelVersion", "modelversions")),
        ("Job", kind("batch", "v1", "Job", "jobs")),
        ("Deployment", kind("apps", "v1", "Deployment", "deployments")),
        ("Service", kind("", "v1", "Service", "services")),
        ("Pod", kind("", "v1", "Pod", "pods")),
        ("HTTPRoute", http_route()),
        ("Event", kind("events.k8s.io", "v1", "Event", "events")),
        ("PodDisruptionBudget", kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")),
    ]
}

impl History {
    /// Starts to watch.
    pub fn start(client: &Client, namespace: &str) -> Self {
        let Self { shared, _tasks: mut tasks } = Self::empty();
        for (kind, resource) in kinds() {
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
            tasks.spawn(follow(api, kind, shared.clone()));
        }
        Self { shared, _tasks: tasks }
    }

    /// Of nothing: ten thousand objects and all that happens to them are too much to remember.
    pub fn empty() -> Self {
        let shared = Arc::new(Shared {
            changes: Mutex::default(),
            current: Mutex::default(),
            news: watch::channel(0).0,
        });
        Self { shared, _tasks: JoinSet::new() }
    }

    /// All changes so far, in the apiserver's order.
    pub fn all(&self) -> Vec<Change> {
        let mut changes = self.shared.changes.lock().unwrap().clone();
        changes.sort_by_key(|change| change.version);
        changes
    }

    /// The objects as they are now.
    pub fn now(&self) -> Now {
        Now { objects: self.shared.current.lock().unwrap().clone() }
    }

    /// Whether each of these was seen as it is there or as it became later.
    pub fn knows(&self, there: &[(&'static str, ObjectMeta)]) -> bool {
        let changes = self.shared.changes.lock().unwrap();
        let number = |version: Option<&String>| version.and_then(|v| v.parse().ok()).unwrap_or(0);
        there.iter().all(|(kind, object)| {
            let name = object.name.as_deref().unwrap_or_default();
            let seen = |c: &&Change| c.kind == *kind && c.name == name;
            let newest = changes.iter().filter(seen).map(|c| c.version).max();
            newest.is_some_and(|newest| newest >= number(object.resource_version.as_ref()))
        })
    }

    /// Told after each change.
    pub fn news(&self) -> watch::Receiver<usize> {
        self.shared.news.subscribe()
    }
}

async fn follow(api: Api<DynamicObject>, kind: &'static str, shared: Arc<Shared>) {
    let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                shared.note(kind, object, false);
            }
            Ok(watcher::Event::Delete(object)) => shared.note(kind, object, true),
            Ok(watcher::Event::Init | watcher::Event::InitDone) => {}
            Err(error) => eprintln!("history of {kind}: {error}"),
        }
    }
}

impl Shared {
    fn note(&self, kind: &'static str, mut object: DynamicObject, gone: bool) {
        object.managed_fields_mut().clear();
        let version = object.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0);
        let name = object.name_any();
        let object = Arc::new(serde_json::to_value(object).unwrap());
        let key = (kind, name.clone());
        {
            let mut current = self.current.lock().unwrap();
            if gone {
                current.remove(&key);
            } else {
                current.insert(key, object.clone());
            }
        }
        let change = Change { at: Instant::now(), kind, name, version, gone, object };
        self.changes.lock().unwrap().push(change);
        self.news.send_modify(|count| *count += 1);
    }
}

/// The objects of a namespace at one moment.
#[derive(Debug, Clone, Default)]
pub struct Now {
    objects: BTreeMap<(&'static str, String), Arc<Value>>,
}

impl Now {
    /// One object.
    pub fn get(&self, kind: &'static str, name: &str) -> Option<&Value> {
        self.objects.get(&(kind, name.to_owned())).map(Arc::as_ref)
    }

    /// All objects of a kind.
    pub fn all(&self, kind: &'static str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |((of, _), _)| *of == kind).map(|(_, object)| object.as_ref())
    }

    /// Applies a change, for going through a history.
    pub fn apply(&mut self, change: &Change) {
        let key = (change.kind, change.name.clone());
        if change.gone {
            self.objects.remove(&key);
        } else {
            self.objects.insert(key, change.object.clone());
        }
    }

    /// Those of a ModelDeployment with this UID, by kind and name. Pods belong to Deployments and are not in here.
    pub fn children(&self, uid: &str) -> Vec<(&'static str, String)> {
        let owned = |object: &Value| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            owners.into_iter().flatten().any(|owner| owner["uid"] == uid)
        };
        self.objects.iter().filter(|(_, object)| owned(object)).map(|(key, _)| key.clone()).collect()
    }
}
