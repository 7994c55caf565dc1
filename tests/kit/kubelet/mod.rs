//! A scripted kubelet and scheduler for one namespace: pods become ready, or not, as the test says. The controllers
//! above them are the real ones, so that a Deployment's status is real.

mod fate;
mod job;
mod node;
mod status;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

pub use fate::{End, Fate, Left, Whose, image};
pub use job::content_digest;

/// What becomes of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// It is ready after this time.
    Ready(Duration),
    /// It runs and is never ready (any more).
    NeverReady,
    /// Its server ends with an error again and again; so many restarts.
    CrashLoop(i32),
    /// Its init container does.
    InitCrashLoop(i32),
    /// Its image cannot be pulled.
    ImagePull,
    /// No node takes it.
    Unschedulable,
}

/// A pod as the kubelet knows it.
#[derive(Debug, Clone)]
pub struct KnownPod {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Image of the server, and address of the model.
    pub image: String,
    /// When it became ready for the first time.
    pub ready_at: Option<DateTime<Utc>>,
    /// When it was gone.
    pub gone_at: Option<DateTime<Utc>>,
}

/// Runs the pods of one namespace until it is dropped.
pub struct Kubelet {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    client: Client,
    namespace: String,
    node: String,
    script: watch::Sender<Script>,
    pods: Mutex<BTreeMap<String, KnownPod>>,
}

/// What becomes of whom: the last line whose text is part of the image counts.
#[derive(Debug, Clone)]
struct Script {
    lines: Vec<(String, Behaviour)>,
    fates: Vec<(Whose, Fate)>,
    termination: Duration,
    data: String,
}

impl Script {
    fn of(&self, image: &str) -> Behaviour {
        let line = self.lines.iter().rev().find(|(text, _)| image.contains(text));
        line.map_or(Behaviour::Ready(Duration::ZERO), |(_, behaviour)| behaviour.clone())
    }

    /// The fate of a pod, and which line says so.
    fn fate(&self, pod: &job::JobPod) -> (Option<usize>, Fate) {
        let line = self.fates.iter().rposition(|(whose, _)| whose.fits(pod));
        (line, line.map_or(Fate::WELL, |line| self.fates[line].1.clone()))
    }
}

impl Kubelet {
    /// Registers a node and runs the pods of `namespace` on it.
    pub async fn start(client: Client, namespace: &str) -> Self {
        let node = format!("node-of-{namespace}");
        node::register(&client, &node).await;
        let script =
            Script { lines: Vec::new(), fates: Vec::new(), termination: Duration::ZERO, data: String::new() };
        let shared = Arc::new(Shared {
            client,
            namespace: namespace.to_owned(),
            node,
            script: watch::channel(script).0,
            pods: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(node::heartbeat(shared.client.clone(), shared.node.clone()));
        tasks.spawn(run(shared.clone()));
        Self { shared, tasks }
    }

    /// From now on, also for pods that run already: pods whose server's image, or the address of whose model, contains
    /// `image` behave like this.
    pub fn script(&self, image: &str, behaviour: Behaviour) {
        self.shared.script.send_modify(|script| script.lines.push((image.to_owned(), behaviour)));
    }

    /// From now on, also for pods that run already: what becomes of these pods of Jobs. The last word counts.
    pub fn fate(&self, whose: Whose, fate: Fate) {
        self.shared.script.send_modify(|script| script.fates.push((whose, fate)));
    }

    /// How long pods take to end once they are told to.
    pub fn take_to_end(&self, time: Duration) {
        self.shared.script.send_modify(|script| script.termination = time);
    }

    /// What lies at every address from now on, as looks at data find it.
    pub fn data(&self, content: &str) {
        self.shared.script.send_modify(|script| content.clone_into(&mut script.data));
    }

    /// Every pod there ever was.
    pub fn pods(&self) -> Vec<KnownPod> {
        self.shared.pods.lock().unwrap().values().cloned().collect()
    }

    /// Where others can look the pods up.
    pub fn directory(&self) -> impl Fn() -> Vec<KnownPod> + Send + Sync + 'static {
        let shared = self.shared.clone();
        move || shared.pods.lock().unwrap().values().cloned().collect()
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.shared.node
    }

    /// Stops looking after pods, as a node that lost its network.
    pub fn stop(&mut self) {
        self.tasks.abort_all();
    }
}

async fn run(shared: Arc<Shared>) {
    let api: Api<Pod> = Api::namespaced(shared.client.clone(), &shared.namespace);
    let mut tasks: BTreeMap<String, AbortHandle> = BTreeMap::new();
    let mut running = JoinSet::new();
    let mut changes = watcher(api, watcher::Config::default()).default_backoff().boxed();
    while let Some(change) = changes.next().await {
        match change {
            Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) => {
                let uid = pod.uid().unwrap_or_default();
                if pod.metadata.deletion_timestamp.is_some() {
                    let task = tasks.remove(&uid);
                    // Once only: the deletion shows up in more than one change.
                    if let Some(task) = task {
                        task.abort();
                        running.spawn(end(shared.clone(), pod));
                    }
                } else {
                    let task = || {
                        if job::is_of_a_job(&pod) {
                            running.spawn(job::live(shared.clone(), pod))
                        } else {
                            running.spawn(live(shared.clone(), pod))
                        }
                    };
                    tasks.entry(uid).or_insert_with(task);
                }
            }
            Ok(watcher::Event::Delete(pod)) => {
                let uid = pod.uid().unwrap_or_default();
                if let Some(task) = tasks.remove(&uid) {
                    task.abort();
                }
                shared.note(&uid, |pod| pod.gone_at = Some(Utc::now()));
            }
            Ok(watcher::Event::Init | watcher::Event::InitDone) => {}
            Err(error) => eprintln!("kubelet: {error}"),
        }
        while running.try_join_next().is_some() {}
    }
}

