//! What a kubelet reports about a pod.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use chrono::{SecondsFormat, Utc};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::Behaviour;

/// Image of the server, which is the first container.
pub fn image(pod: &Pod) -> String {
    let first = pod.spec.as_ref().and_then(|spec| spec.containers.first());
    first.and_then(|container| container.image.clone()).unwrap_or_default()
}

/// What tells the pods of one version from those of another: the server's image, and the address of the model.
pub fn serves(pod: &Pod) -> String {
    let init = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_ref()?.first());
    let args = init.and_then(|container| container.args.as_deref()).unwrap_or_default();
    let uri = args.iter().skip_while(|arg| *arg != "--uri").nth(1);
    format!("{} {}", image(pod), uri.map_or("", String::as_str))
}

/// The pod's whole status.
pub fn of(pod: &Pod, behaviour: &Behaviour, restarts: i32) -> Value {
    let now = now();
    let spec = pod.spec.clone().unwrap_or_default();
    if *behaviour == Behaviour::Unschedulable {
        return unschedulable();
    }

    let ready = matches!(behaviour, Behaviour::Ready(_));
    let initialized = !matches!(behaviour, Behaviour::InitCrashLoop(_));
    let init: Vec<Value> = spec
        .init_containers
        .iter()
        .flatten()
        .map(|container| match behaviour {
            Behaviour::InitCrashLoop(_) => crashing(container, restarts, &now),
            _ => ended(container, 0, "Completed", "", &now),
        })
        .collect();
    let servers: Vec<Value> = spec
        .containers
        .iter()
        .map(|container| match behaviour {
            Behaviour::CrashLoop(_) => crashing(container, restarts, &now),
            Behaviour::ImagePull => {
                waiting(container, restarts, "ImagePullBackOff", "Back-off pulling image")
            }
            Behaviour::InitCrashLoop(_) => waiting(container, restarts, "PodInitializing", ""),
            _ => running(container, ready, restarts, &now),
        })
        .collect();
    let phase = match behaviour {
        Behaviour::ImagePull | Behaviour::InitCrashLoop(_) => "Pending",
        _ => "Running",
    };
    whole(pod, phase, initialized, ready, &init, &servers)
}

/// The status of a pod that no node takes.
pub fn unschedulable() -> Value {
    let message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.";
    json!({"phase": "Pending", "conditions": [condition("PodScheduled", false, "Unschedulable", message)]})
}

/// As the wire writes times.
pub fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn condition(kind: &str, ok: bool, reason: &str, message: &str) -> Value {
    let status = if ok { "True" } else { "False" };
    json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now()})
}

/// A status from its parts.
pub fn whole(
    pod: &Pod,
    phase: &str,
    initialized: bool,
    ready: bool,
    init: &[Value],
    containers: &[Value],
) -> Value {
    json!({
        "phase": phase,
        "startTime": now(),
        "podIP": address(pod),
        "podIPs": [{"ip": address(pod)}],
        "conditions": [
            condition("PodScheduled", true, "", ""),
            condition("Initialized", initialized, "", ""),
            condition("ContainersReady", ready, "", ""),
            condition("Ready", ready, "", ""),
        ],
        "initContainerStatuses": init,
        "containerStatuses": containers,
    })
}

fn status(container: &Container, ready: bool, restarts: i32, state: &Value) -> Value {
    let image = container.image.clone().unwrap_or_default();
    json!({
        "name": container.name, "image": image, "imageID": image_id(&image),
        "ready": ready, "started": ready, "restartCount": restarts, "state": state,
    })
}

/// What the runtime resolved the image to: a tag always to the same content.
fn image_id(image: &str) -> String {
    if image.contains('@') {
        image.to_owned()
    } else {
        format!("{image}@{}", super::job::sha256(image.as_bytes()))
    }
}

pub fn running(container: &Container, ready: bool, restarts: i32, now: &str) -> Value {
    status(container, ready, restarts, &json!({"running": {"startedAt": now}}))
}

pub fn ended(container: &Container, code: i32, reason: &str, message: &str, now: &str) -> Value {
    let ended = json!({"terminated": {
        "exitCode": code, "reason": reason, "message": message, "startedAt": now, "finishedAt": now,
    }});
    status(container, code == 0, 0, &ended)
}

pub fn waiting(container: &Container, restarts: i32, reason: &str, message: &str) -> Value {
    status(container, false, restarts, &json!({"waiting": {"reason": reason, "message": message}}))
}

fn crashing(container: &Container, restarts: i32, now: &str) -> Value {
    let message = "back-off 5m0s restarting failed container";
    let mut status = waiting(container, restarts, "CrashLoopBackOff", message);
    status["lastState"] = json!({"terminated": {
        "exitCode": 1, "reason": "Error", "message": "model does not fit", "startedAt": now, "finishedAt": now,
    }});
    status
}

/// Any address will do, as long as no two pods of a test share it: nobody calls them.
fn address(pod: &Pod) -> String {
    let mut hasher = DefaultHasher::new();
    pod.uid().hash(&mut hasher);
    let [a, b, c, ..] = hasher.finish().to_be_bytes();
    format!("10.{a}.{b}.{c}")
}
