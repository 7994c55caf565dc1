//! One scenario: a namespace of its own, a `ModelDeployment`, load, and waits that say what they were waiting for.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Service},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
};
use serde_json::{Value, json};
use serin_api::{
    ModelDeployment, ModelDeploymentStatus, Outcome, TrainingRun,
    conditions::{self, Type},
    labels,
};

use super::{Ring, STORE, Seen, audit, pods, ring, turns::Turns};
use crate::{
    Error, client,
    images::{self, Version},
    install,
    load::{Call, Counts, Load},
    training::Training,
    wine::Wine,
};

/// Longest wait for anything that a rollout does; a slow machine gets its time.
pub const PATIENCE: Duration = Duration::from_mins(3);
/// Longest life of a load generator, should the test die.
const LOAD_SECONDS: u32 = 600;

/// Shared by scenarios that only work in their namespace, had alone by those that take something away from all.
static TURNS: Turns = Turns::new();

/// What a scenario acts with.
pub struct Scene {
    /// Cluster, operator, models.
    pub ring: &'static Ring,
    /// An administrator's client.
    pub kube: Client,
    /// The `ModelDeployment`.
    pub wine: Wine,
    /// What was seen so far.
    pub seen: Seen,
    /// Where the audit log stood at the start.
    pub mark: audit::Mark,
}

/// Plays a scenario beside others.
pub async fn run(name: &str, story: impl AsyncFnOnce(&mut Scene) -> Result<(), Error>) {
    let _turn = TURNS.together().await;
    play(name, story).await;
}

/// Plays a scenario that takes something away from everybody, after all others.
pub async fn run_alone(name: &str, story: impl AsyncFnOnce(&mut Scene) -> Result<(), Error>) {
    let _turn = TURNS.alone().await;
    play(name, story).await;
}

async fn play(name: &str, story: impl AsyncFnOnce(&mut Scene) -> Result<(), Error>) {
    let mut scene = match Scene::set(name).await {
        Ok(scene) => scene,
        Err(error) => panic!("{name}: {error}"),
    };
    let start = Instant::now();
    let outcome = AssertUnwindSafe(story(&mut scene)).catch_unwind().await;
    let took = start.elapsed().as_secs_f32();
    let cost = audit::Cost::of(&scene.ring.bed, scene.mark, &scene.wine.namespace);
    let cost = cost.map_or_else(|e| format!("the audit log cannot be read: {e}"), |c| c.to_string());
    match outcome {
        Ok(Ok(())) => {
            eprintln!("{name}: {took:.1} s; the operator made {cost}");
            scene.clear().await;
        }
        Ok(Err(error)) => {
            eprintln!("{}\nthe operator made {cost}", scene.everything());
            panic!("{name}: {error}");
        }
        Err(panic) => {
            eprintln!("{}\nthe operator made {cost}", scene.everything());
            resume_unwind(panic);
        }
    }
}

impl Scene {
    async fn set(name: &str) -> Result<Self, Error> {
        let ring = ring().await?;
        let kube = client::of(ring.bed.kubeconfig()).await?;
        let namespace = format!("e2e-{name}");
        let api: Api<Namespace> = Api::all(kube.clone());
        // Left over from a run that failed.
        if api.delete(&namespace, &DeleteParams::default()).await.is_ok() {
            client::until(&format!("namespace {namespace} gone"), PATIENCE, || async {
                match api.get_opt(&namespace).await {
                    Ok(None) => Ok(()),
                    other => Err(format!("{:?}", other.map(|n| n.and_then(|n| n.status)))),
                }
            })
            .await?;
        }
        let metadata = ObjectMeta { name: Some(namespace.clone()), ..ObjectMeta::default() };
        api.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
        let mut wine = Wine::new(&namespace, "wine");
        STORE.clone_into(&mut wine.store);
        wine.rollout = quick();
        let seen = Seen::watch(&kube, &namespace);
        let mark = audit::mark(&ring.bed);
        Ok(Self { ring, kube, wine, seen, mark })
    }

    /// First the owner, whose children go with it: an operator that sees its namespace vanish piece by piece would try
    /// to repair it. Leftovers are the next run's affair.
    async fn clear(self) {
        let _ = self.delete().await;
        let runs: Api<TrainingRun> = Api::namespaced(self.kube.clone(), &self.wine.namespace);
        let _ = runs.delete_collection(&DeleteParams::default(), &ListParams::default()).await;
        let api: Api<Namespace> = Api::all(self.kube.clone());
        let _ = api.delete(&self.wine.namespace, &DeleteParams::default()).await;
    }

    /// Runs of this namespace.
    pub fn training(&self) -> Result<Training, Error> {
        Training::new(&self.ring.bed, &self.ring.built, &self.wine.namespace)
    }

