//! The `TrainingRun` that the demo and the scenarios apply.

use std::time::Duration;

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Pod, Service},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use serin_api::{ModelVersion, RetrainPolicy, RunPhase, TrainingRun, TrainingRunStatus, conditions, labels};
use serin_bed::Bed;

use crate::{
    Error, client,
    images::{self, Built},
    s3::Store,
};

/// Name of the Secret with the store's account, in each namespace.
const SECRET: &str = "store";

/// A way to train the wine model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// A shallow tree.
    V1,
    /// A forest: better, and as reliable.
    V2,
    /// A forest on a data set with a column more, which the evaluation has and no client sends.
    Enriched,
}

impl Recipe {
    /// What people call it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Enriched => "v3",
        }
    }

    /// File name of its data.
    pub const fn data(self) -> &'static str {
        match self {
            Self::V1 | Self::V2 => "train.csv",
            Self::Enriched => "enriched.csv",
        }
    }

    fn parameters(self) -> Value {
        match self {
            Self::V1 => json!({"max_depth": "2"}),
            Self::V2 => json!({"max_depth": "5", "trees": "25"}),
            Self::Enriched => json!({"max_depth": "4", "trees": "7", "min_samples": "10"}),
        }
    }
}

/// Runs of one namespace.
#[derive(Clone, Debug)]
pub struct Training {
    /// Namespace.
    pub namespace: String,
    /// The object store.
    pub store: Store,
    data: Vec<images::Data>,
}

/// Puts the data sets into the store, where all namespaces read them.
pub fn upload(bed: &Bed, built: &Built) -> Result<(), Error> {
    let store = Store::of(bed)?;
    for data in &built.data {
        store.put("data", &format!("wine/{}", data.name), &std::fs::read(&data.file)?)?;
    }
    Ok(())
}

