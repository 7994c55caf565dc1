//! The `ModelDeployment` that the demo and the scenarios apply.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use serin_api::ModelDeployment;

use crate::{
    Error, client,
    images::{self, Built, Version},
    install,
};

/// A `ModelDeployment` of the wine model.
#[derive(Clone, Debug)]
pub struct Wine {
    /// Namespace.
    pub namespace: String,
    /// Namespace of the model store; the same unless told otherwise.
    pub store: String,
    /// Name.
    pub name: String,
    /// Pods.
    pub replicas: i32,
    /// Host name on the gateway; `None`: replica ratio.
    pub host: Option<String>,
    /// `rollout`.
    pub rollout: Value,
    /// `availability.drainSeconds`.
    pub drain_seconds: i32,
}

impl Wine {
    /// With quick steps: the bed scrapes every 2 s.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            store: namespace.to_owned(),
            name: name.to_owned(),
            replicas: 1,
            host: Some(format!("{name}.{namespace}.example")),
            rollout: json!({
                "steps": [
                    {"weight": 5, "holdSeconds": 8},
                    {"weight": 25, "holdSeconds": 8},
                    {"weight": 50, "holdSeconds": 8},
                    {"weight": 75, "holdSeconds": 4},
                ],
                "analysis": {"intervalSeconds": 2},
            }),
            drain_seconds: 5,
        }
    }

    /// The object that serves `version`.
    pub fn object(&self, built: &Built, version: Version) -> Result<Value, Error> {
        let uri = install::model_uri(&self.store, version);
        let artifact = json!({"uri": uri, "digest": built.model(version)?.digest});
        Ok(self.serving(&json!({"version": version.label(), "artifact": artifact})))
    }

    /// The object that serves a ModelVersion.
    pub fn object_of(&self, version: &str) -> Value {
        self.serving(&json!({"versionRef": version}))
    }

    fn serving(&self, model: &Value) -> Value {
        let mut spec = json!({
            "model": model,
            "server": {
                "image": images::WINE,
                "imagePullPolicy": "IfNotPresent",
                "args": ["serve", "--model", "$(SERIN_MODEL_PATH)", "--listen", "0.0.0.0:8080", "--drain-seconds", "2"],
                "probes": {"readiness": {"path": "/readyz", "periodSeconds": 1}},
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
            },
            "replicas": self.replicas,
            "rollout": self.rollout,
            "availability": {"drainSeconds": self.drain_seconds},
        });
        if let Some(host) = &self.host {
            spec["traffic"] = json!({"gateway": {
                "parentRefs": [{"name": "serin-gateway", "namespace": "serin-gateway"}],
                "hostnames": [host],
            }});
        }
        json!({
            "apiVersion": "serin.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": spec,
        })
    }

    /// Applies it as `kubectl apply --server-side` does.
    pub async fn apply(&self, kube: &Client, built: &Built, version: Version) -> Result<(), Error> {
        self.put(kube, &self.object(built, version)?).await
    }

    /// The same with an object that was changed.
    pub async fn put(&self, kube: &Client, object: &Value) -> Result<(), Error> {
        self.api(kube).patch(&self.name, &PatchParams::apply("e2e").force(), &Patch::Apply(object)).await?;
        Ok(())
    }

    /// Deletes it, if it is there from an earlier run, and returns when nothing of it is left.
    pub async fn gone(&self, kube: &Client) -> Result<(), Error> {
        match self.api(kube).delete(&self.name, &DeleteParams::default()).await {
            Err(kube::Error::Api(s)) if s.is_not_found() => {}
            other => drop(other?),
        }
        let pods: Api<Pod> = Api::namespaced(kube.clone(), &self.namespace);
        let ours = ListParams::default().labels(&format!("{}={}", serin_api::labels::DEPLOYMENT, self.name));
        client::until("the pods of an earlier run to end", Duration::from_mins(2), || async {
            let left = pods.list(&ours).await.map_err(|e| e.to_string())?.items.len();
            if left == 0 { Ok(()) } else { Err(format!("{left} pods")) }
        })
        .await
    }

    /// As it is now.
    pub async fn get(&self, kube: &Client) -> Result<ModelDeployment, kube::Error> {
        self.api(kube).get(&self.name).await
    }

    /// The API it lives in.
    pub fn api(&self, kube: &Client) -> Api<ModelDeployment> {
        Api::namespaced(kube.clone(), &self.namespace)
    }
}
