//! Serin and the model store, installed as a user would: the committed manifests, with two lines changed, and the page.

use std::time::Duration;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{Api, Client, api::ListParams};
use serin_bed::{Bed, HelmLine};

use crate::{
    Error, client,
    helm::{self, Helm},
    images,
};

/// Namespace of the operator in `deploy/operator.yaml`.
pub const NAMESPACE: &str = "serin-system";

/// Where the operator's pod serves its page, on its loopback.
pub const PAGE_PORT: u16 = 8081;

/// CRDs, rights and operator; returns when the operator is ready.
pub async fn operator(bed: &Bed, kube: &Client) -> Result<(), Error> {
    let root = images::repository();
    for file in std::fs::read_dir(root.join("crds"))? {
        let path = file?.path();
        // Beside them is a list of them for kustomize.
        if path.extension().is_some_and(|extension| extension == "yaml") {
            client::apply(bed, &std::fs::read_to_string(path)?)?;
        }
    }
    let url =
        bed.prometheus_url().ok_or("this cluster's Prometheus is not known: set SERIN_PROMETHEUS_URL")?;
    let manifest = std::fs::read_to_string(root.join("deploy/operator.yaml"))?;
    let marked = "--prometheus-url=http://prometheus.monitoring:9090";
    if !manifest.contains(marked) {
        return Err(format!("deploy/operator.yaml has no line {marked}").into());
    }
    let first = "        args:\n        - operator\n";
    if !manifest.contains(first) {
        return Err("deploy/operator.yaml has no argument operator".into());
    }
    let manifest =
        manifest.replace(first, &format!("{first}        - --page-listen=127.0.0.1:{PAGE_PORT}\n"));
    // The bed's second gateway copies requests, and its class says nothing about that.
    let trusted = "--mirroring-gateways=serin-gateway/envoy";
    let manifest = manifest.replace(marked, &format!("--prometheus-url={url}\n        - {trusted}"));
    // The image's name stays the same while its content changes; the pod must not.
    let port = "prometheus.io/port: \"8080\"";
    if !manifest.contains(port) {
        return Err(format!("deploy/operator.yaml has no line {port}").into());
    }
    let content = images::content("serin")?;
    client::apply(bed, &manifest.replace(port, &format!("{port}\n        serin.test/image: {content:?}")))?;
    available(kube, NAMESPACE, "serin").await
}

/// The same by Helm, from the chart; returns when the operator is ready.
pub fn chart(bed: &Bed) -> Result<(), Error> {
    let url =
        bed.prometheus_url().ok_or("this cluster's Prometheus is not known: set SERIN_PROMETHEUS_URL")?;
    let (chart, url) = (helm::chart(), format!("prometheus.url={url}"));
    let chart = chart.to_string_lossy();
    let place = ["--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", "2m"];
    // The image's name stays the same while its content changes; the pod must not.
    let content = format!("podAnnotations.serin\\.test/image={}", images::content("serin")?);
    let mut args = vec!["upgrade", "--install", "serin", &chart, "--set", &url, "--set-string", &content];
    args.extend(place);
    Helm::of(bed, HelmLine::Four)?.run(&args).map(drop)
}

/// A file server with the models, in `namespace`.
pub async fn store(bed: &Bed, kube: &Client, namespace: &str) -> Result<(), Error> {
    let manifest = STORE.replace("NAMESPACE", namespace).replace("IMAGE", images::MODELS);
    client::apply(bed, &manifest.replace("CONTENT", &images::content("models")?))?;
    available(kube, namespace, "model-store").await
}

/// Where a model's file is, for pods.
pub fn model_uri(namespace: &str, version: images::Version) -> String {
    format!("http://model-store.{namespace}/{}", version.file())
}

async fn available(kube: &Client, namespace: &str, name: &str) -> Result<(), Error> {
    let api: Api<Deployment> = Api::namespaced(kube.clone(), namespace);
    client::until(&format!("Deployment {name} available"), Duration::from_mins(2), || async {
        let found = api.get(name).await.map_err(|e| e.to_string())?;
        let generation = found.metadata.generation;
        let status = found.status.unwrap_or_default();
        let current = status.observed_generation >= generation;
        let ready = status.updated_replicas.unwrap_or(0) >= 1 && status.available_replicas.unwrap_or(0) >= 1;
        let settled = status.replicas == status.updated_replicas;
        if current && ready && settled { Ok(()) } else { Err(pods(kube, namespace).await) }
    })
    .await
}

/// Why the pods of a namespace are not ready, in one line.
async fn pods(kube: &Client, namespace: &str) -> String {
    let api: Api<Pod> = Api::namespaced(kube.clone(), namespace);
    let Ok(list) = api.list(&ListParams::default()).await else {
        return "the pods cannot be listed".to_owned();
    };
    let words = |p: Pod| {
        let status = p.status.unwrap_or_default();
        let container = status.container_statuses.unwrap_or_default().into_iter().next();
        let (state, last) = container.map(|c| (c.state, c.last_state)).unwrap_or_default();
        let waiting = state.and_then(|s| s.waiting).and_then(|w| w.reason).unwrap_or_default();
        let said = last.and_then(|s| s.terminated).and_then(|t| t.message).unwrap_or_default();
        let name = p.metadata.name.unwrap_or_default();
        format!("{name} {} {waiting} {}", status.phase.unwrap_or_default(), said.trim())
    };
    list.items.into_iter().map(words).collect::<Vec<_>>().join("; ")
}

const STORE: &str = r"
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: model-store, namespace: NAMESPACE}
spec:
  selector: {matchLabels: {app: model-store}}
  template:
    metadata: {labels: {app: model-store}, annotations: {serin.test/image: CONTENT}}
    spec:
      automountServiceAccountToken: false
      containers:
      - name: store
        image: IMAGE
        args: [store, --dir, /models, --listen, '0.0.0.0:8080']
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: model-store, namespace: NAMESPACE}
spec:
  selector: {app: model-store}
  ports: [{port: 80, targetPort: 8080}]
";
