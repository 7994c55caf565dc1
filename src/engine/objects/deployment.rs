//! The Deployment of a revision. Its template never changes: another revision is another Deployment.

use serde_json::{Map, Value, json};
use serin_api::{EnvVar, Layout, Location, RevisionSpec, Server, Slot, labels};

use super::{MODEL_DIR, MODEL_PATH, Owner, storage::storage};
use crate::revision;

/// Seconds that a pod goes on serving after it was told to end, while kube-proxy and gateways learn of it.
const ENDPOINT_PROPAGATION_SECONDS: i32 = 5;
/// Seconds that a pod is ready before it counts as available, whatever the spec says. Weight follows availability, but a
/// gateway hears of a new endpoint some 100 ms after the Deployment does, and answers 503 for its share until then.
const SETTLING_SECONDS: i32 = 2;
/// Where a claim with the model is mounted in the fetching container.
const CLAIM_DIR: &str = "/mnt/claim";

/// Seconds that a pod has to end: nothing before the deadline is cut.
pub const fn grace_seconds(drain_seconds: i32) -> i32 {
    let drain = if drain_seconds < 0 { 0 } else { drain_seconds };
    drain + ENDPOINT_PROPAGATION_SECONDS + 25
}

/// Builds it. The error is one line for `Stalled`; it can only come from a spec that validation refuses too.
pub fn deployment(
    owner: &Owner<'_>,
    revision: &str,
    spec: &RevisionSpec,
    slot: Slot,
    replicas: i32,
    agent_image: &str,
) -> Result<Value, String> {
    let instance = revision::instance(owner.uid);
    let pod_labels = json!({
        labels::MANAGED_BY: labels::MANAGER,
        "app.kubernetes.io/name": owner.name,
        labels::DEPLOYMENT: owner.name,
        labels::INSTANCE: instance,
        labels::REVISION: revision,
        labels::SLOT: slot.as_str(),
    });
    let name = revision::child_name(owner.name, owner.uid, revision);
    let own = json!({labels::INSTANCE: instance, labels::REVISION: revision});
    let mut pods = pod_spec(spec, agent_image)?;
    // One node or zone that is lost takes as few pods of a version as can be; but none waits for a better place.
    pods["topologySpreadConstraints"] = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        .map(|key| {
            json!({
                "topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": own},
            })
        })
        .into();
    let server = &spec.server;
    Ok(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": owner.metadata(&name, &[(labels::REVISION, revision), (labels::SLOT, slot.as_str())], None),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            "minReadySeconds": spec.min_ready_seconds.max(SETTLING_SECONDS),
            "selector": {"matchLabels": own},
            "template": {
                "metadata": {
                    "labels": pod_labels,
                    "annotations": {
                        "prometheus.io/scrape": "true",
                        "prometheus.io/port": server.metrics_port().to_string(),
                        "prometheus.io/path": server.metrics_path(),
                    },
                },
                "spec": pods,
            },
        },
    }))
}

fn pod_spec(spec: &RevisionSpec, agent_image: &str) -> Result<Value, String> {
    let server = &spec.server;
    let mut volumes = vec![json!({"name": "model", "emptyDir": {}})];
    let mut fetch_mounts = vec![json!({"name": "model", "mountPath": MODEL_DIR})];
    let uri = match spec.model.artifact.location()? {
        Location::Http(uri) | Location::Store(uri) => uri,
        Location::Claim { claim, path } => {
            volumes.push(
                json!({"name": "claim", "persistentVolumeClaim": {"claimName": claim, "readOnly": true}}),
            );
            fetch_mounts.push(json!({"name": "claim", "mountPath": CLAIM_DIR, "readOnly": true}));
            format!("file://{CLAIM_DIR}/{path}")
        }
    };
    let artifact = &spec.model.artifact;
    let mut args = vec!["fetch", "--uri", &uri, "--digest", &artifact.digest.0];
    args.extend(match artifact.layout {
        Layout::File => ["--output", MODEL_PATH].as_slice(),
        Layout::Directory => ["--layout", "directory", "--output", MODEL_DIR].as_slice(),
    });
    let (storage_env, storage_env_from) = storage(&spec.model.storage);
    let mut pod = json!({
        // Requests finish, then the pod ends by itself.
        "terminationGracePeriodSeconds": grace_seconds(spec.drain_seconds),
        "automountServiceAccountToken": server.service_account_name.is_some(),
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, "fsGroup": 65532},
        "volumes": volumes,
        "initContainers": [{
            "name": "fetch-model",
            "image": agent_image,
            "imagePullPolicy": "IfNotPresent",
            // The operator's image holds the agent, too; its entry point is the operator.
            "command": ["/serin-agent"],
            "args": args,
            "env": storage_env,
            "envFrom": storage_env_from,
            "volumeMounts": fetch_mounts,
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
        }],
        "containers": [container(server, artifact.layout, spec.drain_seconds)],
    });
    if let Some(account) = &server.service_account_name {
        pod["serviceAccountName"] = json!(account);
    }
    if !server.node_selector.is_empty() {
        pod["nodeSelector"] = json!(server.node_selector);
    }
    if !server.image_pull_secrets.is_empty() {
        let secrets: Vec<Value> = server.image_pull_secrets.iter().map(|n| json!({"name": n})).collect();
        pod["imagePullSecrets"] = Value::Array(secrets);
    }
    Ok(pod)
}