    /// Applies a version.
    pub async fn apply(&self, version: Version) -> Result<(), Error> {
        self.wine.apply(&self.kube, &self.ring.built, version).await
    }

    /// The object that [`Scene::apply`] applies, to be changed and [`Scene::put`].
    pub fn object(&self, version: Version) -> Result<Value, Error> {
        self.wine.object(&self.ring.built, version)
    }

    /// Applies an object.
    pub async fn put(&self, object: &Value) -> Result<(), Error> {
        self.wine.put(&self.kube, object).await
    }

    /// Applies the first version and waits until it serves, and until a gateway leads to it: nobody can be let down by a
    /// name that never answered before.
    pub async fn begin(&self) -> Result<(), Error> {
        self.begin_with(&self.object(Version::V1)?).await
    }

    /// The same with a changed object of the first version.
    pub async fn begin_with(&self, object: &Value) -> Result<(), Error> {
        self.put(object).await?;
        self.serves(Version::V1.label()).await?;
        self.led().await
    }

    /// Waits until the gateway, where there is one, leads to a server.
    pub async fn led(&self) -> Result<(), Error> {
        let Some(host) = &self.wine.host else { return Ok(()) };
        Load::reachable(&self.ring.bed, &self.ring.built, host, &self.report()?).await
    }

    /// Waits until the gateway has heard of everything: a second of requests without a failed one.
    pub async fn calm(&self) -> Result<(), Error> {
        let port = self.ring.bed.gateway_port().ok_or("no gateway")?;
        self.reachable(port, self.wine.host.as_deref().ok_or("no host name")?).await
    }

    /// Waits until a version serves with all its pods, and nothing else is under way.
    pub async fn serves(&self, version: &str) -> Result<ModelDeployment, Error> {
        self.until(&format!("{version} serves"), |md, s| {
            let stable = s.stable.as_ref().is_some_and(|s| s.version == version);
            let current = s.observed_generation == md.metadata.generation;
            let calm = s.candidate.is_none() && !conditions::is_true(&s.conditions, Type::Reconciling);
            stable && current && calm && conditions::is_true(&s.conditions, Type::Ready)
        })
        .await
    }

    /// Waits until a version has traffic as a candidate.
    pub async fn canary(&self, version: &str) -> Result<ModelDeployment, Error> {
        self.until(&format!("{version} has traffic"), |_, s| {
            s.candidate.as_ref().is_some_and(|c| c.version == version && c.weight > 0)
        })
        .await
    }

    /// Waits until a version came to an end, and fails at once if it is another one.
    pub async fn ended(&self, version: &str, wanted: Outcome) -> Result<ModelDeployment, Error> {
        let md = self
            .until(&format!("{version} ends"), |_, s| s.history.first().is_some_and(|h| h.version == version))
            .await?;
        match status(&md).history.first().map(|h| h.outcome) {
            Some(outcome) if outcome == wanted => Ok(md),
            other => Err(format!("{version} should have ended as {wanted:?}, but did as {other:?}").into()),
        }
    }

    /// Waits for a state of the `ModelDeployment`.
    pub async fn until(
        &self,
        what: &str,
        done: impl Fn(&ModelDeployment, &ModelDeploymentStatus) -> bool,
    ) -> Result<ModelDeployment, Error> {
        client::until(what, PATIENCE, || async {
            let md = self.wine.get(&self.kube).await.map_err(|e| e.to_string())?;
            let s = status(&md);
            if done(&md, &s) {
                return Ok(md);
            }
            let progress = conditions::get(&s.conditions, Type::Progressing);
            Err(progress.map(|c| format!("{}: {}", c.reason, c.message)).unwrap_or_default())
        })
        .await
    }

    /// The status as it is now.
    pub async fn status(&self) -> Result<ModelDeploymentStatus, Error> {
        Ok(status(&self.wine.get(&self.kube).await?))
    }

    /// Waits until only the stable revision's Deployment and pods are left.
    pub async fn settled(&self) -> Result<(), Error> {
        let deployments: Api<Deployment> = Api::namespaced(self.kube.clone(), &self.wine.namespace);
        let ours = ListParams::default().labels(&format!("{}={}", labels::DEPLOYMENT, self.wine.name));
        client::until("only the stable version's pods are left", PATIENCE, || async {
            let found = deployments.list(&ours).await.map_err(|e| e.to_string())?;
            let pods = pods::all(&self.kube, &self.wine).await.map_err(|e| e.to_string())?;
            let stable = self.status().await.map_err(|e| e.to_string())?.stable;
            let stable = stable.map(|s| s.revision).unwrap_or_default();
            let others = pods.iter().filter(|p| pods::revision(p) != Some(&stable)).count();
            if found.items.len() == 1 && others == 0 {
                return Ok(());
            }
            Err(format!("{} Deployments, {others} other pods", found.items.len()))
        })
        .await
    }