impl Training {
    /// Makes the Secret of a namespace that is there.
    pub fn new(bed: &Bed, built: &Built, namespace: &str) -> Result<Self, Error> {
        let store = Store::of(bed)?;
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": namespace},
            "stringData": {
                "AWS_ACCESS_KEY_ID": store.access.access_key_id,
                "AWS_SECRET_ACCESS_KEY": store.access.secret_access_key,
            },
        });
        client::apply(bed, &secret.to_string())?;
        Ok(Self { namespace: namespace.to_owned(), store, data: built.data.clone() })
    }

    /// How pods reach the store.
    pub fn storage(&self) -> Value {
        json!({"secretName": SECRET, "endpoint": self.store.access.endpoint, "region": self.store.access.region})
    }

    /// A data set in the store, by its file.
    pub fn dataset(&self, name: &str, file: &str) -> Result<Value, Error> {
        let data = self.data.iter().find(|d| d.name == file).ok_or_else(|| format!("no data set {file}"))?;
        Ok(json!({"name": name, "uri": format!("s3://data/wine/{file}"), "digest": data.digest}))
    }

    /// A run without an evaluation.
    pub fn plain(&self, name: &str, recipe: Recipe) -> Result<Value, Error> {
        Ok(json!({
            "apiVersion": "serin.dev/v1alpha1",
            "kind": "TrainingRun",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "model": "wine",
                "trainer": {
                    "image": images::WINE,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/wine", "train"],
                    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                    "terminationGracePeriodSeconds": 10,
                },
                "parameters": recipe.parameters(),
                "seed": "1",
                "datasets": [self.dataset("train", recipe.data())?],
                "output": {"uri": format!("s3://models/{}/wine", self.namespace)},
                "storage": self.storage(),
            },
        }))
    }

    /// A run whose model is judged on the held-out rows, beside the one that serves.
    pub fn judged(&self, name: &str, recipe: Recipe) -> Result<Value, Error> {
        let mut run = self.plain(name, recipe)?;
        run["spec"]["evaluation"] = json!({
            "image": images::WINE,
            "imagePullPolicy": "IfNotPresent",
            "command": ["/wine", "evaluate"],
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
            "dataset": self.dataset("eval", "eval.csv")?,
            "gate": {
                "metrics": [{"name": "accuracy", "min": "0.65", "maxRegression": "0.05"}],
                "slices": [{"slice": "strong", "metric": "accuracy", "min": "0.6"}],
            },
        });
        Ok(run)
    }

    /// A policy that trains on what lies at `NAMESPACE/latest.csv` in the bucket of the data, with these triggers and
    /// hardly any pauses.
    pub fn policy(&self, name: &str, triggers: &Value) -> Result<Value, Error> {
        let mut template = self.plain(name, Recipe::V1)?["spec"].take();
        template["datasets"] = json!([]);
        Ok(json!({
            "apiVersion": "serin.dev/v1alpha1",
            "kind": "RetrainPolicy",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "triggers": triggers,
                "data": [{"name": "train", "uri": format!("s3://data/{}/latest.csv", self.namespace)}],
                "template": template,
                "cooldownSeconds": 1,
                "settleSeconds": 1,
            },
        }))
    }

    /// What lies there from now on.
    pub fn bring(&self, file: &str) -> Result<images::Data, Error> {
        let data = self.data.iter().find(|d| d.name == file).ok_or_else(|| format!("no data set {file}"))?;
        self.store.put("data", &format!("{}/latest.csv", self.namespace), &std::fs::read(&data.file)?)?;
        Ok(data.clone())
    }

    /// The policies of the namespace.
    pub fn policies(&self, kube: &Client) -> Api<RetrainPolicy> {
        Api::namespaced(kube.clone(), &self.namespace)
    }

    /// Applies it as `kubectl apply --server-side` does.
    pub async fn apply(&self, kube: &Client, run: &Value) -> Result<(), Error> {
        let name = run["metadata"]["name"].as_str().unwrap_or_default();
        self.runs(kube).patch(name, &PatchParams::apply("e2e").force(), &Patch::Apply(run)).await?;
        Ok(())
    }

    /// Waits for a state of a run; what it waits for meanwhile is the error. A run that ended otherwise does not change
    /// any more, and fails at once.
    pub async fn until(
        &self,
        kube: &Client,
        name: &str,
        what: &str,
        patience: Duration,
        done: impl Fn(&TrainingRunStatus) -> bool,
    ) -> Result<TrainingRunStatus, Error> {
        let over = client::until(what, patience, || async {
            let status = self.status(kube, name).await.map_err(|e| e.to_string())?;
            match (done(&status), &status.completion) {
                (true, _) => Ok(Ok(status)),
                (false, Some(_)) => Ok(Err(in_words(&status))),
                (false, None) => Err(in_words(&status)),
            }
        })
        .await?;
        over.map_err(|words| format!("{what}: {name} has ended: {words}").into())
    }

    /// Its status; empty if there is none yet.
    pub async fn status(&self, kube: &Client, name: &str) -> Result<TrainingRunStatus, Error> {
        Ok(self.runs(kube).get(name).await?.status.unwrap_or_default())
    }

    /// The runs of the namespace.
    pub fn runs(&self, kube: &Client) -> Api<TrainingRun> {
        Api::namespaced(kube.clone(), &self.namespace)
    }

    /// The versions of the namespace.
    pub fn versions(&self, kube: &Client) -> Api<ModelVersion> {
        Api::namespaced(kube.clone(), &self.namespace)
    }

    /// Jobs of a run: trainings and evaluations.
    pub async fn jobs(&self, kube: &Client, run: &str) -> Result<Vec<Job>, Error> {
        Ok(Api::namespaced(kube.clone(), &self.namespace).list(&of(run)).await?.items)
    }

    /// Pods of a run.
    pub async fn pods(&self, kube: &Client, run: &str) -> Result<Vec<Pod>, Error> {
        Ok(Api::namespaced(kube.clone(), &self.namespace).list(&of(run)).await?.items)
    }

    /// Waits until Jobs, Services and pods of a run are gone: its retention is over.
    pub async fn cleared(&self, kube: &Client, run: &str, patience: Duration) -> Result<(), Error> {
        let services: Api<Service> = Api::namespaced(kube.clone(), &self.namespace);
        client::until(&format!("nothing of {run} is left but itself"), patience, || async {
            let jobs = self.jobs(kube, run).await.map_err(|e| e.to_string())?.len();
            let pods = self.pods(kube, run).await.map_err(|e| e.to_string())?.len();
            let services = services.list(&of(run)).await.map_err(|e| e.to_string())?.items.len();
            let left = [jobs, services, pods];
            if left == [0; 3] { Ok(()) } else { Err(format!("left: {left:?} (Jobs, Services, pods)")) }
        })
        .await
    }

    /// What lies in the store under the runs' output.
    pub fn published(&self) -> Result<Vec<String>, Error> {
        self.store.list("models", &format!("{}/", self.namespace))
    }

    /// Deletes runs and versions that an earlier story left.
    pub async fn gone(&self, kube: &Client) -> Result<(), Error> {
        let all = ListParams::default();
        self.runs(kube).delete_collection(&DeleteParams::default(), &all).await?;
        self.versions(kube).delete_collection(&DeleteParams::default(), &all).await?;
        client::until("the runs of an earlier story to end", Duration::from_mins(2), || async {
            let runs = self.runs(kube).list(&all).await.map_err(|e| e.to_string())?.items.len();
            let versions = self.versions(kube).list(&all).await.map_err(|e| e.to_string())?.items.len();
            if runs + versions == 0 { Ok(()) } else { Err(format!("{runs} runs, {versions} versions")) }
        })
        .await
    }
}

fn of(run: &str) -> ListParams {
    ListParams::default().labels(&format!("{}={run}", labels::RUN))
}

/// A run's state in one line.
pub fn in_words(status: &TrainingRunStatus) -> String {
    let phase = status.phase.map_or_else(|| "no phase".to_owned(), |p| format!("{p:?}"));
    if let Some(end) = &status.completion {
        return format!("{:?}, {}: {}", end.result, end.reason, end.message);
    }
    let says = |c: conditions::Type| conditions::get(&status.conditions, c);
    let why =
        says(conditions::Type::Stalled).filter(|c| c.status == "True").or(says(conditions::Type::Succeeded));
    let why = why.map(|c| format!("{}: {}", c.reason, c.message)).unwrap_or_default();
    let ends: Vec<String> = status
        .attempts
        .iter()
        .filter_map(|a| Some(format!("a{} {:?} ({})", a.number, a.end?, a.message.as_deref().unwrap_or("-"))))
        .collect();
    format!("{phase}, attempt {}: {why} {}", status.attempt, ends.join("; "))
}

/// Whether it has ended with a version.
pub fn succeeded(status: &TrainingRunStatus) -> bool {
    status.phase == Some(RunPhase::Succeeded) && status.model_version.is_some()
}
