//! Jobs of runs, and of looks at data: whether one is over, and how it ended.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Serialize};
use serin_api::{conditions::from_time, labels};
use serin_engine::training::{Child as Purpose, JobEnd, ObservedJob};

use super::{Child, Ident, label, number};
use crate::owner::{OwnerKey, OwnerKind};

/// A Job.
#[derive(kube::Resource, Serialize, Deserialize, Clone, Debug)]
#[resource(inherit = k8s_openapi::api::batch::v1::Job)]
pub struct SlimJob {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: SlimJobSpec,
    #[serde(default)]
    pub status: SlimJobStatus,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct SlimJobSpec {
    #[serde(default)]
    pub suspend: bool,
    #[serde(default)]
    pub parallelism: Option<i32>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimJobStatus {
    #[serde(default)]
    pub start_time: Option<Time>,
    #[serde(default)]
    pub active: i32,
    #[serde(default)]
    pub terminating: i32,
    #[serde(default)]
    pub conditions: Vec<SlimJobCondition>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimJobCondition {
    #[serde(rename = "type", default)]
    pub type_: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub last_transition_time: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    pub ident: Ident,
    purpose: Option<Purpose>,
    look: Option<i32>,
    run_hash: Option<String>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    suspended: bool,
    parallelism: i32,
    active: i32,
    terminating: i32,
    end: Option<JobEnd>,
}

impl JobView {
    /// For the engine; `None` for a Job that no run of ours made.
    pub fn observed(self) -> Option<ObservedJob> {
        Some(ObservedJob {
            child: self.purpose?,
            name: self.ident.name,
            uid: self.ident.uid,
            run_hash: self.run_hash,
            created_at: self.created_at,
            started_at: self.started_at,
            suspended: self.suspended,
            parallelism: self.parallelism,
            active: self.active,
            terminating: self.terminating,
            end: self.end,
            deleting: self.ident.deleting,
        })
    }
}

impl JobView {
    /// Number of a look at data, and how it ended; `None` for any other Job.
    pub fn look(&self) -> Option<(i32, Option<&JobEnd>)> {
        Some((self.look?, self.end.as_ref()))
    }
}

impl Child for SlimJob {
    const OWNER: OwnerKind = OwnerKind::TrainingRun;
    type View = JobView;
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn owner(&self) -> Option<OwnerKey> {
        let of = |kind| OwnerKey::by_reference(kind, &self.metadata);
        of(Self::OWNER).or_else(|| of(OwnerKind::RetrainPolicy))
    }
    fn ident(view: &JobView) -> &Ident {
        &view.ident
    }
    fn view(&self, ident: Ident) -> JobView {
        let meta = &self.metadata;
        let purpose = number(label(meta, labels::ATTEMPT))
            .map(Purpose::Attempt)
            .or_else(|| number(label(meta, labels::EVALUATION)).map(Purpose::Evaluation));
        JobView {
            ident,
            purpose,
            look: number(label(meta, labels::RETRAIN_NUMBER)),
            run_hash: meta.annotations.as_ref().and_then(|a| a.get(labels::RUN_HASH)).cloned(),
            created_at: time(meta.creation_timestamp.as_ref()).unwrap_or_default(),
            started_at: time(self.status.start_time.as_ref()),
            suspended: self.spec.suspend,
            parallelism: self.spec.parallelism.unwrap_or(1),
            active: self.status.active,
            terminating: self.status.terminating,
            end: self.status.conditions.iter().find_map(end),
        }
    }
}

fn end(condition: &SlimJobCondition) -> Option<JobEnd> {
    if condition.status != "True" {
        return None;
    }
    let at = time(condition.last_transition_time.as_ref()).unwrap_or_default();
    match condition.type_.as_str() {
        "Complete" => Some(JobEnd::Complete { at }),
        "Failed" => {
            let (reason, message) = (condition.reason.clone(), tail(&condition.message));
            Some(JobEnd::Failed { reason, message, at })
        }
        _ => None,
    }
}

/// Longest message kept, in characters. Its end names the rule that matched.
const MESSAGE_MAX: usize = 512;

fn tail(text: &str) -> String {
    let skip = text.chars().count().saturating_sub(MESSAGE_MAX);
    text.chars().skip(skip).collect()
}

fn time(t: Option<&Time>) -> Option<DateTime<Utc>> {
    t.and_then(from_time)
}

#[cfg(test)]
mod tests {
    use super::{super::ident, *};
    use serde_json::{Value, json};

    fn view(labels: &Value, status: &Value) -> JobView {
        let job: SlimJob = serde_json::from_value(json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": "wine-a2", "namespace": "ns", "uid": "j", "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z", "labels": labels,
                "annotations": {"serin.dev/run-hash": "h"},
            },
            "spec": {"suspend": true, "parallelism": 4, "template": {}},
            "status": status,
        }))
        .unwrap();
        job.view(ident(job.meta()))
    }

    #[test]
    fn a_job_is_read_as_the_engine_wants_it() {
        let status = json!({"active": 1, "terminating": 2, "conditions": [
            {"type": "FailureTarget", "status": "True", "reason": "PodFailurePolicy", "message": "m"},
            {"type": "Failed", "status": "True", "reason": "PodFailurePolicy",
             "message": format!("{}matching FailJob rule at index 1", "x".repeat(2000)),
             "lastTransitionTime": "2026-01-01T00:01:00Z"},
        ]});
        let job = view(&json!({"serin.dev/attempt": "2"}), &status).observed().unwrap();
        assert_eq!((job.child, job.suspended, job.parallelism), (Purpose::Attempt(2), true, 4));
        assert_eq!((job.active, job.terminating), (1, 2));
        assert_eq!(job.run_hash.as_deref(), Some("h"));
        let Some(JobEnd::Failed { reason, message, at }) = job.end else { panic!("{:?}", job.end) };
        assert_eq!(reason, "PodFailurePolicy");
        assert!(message.len() <= MESSAGE_MAX && message.ends_with("rule at index 1"));
        assert_eq!(at, "2026-01-01T00:01:00Z".parse::<DateTime<Utc>>().unwrap());
    }

    #[test]
    fn early_signs_of_an_end_do_not_count_and_strangers_are_not_ours() {
        let status = json!({"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}]});
        let job = view(&json!({"serin.dev/evaluation": "1"}), &status).observed().unwrap();
        assert_eq!((job.child, job.end), (Purpose::Evaluation(1), None));
        assert_eq!(view(&json!({"serin.dev/attempt": "one"}), &json!({})).observed(), None);
    }
}