    /// UID and restarts of a revision's pods that are not on their way out.
    pub async fn pods_of(&self, revision: &str) -> Result<BTreeMap<String, i32>, Error> {
        Ok(pods::of_revision(&pods::all(&self.kube, &self.wine).await?, revision))
    }

    /// Their names.
    pub async fn names_of(&self, revision: &str) -> Result<Vec<String>, Error> {
        let pods = pods::all(&self.kube, &self.wine).await?;
        let there = pods.into_iter().filter(|p| p.metadata.deletion_timestamp.is_none());
        Ok(there.filter(|p| pods::revision(p) == Some(revision)).filter_map(|p| p.metadata.name).collect())
    }

    /// The same of the stable version.
    pub async fn stable_pods(&self) -> Result<BTreeMap<String, i32>, Error> {
        let stable = self.status().await?.stable.ok_or("nothing is stable yet")?;
        self.pods_of(&stable.revision).await
    }

    /// How many pods of a revision are ready.
    pub async fn ready_pods(&self, revision: &str) -> Result<usize, Error> {
        let pods = pods::all(&self.kube, &self.wine).await?;
        Ok(pods.iter().filter(|p| pods::revision(p) == Some(revision) && pods::is_ready(p)).count())
    }

    /// Load through the gateway, at once: what the status calls ready has to answer.
    pub fn load(&self, rps: u32) -> Result<Load, Error> {
        let Ring { bed, built, .. } = self.ring;
        let host = self.wine.host.clone().ok_or("no host name: not behind the gateway")?;
        Load::start(bed, built, &host, rps, LOAD_SECONDS, &self.report()?)
    }

    /// The same, with one more header, counted apart.
    pub fn load_of_testers(&self, rps: u32, header: &str) -> Result<Load, Error> {
        let Ring { bed, built, .. } = self.ring;
        let host = self.wine.host.clone().ok_or("no host name: not behind the gateway")?;
        let call = Call { header: Some(header), ..Call::from(&host) };
        let report = self.report()?.with_extension("testers.jsonl");
        Load::start(bed, built, call, rps, LOAD_SECONDS, &report)
    }

    /// Load about these wines (`light`, `strong`), each with what would be right.
    pub fn labelled_load(&self, rps: u32, wines: &str) -> Result<Load, Error> {
        let Ring { bed, built, .. } = self.ring;
        let host = self.wine.host.clone().ok_or("no host name: not behind the gateway")?;
        let call = Call { labelled: Some(wines), ..Call::from(&host) };
        Load::start(bed, built, call, rps, LOAD_SECONDS, &self.report()?)
    }

    /// One answer a second is asked for, each of which takes so long to come in, counted apart.
    pub fn load_of_streams(&self, long: Duration) -> Result<Load, Error> {
        let Ring { bed, built, .. } = self.ring;
        let host = self.wine.host.clone().ok_or("no host name: not behind the gateway")?;
        let call = Call { stream: Some(long), ..Call::from(&host) };
        let report = self.report()?.with_extension("streams.jsonl");
        Load::start(bed, built, call, 1, LOAD_SECONDS, &report)
    }

    /// Where this scenario's load is counted.
    pub fn report(&self) -> Result<PathBuf, Error> {
        let folder = images::target().join("e2e/load");
        std::fs::create_dir_all(&folder)?;
        Ok(folder.join(format!("{}.jsonl", self.wine.namespace)))
    }

    /// Waits until a port of the node answers well. Proxies hear of a new port after the apiserver does, and nothing
    /// says when.
    pub async fn reachable(&self, port: u16, host: &str) -> Result<(), Error> {
        let Ring { bed, built, .. } = self.ring;
        let report = self.report()?;
        client::until(&format!("good answers at port {port}"), Duration::from_secs(30), || async {
            let one = Load::start_at(bed, built, port, host, 20, 1, &report).map_err(|e| e.to_string())?;
            let counts = one.finish().await.map_err(|e| e.to_string())?;
            if counts.sent > 0 && failed(&counts) == 0 { Ok(()) } else { Err(format!("{counts:?}")) }
        })
        .await
    }

    /// Waits until a version answers.
    pub async fn answers(&self, load: &Load, version: Version) -> Result<(), Error> {
        let digest = &self.ring.built.model(version)?.digest;
        let before = load.counts().of(digest).total;
        client::until(&format!("{} answers", version.label()), Duration::from_mins(1), || async {
            let counts = load.counts();
            if counts.of(digest).total > before + 20 { Ok(()) } else { Err(format!("{counts:?}")) }
        })
        .await
    }

