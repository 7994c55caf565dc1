//! One test's world: a namespace of the shared control plane with its own operator, proxy, kubelet, gateway and
//! Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::Utc;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use serin_api::{ModelDeployment, ModelVersion, RetrainPolicy, TrainingRun};

use crate::cluster::{Cluster, cluster, scratch};
use crate::cost::Cost;
use crate::fixtures::{NAME, image, wine};
use crate::gateway::{self, Gateway, http_route};
use crate::history::{History, Now};
use crate::kubelet::Kubelet;
use crate::operator::{Launch, Operator};
use crate::prometheus::{Load, Prometheus};
use crate::proxy::{Call, Proxy};
use crate::told::{RunTold as _, Told as _};
use crate::turn::{Definitions, Turn};
use crate::{identity, invariants, run_invariants, story};

/// On everything outside a test's namespace that belongs to a test.
pub const TEST_LABEL: &str = "serin.dev/test";

/// Everything that a test needs.
pub struct World {
    /// The operator. First, so that it ends before what it depends on.
    pub operator: Option<Operator>,
    /// Between the operator and the apiserver.
    pub proxy: Proxy,
    /// Runs the pods.
    pub kubelet: Kubelet,
    /// Confirms the routes.
    pub gateway: Gateway,
    /// Tells the metrics.
    pub prometheus: Prometheus,
    /// What happened.
    pub history: History,
    /// An administrator's client, not through the proxy.
    pub client: Client,
    /// The test's own.
    pub namespace: String,
    cluster: &'static Cluster,
    folder: PathBuf,
    _turn: Turn,
}

impl World {
    /// A world with a running operator.
    pub async fn start() -> Self {
        let mut world = Self::without_operator().await;
        world.start_operator();
        world
    }

    /// A world in which the operator is yet to be started.
    pub async fn without_operator() -> Self {
        Self::with(Definitions::Serins, History::start).await
    }

    /// The same without a history: for more objects than anybody can watch.
    pub async fn without_history() -> Self {
        Self::with(Definitions::Serins, |_, _| History::empty()).await
    }

    /// The same, with definitions that take anything.
    pub async fn with_loose_definitions() -> Self {
        Self::with(Definitions::Loose, History::start).await
    }

    async fn with(definitions: Definitions, history: fn(&Client, &str) -> History) -> Self {
        let cluster = cluster().await;
        let turn = Turn::take(cluster, definitions).await;
        let client = cluster.client();
        let namespace = unique_name();
        let folder = scratch().join(&namespace);
        std::fs::create_dir_all(&folder).unwrap();
        create_namespace(&client, &namespace).await;
        let kubelet = Kubelet::start(client.clone(), &namespace).await;
        let gateway = Gateway::start(client.clone(), &namespace);
        let prometheus = Prometheus::start(&namespace, kubelet.directory()).await;
        prometheus.load("wine", Load::GOOD);
        let history = history(&client, &namespace);
        let proxy = Proxy::start(identity::operator(cluster).await, &folder).await;
        Self {
            operator: None,
            proxy,
            kubelet,
            gateway,
            prometheus,
            history,
            client,
            namespace,
            cluster,
            folder,
            _turn: turn,
        }
    }

    /// Starts the operator, restricted to the test's namespace.
    pub fn start_operator(&mut self) {
        self.operator = Some(Operator::start(self.launch()));
    }

    /// How the operator of this world is started.
    pub fn launch(&self) -> Launch {
        Launch {
            kubeconfig: self.proxy.kubeconfig().to_owned(),
            namespace: Some(self.namespace.clone()),
            prometheus: self.prometheus.url(),
            log: self.folder.join("operator.log"),
            level: "info,serin_operator=debug".to_owned(),
            extra: Vec::new(),
            pod: None,
        }
    }

    /// The same, to the apiserver without the proxy in between and with a short log: nothing is counted, and nothing costs
    /// time.
    pub async fn direct_launch(&self) -> Launch {
        let kubeconfig = self.folder.join("direct");
        std::fs::write(&kubeconfig, identity::kubeconfig(self.cluster).await).unwrap();
        Launch { kubeconfig, level: "info".to_owned(), ..self.launch() }
    }

    /// The operator that was started.
    pub fn operator(&self) -> &Operator {
        self.operator.as_ref().unwrap()
    }

