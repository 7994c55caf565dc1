//! The pods of a `ModelDeployment`.

use std::{collections::BTreeMap, fs, path::Path};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::ListParams};
use serin_api::labels;

use crate::{Error, wine::Wine};

/// All of them, also those on their way out.
pub async fn all(kube: &Client, wine: &Wine) -> Result<Vec<Pod>, Error> {
    let api: Api<Pod> = Api::namespaced(kube.clone(), &wine.namespace);
    let selector = format!("{}={}", labels::DEPLOYMENT, wine.name);
    Ok(api.list(&ListParams::default().labels(&selector)).await?.items)
}

/// Revision of a pod.
pub fn revision(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get(labels::REVISION).map(String::as_str)
}

/// Whether it is ready.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
}

/// Restarts of its containers, without those that only prepare.
pub fn restarts(pod: &Pod) -> i32 {
    let containers = pod.status.as_ref().and_then(|s| s.container_statuses.as_ref());
    containers.into_iter().flatten().map(|c| c.restart_count).sum()
}

/// UID and restarts of the pods of a revision that are not on their way out.
pub fn of_revision(pods: &[Pod], id: &str) -> BTreeMap<String, i32> {
    pods.iter()
        .filter(|p| p.metadata.deletion_timestamp.is_none() && revision(p) == Some(id))
        .filter_map(|p| Some((p.metadata.uid.clone()?, restarts(p))))
        .collect()
}

/// Ids of the model servers' processes in a pod of a bed, whose nodes share the processes of this machine.
pub fn servers(uid: &str) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if pid.bytes().all(|b| b.is_ascii_digit()) && is_server_of(&entry.path(), uid) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Whether a process is the model server of a pod.
fn is_server_of(process: &Path, uid: &str) -> bool {
    let read = |file| String::from_utf8_lossy(&fs::read(process.join(file)).unwrap_or_default()).into_owned();
    read("cgroup").contains(uid) && read("cmdline").split('\0').nth(1) == Some("serve")
}
