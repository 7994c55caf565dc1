//! Pods: why one is not ready, and since when its server runs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Serialize};
use serin_api::labels;
use serin_engine::{Crashed, PodTrouble};

use super::{Child, Ident, clean, label};
use crate::owner::{OwnerKey, OwnerKind};

/// A pod: why it is not ready, and since when its server runs.
#[derive(kube::Resource, Serialize, Deserialize, Clone, Debug)]
#[resource(inherit = k8s_openapi::api::core::v1::Pod)]
pub struct SlimPod {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub status: SlimPodStatus,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimPodStatus {
    #[serde(default)]
    pub conditions: Vec<SlimCondition>,
    #[serde(default)]
    pub container_statuses: Vec<SlimContainer>,
    #[serde(default)]
    pub init_container_statuses: Vec<SlimContainer>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct SlimCondition {
    #[serde(rename = "type", default)]
    pub type_: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub message: Option<String>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimContainer {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub restart_count: i32,
    #[serde(default)]
    pub state: SlimState,
    #[serde(default)]
    pub last_state: SlimState,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct SlimState {
    #[serde(default)]
    pub waiting: Option<SlimWaiting>,
    #[serde(default)]
    pub running: Option<SlimRunning>,
    #[serde(default)]
    pub terminated: Option<SlimTerminated>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct SlimWaiting {
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub message: Option<String>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimRunning {
    #[serde(default)]
    pub started_at: Option<Time>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimTerminated {
    #[serde(default)]
    pub exit_code: i32,
    #[serde(default)]
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodView {
    pub ident: Ident,
    pub revision: String,
    /// When its server's container started, in milliseconds since the epoch.
    pub started_ms: Option<i64>,
    pub trouble: Option<PodTrouble>,
    pub crashed: Option<Crashed>,
}

impl Child for SlimPod {
    const OWNER: OwnerKind = OwnerKind::ModelDeployment;
    type View = PodView;
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn ident(view: &PodView) -> &Ident {
        &view.ident
    }
    fn owner(&self) -> Option<OwnerKey> {
        Some(OwnerKey {
            kind: Self::OWNER,
            namespace: self.metadata.namespace.clone()?,
            name: label(&self.metadata, labels::DEPLOYMENT)?.to_owned(),
            uid: label(&self.metadata, labels::INSTANCE)?.to_owned(),
        })
    }
    fn view(&self, mut ident: Ident) -> PodView {
        // Freshness is never asked of pods; without versions, equal views mean that nothing of interest changed.
        ident.version = 0;
        let server = self.status.container_statuses.iter().find(|c| c.name == "server");
        PodView {
            ident,
            revision: label(&self.metadata, labels::REVISION).unwrap_or_default().to_owned(),
            started_ms: server
                .and_then(|c| c.state.running.as_ref())
                .and_then(|r| r.started_at.as_ref())
                .map(|t| t.0.as_millisecond()),
            trouble: trouble(&self.status),
            crashed: crashed(&self.status),
        }
    }
}

/// The containers that wait for something, and for what.
fn waiting(status: &SlimPodStatus) -> impl Iterator<Item = (&SlimContainer, &SlimWaiting)> {
    let all = status.init_container_statuses.iter().chain(&status.container_statuses);
    all.filter_map(|c| Some((c, c.state.waiting.as_ref()?)))
}

fn crashed(status: &SlimPodStatus) -> Option<Crashed> {
    let crashed = waiting(status).filter(|(_, waiting)| waiting.reason == "CrashLoopBackOff");
    let (worst, _) = crashed.max_by_key(|(c, _)| c.restart_count)?;
    Some(Crashed { restarts: worst.restart_count, message: last_words(worst) })
}

fn trouble(status: &SlimPodStatus) -> Option<PodTrouble> {
    let no_image = ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"];
    if let Some((_, waiting)) = waiting(status).find(|(_, w)| no_image.contains(&w.reason.as_str())) {
        let message = waiting.message.clone().unwrap_or_else(|| waiting.reason.clone());
        return Some(PodTrouble::ImagePull { message: clean(&message) });
    }
    if let Some(fetch) = status.init_container_statuses.iter().find(|c| c.name == "fetch-model") {
        // A retry that worked ends with code 0; until then the last failure is what there is to say.
        let now = fetch.state.terminated.as_ref();
        let failed = now.or(fetch.last_state.terminated.as_ref()).filter(|t| t.exit_code != 0);
        if let Some(end) = failed {
            let words = end.message.as_deref().unwrap_or("it said nothing").trim();
            return Some(PodTrouble::Model { message: clean(words) });
        }
    }
    status
        .conditions
        .iter()
        .find(|c| {
            c.type_ == "PodScheduled" && c.status == "False" && c.reason.as_deref() == Some("Unschedulable")
        })
        .map(|c| PodTrouble::Unschedulable { message: clean(c.message.as_deref().unwrap_or_default()) })
}

fn last_words(c: &SlimContainer) -> String {
    let Some(end) = &c.last_state.terminated else { return format!("container {}", c.name) };
    let words = end.message.as_deref().map(str::trim).filter(|m| !m.is_empty());
    let last_line = words.and_then(|w| w.lines().last()).map(clean);
    match last_line {
        Some(line) => format!("container {} exited with {}: {line}", c.name, end.exit_code),
        None => format!("container {} exited with {}", c.name, end.exit_code),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn view(status: &Value) -> (Option<PodTrouble>, Option<Crashed>) {
        let status: SlimPodStatus = serde_json::from_value(status.clone()).unwrap();
        (trouble(&status), crashed(&status))
    }

    #[test]
    fn crashes_are_counted_and_told_apart_from_the_rest() {
        let crash = |name: &str, restarts: i32| {
            json!({
                "name": name, "restartCount": restarts, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 3, "message": "first\nlast\n"}},
            })
        };
        let (trouble, crashed) = view(&json!({"initContainerStatuses": [crash("fetch-model", 1)]}));
        assert_eq!(trouble, Some(PodTrouble::Model { message: "first last".to_owned() }));
        let message = "container fetch-model exited with 3: last".to_owned();
        assert_eq!(crashed, Some(Crashed { restarts: 1, message }));
        let both = json!({"containerStatuses": [crash("server", 2), crash("proxy", 5)]});
        assert_eq!(view(&both).1.map(|crashed| crashed.restarts), Some(5));
        let runs =
            json!({"containerStatuses": [{"name": "server", "restartCount": 9, "state": {"running": {}}}]});
        assert_eq!(view(&runs), (None, None));
    }

    #[test]
    fn an_image_says_more_than_a_node() {
        let image = |reason: &str| json!({"name": "server", "state": {"waiting": {"reason": reason}}});
        for reason in ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"] {
            let (trouble, _) = view(&json!({"containerStatuses": [image(reason)]}));
            assert_eq!(trouble, Some(PodTrouble::ImagePull { message: reason.to_owned() }));
        }
        // A large image that is being pulled.
        assert_eq!(view(&json!({"containerStatuses": [image("ContainerCreating")]})), (None, None));
        let node = json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"},
        ]});
        assert_eq!(view(&node).0, Some(PodTrouble::Unschedulable { message: "0/3 nodes".to_owned() }));
    }
}