/// One pod, from its creation to its deletion.
async fn live(shared: Arc<Shared>, pod: Pod) {
    let image = status::serves(&pod);
    let known = KnownPod {
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        image: image.clone(),
        ready_at: None,
        gone_at: None,
    };
    let uid = known.uid.clone();
    shared.pods.lock().unwrap().entry(uid.clone()).or_insert(known);
    let mut script = shared.script.subscribe();
    let mut bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let mut restarts = 0;
    let mut before = None;
    loop {
        let behaviour = script.borrow_and_update().of(&image);
        if before.as_ref() != Some(&behaviour) {
            if behaviour != Behaviour::Unschedulable && !bound {
                shared.bind(&pod).await;
                bound = true;
            }
            if let Behaviour::Ready(after) = behaviour {
                tokio::time::sleep(after).await;
            }
            if let Behaviour::CrashLoop(times) | Behaviour::InitCrashLoop(times) = behaviour {
                restarts += times;
            }
            let ready = matches!(behaviour, Behaviour::Ready(_));
            shared.report(&pod, status::of(&pod, &behaviour, restarts)).await;
            if ready {
                shared.note(&uid, |pod| pod.ready_at = pod.ready_at.or(Some(Utc::now())));
            }
            before = Some(behaviour);
        }
        if script.changed().await.is_err() {
            return;
        }
    }
}

async fn end(shared: Arc<Shared>, pod: Pod) {
    let time = shared.script.borrow().termination;
    tokio::time::sleep(time).await;
    // A Job learns from the status how its pod ended; a kubelet writes it before it lets the object go.
    if job::is_of_a_job(&pod)
        && let Some(status) = job::terminated(&pod)
    {
        shared.report(&pod, status).await;
    }
    let preconditions = Preconditions { uid: pod.uid(), resource_version: None };
    let now = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(preconditions),
        ..Default::default()
    };
    shared.unless_gone("delete", shared.api().delete(&pod.name_any(), &now).await.map(drop));
}

impl Shared {
    fn api(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn bind(&self, pod: &Pod) {
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": pod.name_any(), "uid": pod.uid()},
            "target": {"apiVersion": "v1", "kind": "Node", "name": self.node},
        });
        let (api, name) = (self.api(), pod.name_any());
        let bound: kube::Result<serde_json::Value> =
            api.create_subresource("binding", &name, &PostParams::default(), &binding).await;
        self.unless_gone("bind", bound.map(drop));
    }

    async fn report(&self, pod: &Pod, status: serde_json::Value) {
        let patch = json!({"metadata": {"uid": pod.uid()}, "status": status});
        let api = self.api();
        let name = pod.name_any();
        let patched = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        self.unless_gone("report", patched.map(drop));
    }

    fn note(&self, uid: &str, change: impl FnOnce(&mut KnownPod)) {
        if let Some(pod) = self.pods.lock().unwrap().get_mut(uid) {
            change(pod);
        }
    }

    /// A pod may go, or be replaced, at any time.
    fn unless_gone(&self, what: &str, done: kube::Result<()>) {
        match done {
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => eprintln!("kubelet of {}: {what}: {error}", self.namespace),
            Ok(()) => {}
        }
    }
}