    /// Requests that failed without being `of` the versions that may fail.
    pub fn failed_besides(&self, counts: &Counts, of: &[Version]) -> Result<u64, Error> {
        let mut all = failed(counts);
        for version in of {
            all -= counts.of(&self.ring.built.model(*version)?.digest).failed();
        }
        Ok(all)
    }

    /// Deletes the `ModelDeployment` and waits until everything that belonged to it is gone.
    pub async fn delete(&self) -> Result<(), Error> {
        let api = self.wine.api(&self.kube);
        match api.delete(&self.wine.name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(s)) if s.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let ours = ListParams::default().labels(&format!("{}={}", labels::DEPLOYMENT, self.wine.name));
        let deployments: Api<Deployment> = Api::namespaced(self.kube.clone(), &self.wine.namespace);
        let services: Api<Service> = Api::namespaced(self.kube.clone(), &self.wine.namespace);
        client::until("everything is collected", PATIENCE, || async {
            let models = api.list(&ListParams::default()).await.map_err(|e| e.to_string())?.items.len();
            let deployments = deployments.list(&ours).await.map_err(|e| e.to_string())?.items.len();
            let services = services.list(&ours).await.map_err(|e| e.to_string())?.items.len();
            let pods = pods::all(&self.kube, &self.wine).await.map_err(|e| e.to_string())?.len();
            let routes = self.routes().map_err(|e| e.to_string())?;
            let left = [models, deployments, services, pods, routes];
            if left == [0; 5] {
                return Ok(());
            }
            Err(format!("left: {left:?} (ModelDeployments, Deployments, Services, pods, HTTPRoutes)"))
        })
        .await
    }

    fn routes(&self) -> Result<usize, Error> {
        // A route of the user's stays.
        let ours = format!("{}={}", labels::DEPLOYMENT, self.wine.name);
        let found =
            self.kubectl(&["get", "httproutes", "-o", "name", "-n", &self.wine.namespace, "-l", &ours])?;
        Ok(found.lines().count())
    }

    /// kubectl as an administrator: what it printed.
    pub fn kubectl(&self, args: &[&str]) -> Result<String, Error> {
        let output = self.ring.bed.kubectl().args(args).output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("kubectl {}: {}", args.join(" "), said.trim()).into())
    }

    /// The last decision, judged again by `kubectl serin explain`.
    pub fn explained(&self) -> Result<Value, Error> {
        let args = ["explain", &self.wine.name, "--namespace", &self.wine.namespace, "-o", "json"];
        Ok(serde_json::from_str(&self.ring.built.kubectl_serin(&self.ring.bed, &args)?)?)
    }

    /// What the scenario cost the apiserver so far.
    pub fn cost(&self) -> Result<audit::Cost, Error> {
        audit::Cost::of(&self.ring.bed, self.mark, &self.wine.namespace)
    }

    /// All that helps to understand a failure.
    fn everything(&self) -> String {
        let namespace = self.wine.namespace.as_str();
        let asked = [
            vec!["get", "mdeploy", "-o", "yaml", "-n", namespace],
            vec!["get", "trainingruns,modelversions", "-o", "yaml", "-n", namespace],
            vec!["get", "deployments,jobs,pods,services,httproutes", "-o", "wide", "-n", namespace],
            vec!["get", "events", "--sort-by=.lastTimestamp", "-n", namespace],
            vec!["logs", "--tail=40", "-n", install::NAMESPACE, "deployment/serin", "--all-pods"],
        ];
        let mut text = format!("--- what was seen in {namespace}\n{}\n", self.seen.story());
        for args in asked {
            let output = self.ring.bed.kubectl().args(&args).output();
            let said = output.map_or_else(
                |e| e.to_string(),
                |o| [o.stdout, o.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat(),
            );
            text.extend(["--- kubectl ", &args.join(" "), "\n", &said, "\n"]);
        }
        text
    }
}

/// The status, empty if there is none yet.
pub fn status(md: &ModelDeployment) -> ModelDeploymentStatus {
    md.status.clone().unwrap_or_default()
}

/// All failed requests.
fn failed(counts: &Counts) -> u64 {
    counts.by_digest.values().map(crate::load::Version::failed).sum()
}

/// Two steps, for rollouts that are to be over soon.
pub fn quick() -> Value {
    json!({
        "steps": [{"weight": 25, "holdSeconds": 4}, {"weight": 50, "holdSeconds": 4}],
        "analysis": {"intervalSeconds": 2},
    })
}

/// A first step that is held long enough to do something meanwhile.
pub fn patient(seconds: u32) -> Value {
    json!({
        "steps": [{"weight": 25, "holdSeconds": seconds}, {"weight": 50, "holdSeconds": 4}],
        "analysis": {"intervalSeconds": 2},
    })
}