fn container(server: &Server, layout: Layout, drain_seconds: i32) -> Value {
    let (http, metrics) = (server.http_port(), server.metrics_port());
    let mut ports = vec![json!({"name": "http", "containerPort": http})];
    if metrics != http {
        ports.push(json!({"name": "metrics", "containerPort": metrics}));
    }
    let path = if layout.is_file() { MODEL_PATH } else { MODEL_DIR };
    let mut env = vec![json!({"name": "SERIN_MODEL_PATH", "value": path})];
    env.extend(server.env.iter().map(env_var));
    let mut c = json!({
        "name": "server",
        "image": server.image,
        "ports": ports,
        "env": env,
        "volumeMounts": [{"name": "model", "mountPath": MODEL_DIR, "readOnly": true}],
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        // Last words of a crash, without a log reader.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    if let Some(user) = server.run_as_user {
        c["securityContext"]["runAsNonRoot"] = json!(true);
        c["securityContext"]["runAsUser"] = json!(user);
    }
    // A server that breaks off what it has begun is told to end when nothing is left to break off.
    let rest =
        if server.breaks_off() { drain_seconds } else { ENDPOINT_PROPAGATION_SECONDS.min(drain_seconds) };
    if rest > 0 {
        c["lifecycle"] = json!({"preStop": {"sleep": {"seconds": rest}}});
    }
    let probes = server.probes();
    for (field, probe) in [
        ("readinessProbe", probes.readiness),
        ("livenessProbe", probes.liveness),
        ("startupProbe", probes.startup),
    ] {
        if let Some(p) = probe {
            c[field] = json!({
                "httpGet": {"path": p.path, "port": "http"},
                "periodSeconds": p.period_seconds,
                "timeoutSeconds": p.timeout_seconds,
                "failureThreshold": p.failure_threshold,
            });
        }
    }
    if let Some(policy) = server.image_pull_policy {
        c["imagePullPolicy"] = json!(policy);
    }
    if !server.command.is_empty() {
        c["command"] = json!(server.command);
    }
    if !server.args.is_empty() {
        c["args"] = json!(server.args);
    }
    let mut resources = Map::new();
    for (kind, quantities) in [("requests", &server.resources.requests), ("limits", &server.resources.limits)]
    {
        if !quantities.is_empty() {
            resources.insert(kind.to_owned(), json!(quantities));
        }
    }
    if !resources.is_empty() {
        c["resources"] = Value::Object(resources);
    }
    c
}

fn env_var(e: &EnvVar) -> Value {
    if let Some(r) = &e.secret_key_ref {
        return json!({"name": e.name, "valueFrom": {"secretKeyRef": {"name": r.name, "key": r.key}}});
    }
    if let Some(r) = &e.config_map_key_ref {
        return json!({"name": e.name, "valueFrom": {"configMapKeyRef": {"name": r.name, "key": r.key}}});
    }
    json!({"name": e.name, "value": e.value.clone().unwrap_or_default()})
}