    /// Where the logs are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The shared control plane.
    pub fn cluster(&self) -> &'static Cluster {
        self.cluster
    }

    /// Applies a ModelDeployment as a user would (server-side), and gives what the apiserver made of it.
    pub async fn apply(&self, wanted: &ModelDeployment) -> ModelDeployment {
        self.try_apply(wanted).await.unwrap_or_else(|error| panic!("apply: {error}\n{}", story::tell(self)))
    }

    /// Applies a ModelDeployment that may be refused.
    pub async fn try_apply(&self, wanted: &ModelDeployment) -> kube::Result<ModelDeployment> {
        let params = PatchParams::apply("user").force();
        self.models().patch(&wanted.name_any(), &params, &Patch::Apply(wanted)).await
    }

    /// Applies anything of Serin's kinds, well-formed or not.
    pub async fn try_apply_raw(&self, wanted: &Value) -> kube::Result<DynamicObject> {
        let name = wanted["metadata"]["name"].as_str().unwrap();
        let resource = match wanted["kind"].as_str() {
            Some("TrainingRun") => ApiResource::erase::<TrainingRun>(&()),
            Some("ModelVersion") => ApiResource::erase::<ModelVersion>(&()),
            Some("RetrainPolicy") => ApiResource::erase::<RetrainPolicy>(&()),
            _ => ApiResource::erase::<ModelDeployment>(&()),
        };
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        api.patch(name, &PatchParams::apply("user").force(), &Patch::Apply(wanted)).await
    }

    /// Deletes a ModelDeployment in the background, as kubectl does.
    pub async fn delete(&self, name: &str) {
        self.models().delete(name, &DeleteParams::background()).await.unwrap();
    }

    /// The ModelDeployments.
    pub fn models(&self) -> Api<ModelDeployment> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The TrainingRuns.
    pub fn runs(&self) -> Api<TrainingRun> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The ModelVersions.
    pub fn versions(&self) -> Api<ModelVersion> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The RetrainPolicies.
    pub fn policies(&self) -> Api<RetrainPolicy> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The Jobs.
    pub fn jobs(&self) -> Api<Job> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The autoscalers.
    pub fn autoscalers(&self) -> Api<HorizontalPodAutoscaler> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies a TrainingRun as a user would.
    pub async fn train(&self, wanted: &TrainingRun) -> TrainingRun {
        let params = PatchParams::apply("user").force();
        let made = self.runs().patch(&wanted.name_any(), &params, &Patch::Apply(wanted)).await;
        made.unwrap_or_else(|error| panic!("apply: {error}\n{}", story::tell(self)))
    }

    /// Applies a RetrainPolicy as a user would.
    pub async fn retrain(&self, wanted: &RetrainPolicy) -> RetrainPolicy {
        let params = PatchParams::apply("user").force();
        let made = self.policies().patch(&wanted.name_any(), &params, &Patch::Apply(wanted)).await;
        made.unwrap_or_else(|error| panic!("apply: {error}\n{}", story::tell(self)))
    }

    /// Applies a ModelVersion as a user would.
    pub async fn record(&self, wanted: &ModelVersion) -> ModelVersion {
        let params = PatchParams::apply("user").force();
        let made = self.versions().patch(&wanted.name_any(), &params, &Patch::Apply(wanted)).await;
        made.unwrap_or_else(|error| panic!("apply: {error}\n{}", story::tell(self)))
    }

    /// The same as [`World::until_model`] for one TrainingRun. What its status speaks of is seen then, too: Jobs and
    /// versions are written before it, but each kind has a watch of its own, and one may be ahead of another.
    pub async fn until_run(
        &self,
        name: &str,
        what: &str,
        seconds: u64,
        mut holds: impl FnMut(&TrainingRun) -> bool,
    ) -> TrainingRun {
        let run = self.until(what, seconds, |now| now.run(name).filter(|run| holds(run))).await;
        Box::pin(self.caught_up()).await;
        run
    }

    /// Returns when the history has every Job and version that the apiserver has.
    async fn caught_up(&self) {
        let all = ListParams::default();
        let (jobs, versions) = (self.jobs(), self.versions());
        let (jobs, versions) = tokio::join!(jobs.list_metadata(&all), versions.list_metadata(&all));
        let jobs = jobs.unwrap().items.into_iter().map(|job| ("Job", job.metadata));
        let versions = versions.unwrap().items.into_iter().map(|version| ("ModelVersion", version.metadata));
        let there: Vec<(&str, ObjectMeta)> = jobs.chain(versions).collect();
        self.until("the history knows what the apiserver has", 30, |_| self.history.knows(&there)).await;
    }

    /// Applies a run and waits for its end.
    pub async fn trained(&self, wanted: &TrainingRun) -> TrainingRun {
        self.train(wanted).await;
        let name = wanted.name_any();
        self.until_run(&name, &format!("{name} has ended"), 60, |run| run.end().is_some()).await
    }

    /// The HTTPRoutes.
    pub fn routes(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &http_route())
    }

    /// Returns what `holds` finds, as soon as it finds something; tells the whole story if that takes too long.
    pub async fn until<F: Found>(&self, what: &str, seconds: u64, mut holds: impl FnMut(&Now) -> F) -> F::Of {
        let mut news = self.history.news();
        let search = async {
            loop {
                news.borrow_and_update();
                if let Some(found) = holds(&self.history.now()).found() {
                    return found;
                }
                // Conditions may also look at what is not in the history, such as calls.
                let _ = tokio::time::timeout(Duration::from_millis(200), news.changed()).await;
            }
        };
        let limit = Duration::from_secs(seconds);
        let Ok(found) = tokio::time::timeout(limit, search).await else {
            panic!("not within {seconds} s: {what}\n{}", story::tell(self));
        };
        found
    }

    /// The same for one ModelDeployment.
    pub async fn until_model(
        &self,
        name: &str,
        what: &str,
        seconds: u64,
        mut holds: impl FnMut(&ModelDeployment) -> bool,
    ) -> ModelDeployment {
        self.until(what, seconds, |now| now.model(name).filter(|model| holds(model))).await
    }

    /// The ModelDeployment as it is now.
    pub fn model(&self, name: &str) -> ModelDeployment {
        self.history.now().model(name).unwrap()
    }

    /// Deploys `wine` of that version and waits until it serves and the operator rests.
    pub async fn serve(&self, version: &str) -> ModelDeployment {
        self.apply(&wine(version)).await;
        self.until_model(NAME, &format!("{version} serves"), 30, |model| model.serves(version)).await;
        self.settled(Duration::from_secs(1)).await;
        self.model(NAME)
    }

    /// Applies a version on top of one that serves, and waits until it has the traffic of its first step.
    pub async fn canary(&self, wanted: &ModelDeployment) -> ModelDeployment {
        let version = wanted.spec.model.version.clone().unwrap();
        let weight = wanted.spec.rollout.steps[0].weight;
        self.apply(wanted).await;
        let has_it = |m: &ModelDeployment| m.tries(&version).is_some_and(|c| c.weight == weight);
        self.until_model(&wanted.name_any(), &format!("{version} has {weight} %"), 30, has_it).await
    }

    /// UIDs of the pods of a version that are there now.
    pub fn pods(&self, version: &str) -> BTreeSet<String> {
        let image = image(version);
        let now = self.history.now();
        let of_version = now.all("Pod").filter(|pod| pod["spec"]["containers"][0]["image"] == image.as_str());
        of_version.map(|pod| pod["metadata"]["uid"].as_str().unwrap().to_owned()).collect()
    }

    /// Percent by slot, as the route says now.
    pub fn weights(&self, name: &str) -> BTreeMap<String, i64> {
        self.history.now().get("HTTPRoute", name).map(invariants::weights).unwrap_or_default()
    }

    /// Who gets copies of requests, and of how many percent, as the route says now.
    pub fn copies(&self, name: &str) -> Option<(String, i64)> {
        invariants::copies(self.history.now().get("HTTPRoute", name)?)
    }

    /// Makes the Gateway of the routes with a class of its own that says it can do this, or says it anew.
    pub async fn gateway_can(&self, features: &[&str]) {
        gateway::say(&self.client, &self.namespace, features).await;
    }

    /// The percentages of the slot that the present stable version did not begin in, one after the other, since there
    /// was a stable version: the steps of the canaries.
    pub fn steps(&self, name: &str) -> Vec<i64> {
        let mut first = None;
        let mut steps = Vec::new();
        for change in self.history.all() {
            if change.kind != "HTTPRoute" || change.name != name || change.gone {
                continue;
            }
            let weights = invariants::weights(&change.object);
            let full = weights.iter().find(|(_, weight)| **weight == 100).map(|(slot, _)| slot.clone());
            let stable = first.get_or_insert_with(|| full.unwrap_or_default());
            let share = weights.iter().find(|(slot, _)| *slot != stable).map_or(0, |(_, weight)| *weight);
            if steps.last().copied().unwrap_or(0) != share {
                steps.push(share);
            }
        }
        steps
    }

    /// Waits until the operator has asked Prometheus `more` more times.
    pub async fn looks(&self, more: usize, seconds: u64) {
        let asked = self.prometheus.asked();
        let what = format!("{more} more looks at Prometheus");
        self.until(&what, seconds, |_| self.prometheus.asked() >= asked + more).await;
    }

    /// What the operator cost the apiserver since a mark.
    pub fn cost_since(&self, mark: usize) -> Cost {
        Cost::of(self.proxy.calls().since(mark))
    }

    /// Returns when the operator has written nothing for `rest`.
    pub async fn settled(&self, rest: Duration) {
        let calls = self.proxy.calls();
        let limit = tokio::time::Instant::now() + Duration::from_mins(1);
        loop {
            let mark = calls.mark();
            tokio::time::sleep(rest).await;
            // Who leads renews its lease all the time.
            if calls.count(mark, |call| call.is_write() && !call.is_lease()) == 0 {
                return;
            }
            assert!(tokio::time::Instant::now() < limit, "it never rests\n{}", story::tell(self));
        }
    }

    /// Asserts something, with the whole story if it does not hold.
    pub fn assert(&self, holds: bool, what: &str) {
        assert!(holds, "{what}\n{}", story::tell(self));
    }

    /// Asserts what must hold in every test at every moment.
    pub fn check_invariants(&self) {
        let history = self.history.all();
        let mut broken = invariants::broken(&history);
        broken.extend(run_invariants::broken(&history));
        // A queue writes to Jobs, and a fight with it would never end.
        let touches = |call: &Call| call.resource == "jobs" && matches!(call.verb, "patch" | "update");
        let touched = self.proxy.calls().all().into_iter().filter(touches);
        broken.extend(touched.map(|call| format!("a Job is written to after it was made: {call}")));
        assert!(broken.is_empty(), "{}\n{}", broken.join("\n"), story::tell(self));
        let log = self.operator.as_ref().map(Operator::log).unwrap_or_default();
        let panicked = log.lines().find(|line| line.contains("panicked"));
        assert!(panicked.is_none(), "the operator panicked: {panicked:?}");
        let forbidden = self.proxy.calls().all().into_iter().find(|call| call.status == 403);
        self.assert(forbidden.is_none(), &format!("a permission is missing: {forbidden:?}"));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.operator = None;
        if std::thread::panicking() || std::env::var_os("SERIN_TESTS_KEEP").is_some() {
            eprintln!("kept for a look: namespace {}, folder {}", self.namespace, self.folder.display());
            return;
        }
        let (namespace, node) = (self.namespace.clone(), self.kubelet.node().to_owned());
        self.cluster.finish(|client| async move {
            let gone = DeleteParams::background();
            // What cannot be removed now is swept later.
            let (namespaces, nodes) =
                (Api::<Namespace>::all(client.clone()), Api::<Node>::all(client.clone()));
            gateway::forget(&client, &namespace).await;
            let leases: Api<Lease> = Api::namespaced(client, "kube-node-lease");
            let _ = tokio::join!(
                namespaces.delete(&namespace, &gone),
                nodes.delete(&node, &gone),
                leases.delete(&node, &gone)
            );
        });
    }
}

/// A namespace's name from the test's.
fn unique_name() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let thread = std::thread::current();
    let test = thread.name().and_then(|name| name.rsplit("::").next()).unwrap_or("test");
    let words: String =
        test.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(36).collect();
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let moment = Utc::now().timestamp_millis() % 100_000_000;
    format!("{}-{moment}-{number}", words.trim_matches('-').to_lowercase())
}

async fn create_namespace(client: &Client, name: &str) {
    let namespace: Namespace =
        serde_json::from_value(json!({"metadata": {"name": name, "labels": {TEST_LABEL: "namespace"}}}))
            .unwrap();
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    // Without it the ReplicaSet controller fails at first and then waits longer each time.
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    while accounts.get_opt("default").await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a condition gives: whether it holds, or what it found.
pub trait Found {
    /// What was found.
    type Of;
    /// It, if it was.
    fn found(self) -> Option<Self::Of>;
}
impl Found for bool {
    type Of = ();
    fn found(self) -> Option<()> {
        self.then_some(())
    }
}
impl<T> Found for Option<T> {
    type Of = T;
    fn found(self) -> Option<T> {
        self
    }
}
