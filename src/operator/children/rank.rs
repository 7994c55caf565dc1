//! Pods of runs, and of looks at data: what each waits for, how its program ended, and its last word.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Serialize};
use serin_api::{conditions::from_time, labels};
use serin_engine::retrain::look::LOOK;
use serin_engine::training::{
    ContainerEnd, ObservedPod, PodPhase, Wait,
    objects::{EVALUATE, PREPARE, TRAIN},
};

use super::{Child, Ident, clean, label, number};
use crate::owner::{OwnerKey, OwnerKind};

/// A pod.
#[derive(kube::Resource, Serialize, Deserialize, Clone, Debug)]
#[resource(inherit = k8s_openapi::api::core::v1::Pod)]
pub struct SlimRank {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: SlimRankSpec,
    #[serde(default)]
    pub status: SlimRankStatus,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimRankSpec {
    #[serde(default)]
    pub scheduling_gates: Vec<SlimGate>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct SlimGate {
    #[serde(default)]
    pub name: String,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimRankStatus {
    #[serde(default)]
    pub phase: String,
    #[serde(default)]
    pub conditions: Vec<SlimRankCondition>,
    #[serde(default)]
    pub init_container_statuses: Vec<SlimProgram>,
    #[serde(default)]
    pub container_statuses: Vec<SlimProgram>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimRankCondition {
    #[serde(rename = "type", default)]
    pub type_: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub message: Option<String>,
    #[serde(default)]
    pub last_transition_time: Option<Time>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct SlimProgram {
    #[serde(default)]
    pub name: String,
    #[serde(rename = "imageID", default)]
    pub image_id: String,
    #[serde(default)]
    pub state: SlimProgramState,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct SlimProgramState {
    #[serde(default)]
    pub waiting: Option<SlimProgramWaiting>,
    #[serde(default)]
    pub running: Option<SlimProgramRunning>,
    #[serde(default)]
    pub terminated: Option<SlimProgramEnd>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct SlimProgramWaiting {
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub message: Option<String>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimProgramRunning {
    #[serde(default)]
    pub started_at: Option<Time>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimProgramEnd {
    #[serde(default)]
    pub exit_code: i32,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub started_at: Option<Time>,
    #[serde(default)]
    pub finished_at: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankView {
    ident: Ident,
    /// Of the Job; `None` for a pod that belongs to none.
    job_uid: Option<String>,
    index: i32,
    phase: PodPhase,
    disrupted: Option<String>,
    started_at: Option<DateTime<Utc>>,
    image: Option<String>,
    prepare: Option<ContainerEnd>,
    program: Option<ContainerEnd>,
    waits: Option<Wait>,
}

impl RankView {
    /// For the engine; `None` for a pod that no Job made.
    pub fn observed(self) -> Option<ObservedPod> {
        Some(ObservedPod {
            job_uid: self.job_uid?,
            name: self.ident.name,
            index: self.index,
            phase: self.phase,
            deleting: self.ident.deleting,
            disrupted: self.disrupted,
            started_at: self.started_at,
            image: self.image,
            prepare: self.prepare,
            program: self.program,
            waits: self.waits,
        })
    }
}

impl Child for SlimRank {
    const OWNER: OwnerKind = OwnerKind::TrainingRun;
    type View = RankView;
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn ident(view: &RankView) -> &Ident {
        &view.ident
    }
    fn owner(&self) -> Option<OwnerKey> {
        let (kind, name, uid) = match label(&self.metadata, labels::RETRAIN_UID) {
            None => (Self::OWNER, labels::RUN, labels::RUN_UID),
            Some(_) => (OwnerKind::RetrainPolicy, labels::RETRAIN, labels::RETRAIN_UID),
        };
        Some(OwnerKey {
            kind,
            namespace: self.metadata.namespace.clone()?,
            name: label(&self.metadata, name)?.to_owned(),
            uid: label(&self.metadata, uid)?.to_owned(),
        })
    }
    fn view(&self, mut ident: Ident) -> RankView {
        // Freshness is never asked of pods; without versions, equal views mean that nothing of interest changed.
        ident.version = 0;
        let (meta, status) = (&self.metadata, &self.status);
        let job =
            meta.owner_references.iter().flatten().find(|o| o.kind == "Job" && o.controller == Some(true));
        let program =
            status.container_statuses.iter().find(|c| [TRAIN, EVALUATE, LOOK].contains(&c.name.as_str()));
        let prepare = status.init_container_statuses.iter().find(|c| c.name == PREPARE);
        let phase = phase(&status.phase);
        let disrupted =
            status.conditions.iter().find(|c| c.type_ == "DisruptionTarget" && c.status == "True");
        RankView {
            ident,
            job_uid: job.map(|o| o.uid.clone()),
            index: number(label(meta, INDEX)).unwrap_or(0),
            phase,
            disrupted: disrupted.map(|c| {
                let words = c.message.as_deref().or(c.reason.as_deref());
                clean(words.unwrap_or("disrupted"))
            }),
            started_at: program.and_then(started_at),
            image: program.map(|c| &c.image_id).filter(|id| !id.is_empty()).cloned(),
            prepare: prepare.and_then(end).filter(|e| e.code != 0),
            program: program.and_then(end),
            waits: if phase == PodPhase::Pending { waits(self, prepare) } else { None },
        }
    }
}

/// Set by the Job controller on pods of an Indexed Job.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// A phase that is not known, or `Unknown`, may still be running somewhere.
fn phase(text: &str) -> PodPhase {
    match text {
        "" | "Pending" => PodPhase::Pending,
        "Succeeded" => PodPhase::Succeeded,
        "Failed" => PodPhase::Failed,
        _ => PodPhase::Running,
    }
}

fn started_at(c: &SlimProgram) -> Option<DateTime<Utc>> {
    let running = c.state.running.as_ref().and_then(|r| r.started_at.as_ref());
    let ended = c.state.terminated.as_ref().and_then(|t| t.started_at.as_ref());
    running.or(ended).and_then(from_time)
}

/// Kubernetes cuts at this many bytes; more can only come from somebody who writes statuses.
const MESSAGE_MAX: usize = 4096;

fn end(c: &SlimProgram) -> Option<ContainerEnd> {
    let ended = c.state.terminated.as_ref()?;
    let message = &ended.message;
    let cut = (0..=MESSAGE_MAX.min(message.len())).rev().find(|i| message.is_char_boundary(*i)).unwrap_or(0);
    Some(ContainerEnd {
        code: ended.exit_code,
        reason: clean(&ended.reason),
        message: message.get(..cut).unwrap_or_default().to_owned(),
        at: ended.finished_at.as_ref().and_then(from_time).unwrap_or_default(),
    })
}

fn waits(pod: &SlimRank, prepare: Option<&SlimProgram>) -> Option<Wait> {
    let status = &pod.status;
    let scheduled = status.conditions.iter().find(|c| c.type_ == "PodScheduled");
    if let Some(c) = scheduled.filter(|c| c.status == "False") {
        return match (c.reason.as_deref(), pod.spec.scheduling_gates.first()) {
            (Some("SchedulingGated"), Some(gate)) => Some(Wait::Gate(clean(&gate.name))),
            _ => Some(Wait::Node(clean(c.message.as_deref().unwrap_or("no node takes it")))),
        };
    }
    if let Some(gate) = pod.spec.scheduling_gates.first() {
        return Some(Wait::Gate(clean(&gate.name)));
    }
    let all = status.init_container_statuses.iter().chain(&status.container_statuses);
    for waiting in all.filter_map(|c| c.state.waiting.as_ref()) {
        let words = || clean(waiting.message.as_deref().unwrap_or(&waiting.reason));
        match waiting.reason.as_str() {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "RegistryUnavailable"
            | "ImageInspectError"
            | "SignatureValidationFailed" => {
                return Some(Wait::Image(words()));
            }
            "CreateContainerConfigError"
            | "CreateContainerError"
            | "RunContainerError"
            | "PreCreateHookError"
            | "PreStartHookError"
            | "PostStartHookError" => {
                return Some(Wait::Config(words()));
            }
            _ => {}
        }
    }
    match prepare.map(|c| &c.state) {
        Some(state) if state.running.is_some() => Some(Wait::Inputs),
        Some(state) if state.terminated.is_some() => None,
        // On a node, and nothing has started.
        _ => scheduled
            .filter(|c| c.status == "True")
            .map(|c| Wait::Sandbox(c.last_transition_time.as_ref().and_then(from_time).unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ident, *};
    use serde_json::{Value, json};

    fn view(gates: &Value, status: &Value) -> RankView {
        let pod: SlimRank = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "wine-a1-3-xyz", "namespace": "ns", "uid": "p", "resourceVersion": "7",
                "labels": {
                    "serin.dev/training-run": "wine", "serin.dev/run-uid": "u",
                    "batch.kubernetes.io/job-completion-index": "3",
                },
                "ownerReferences": [
                    {"apiVersion": "batch/v1", "kind": "Job", "name": "wine-a1", "uid": "j", "controller": true},
                ],
            },
            "spec": {"schedulingGates": gates, "containers": []},
            "status": status,
        }))
        .unwrap();
        assert_eq!(pod.owner().unwrap().uid, "u");
        pod.view(ident(pod.meta()))
    }
    fn waits(status: &Value) -> Option<Wait> {
        view(&json!([]), status).waits
    }

    #[test]
    fn a_pod_says_what_it_waits_for() {
        assert_eq!(view(&json!([{"name": "gang"}]), &json!({})).waits, Some(Wait::Gate("gang".into())));
        let no_node = json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes\nfit"},
        ]});
        assert_eq!(waits(&no_node), Some(Wait::Node("0/3 nodes fit".into())));
        let scheduled = json!([{
            "type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]);
        let since = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(waits(&json!({"conditions": scheduled})), Some(Wait::Sandbox(since)));
        let prepare = |state: Value| json!({"conditions": scheduled, "initContainerStatuses": [{"name": "prepare", "state": state}]});
        let image = prepare(json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}));
        assert_eq!(waits(&image), Some(Wait::Image("no such image".into())));
        let secret =
            prepare(json!({"waiting": {"reason": "CreateContainerConfigError", "message": "secret s"}}));
        assert_eq!(waits(&secret), Some(Wait::Config("secret s".into())));
        assert_eq!(
            waits(&prepare(json!({"waiting": {"reason": "PodInitializing"}}))),
            Some(Wait::Sandbox(since))
        );
        assert_eq!(
            waits(&prepare(json!({"running": {"startedAt": "2026-01-01T00:00:05Z"}}))),
            Some(Wait::Inputs)
        );
        assert_eq!(waits(&prepare(json!({"terminated": {"exitCode": 0}}))), None);
        assert_eq!(waits(&json!({"phase": "Running", "conditions": scheduled})), None);
    }

    #[test]
    fn the_last_word_is_kept_as_it_is_and_bounded() {
        let said = "ü".repeat(4000);
        let status = json!({
            "phase": "Failed",
            "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}],
            "initContainerStatuses": [{"name": "prepare", "state": {"terminated": {"exitCode": 0}}}],
            "containerStatuses": [
                {"name": "mesh", "imageID": "other", "state": {"running": {}}},
                {"name": "train", "imageID": "i@sha256:1", "state": {"terminated": {
                    "exitCode": 137, "reason": "OOMKilled", "message": said,
                    "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:00Z",
                }}},
            ],
        });
        let pod = view(&json!([]), &status).observed().unwrap();
        assert_eq!((pod.index, pod.phase, pod.job_uid.as_str()), (3, PodPhase::Failed, "j"));
        assert_eq!(pod.disrupted.as_deref(), Some("EvictionByEvictionAPI"));
        assert_eq!((pod.prepare, pod.image.as_deref()), (None, Some("i@sha256:1")));
        let end = pod.program.unwrap();
        assert_eq!((end.code, end.reason.as_str(), end.message.len()), (137, "OOMKilled", MESSAGE_MAX));
        assert!(said.starts_with(&end.message));
        assert!(pod.started_at.unwrap() < end.at);
    }

    #[test]
    fn a_heartbeat_changes_nothing() {
        let status = |t: &str| json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": t}]});
        assert_eq!(
            view(&json!([]), &status("2026-01-01T00:00:00Z")),
            view(&json!([]), &status("2026-01-01T00:00:10Z")),
        );
    }
}
