//! What was observed of a run, in the terms that a decision needs.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serin_api::{Digest, Level, ModelFiles, Storage};

/// The children of a run as the caches show them, and the versions that matter to it. Objects without our UID in their
/// owner reference are not in here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    /// Jobs, of attempts and of evaluations.
    pub jobs: Vec<ObservedJob>,
    /// Their pods. A pod belongs to the Job whose UID its owner reference bears, whatever its labels say.
    pub pods: Vec<ObservedPod>,
    /// Headless Services, of attempts.
    pub services: Vec<ObservedService>,
    /// Names that we need and that somebody else's object bears: `Job wine-a1`.
    pub taken: Vec<String>,
    /// Names still borne by children of a deleted namesake; the garbage collector is on its way.
    pub leftovers_of_namesake: bool,
    /// ModelVersions of the namespace: all of `spec.model`, and those that spec and status name.
    pub versions: Vec<Arc<KnownVersion>>,
}

/// What a child is for. Its name and its labels follow from this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Child {
    /// An attempt of the training, from 1.
    Attempt(i32),
    /// An evaluation, from 1.
    Evaluation(i32),
}

impl Child {
    /// Name of its Job, and of an attempt's Service.
    pub fn name(self, run: &str) -> String {
        match self {
            Self::Attempt(number) => format!("{run}-a{number}"),
            Self::Evaluation(number) => format!("{run}-e{number}"),
        }
    }
}

/// One of our Jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedJob {
    /// Name.
    pub name: String,
    /// UID, the precondition of a deletion.
    pub uid: String,
    /// What it is for, by its labels.
    pub child: Child,
    /// Annotation `serin.dev/run-hash`: of the spec that it was made from.
    pub run_hash: Option<String>,
    /// `metadata.creationTimestamp`.
    pub created_at: DateTime<Utc>,
    /// `status.startTime`: when it was admitted, anew after each suspension.
    pub started_at: Option<DateTime<Utc>>,
    /// `spec.suspend`: a queue has it.
    pub suspended: bool,
    /// `spec.parallelism`; a queue may have lowered it.
    pub parallelism: i32,
    /// `status.active`.
    pub active: i32,
    /// `status.terminating`.
    pub terminating: i32,
    /// Its Complete or Failed condition. FailureTarget and SuccessCriteriaMet come earlier and do not count.
    pub end: Option<JobEnd>,
    /// Being deleted.
    pub deleting: bool,
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// Condition Complete.
    Complete {
        /// When.
        at: DateTime<Utc>,
    },
    /// Condition Failed.
    Failed {
        /// `PodFailurePolicy`, `BackoffLimitExceeded`, `DeadlineExceeded` and others.
        reason: String,
        /// For `PodFailurePolicy` it ends with the index of the rule that matched.
        message: String,
        /// When.
        at: DateTime<Utc>,
    },
}

/// One pod of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedPod {
    /// Name.
    pub name: String,
    /// UID of the Job that owns it.
    pub job_uid: String,
    /// Completion index.
    pub index: i32,
    /// `status.phase`.
    pub phase: PodPhase,
    /// Being deleted.
    pub deleting: bool,
    /// Message of the condition DisruptionTarget, if that is True.
    pub disrupted: Option<String>,
    /// When the container `train` or `evaluate` was started, also if it has ended.
    pub started_at: Option<DateTime<Utc>>,
    /// `imageID` of the container `train` or `evaluate`, as soon as there is one.
    pub image: Option<String>,
    /// How the init container `prepare` ended, if not with 0.
    pub prepare: Option<ContainerEnd>,
    /// How the container `train` or `evaluate` ended.
    pub program: Option<ContainerEnd>,
    /// What a pending pod waits for.
    pub waits: Option<Wait>,
}

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodPhase {
    /// Not scheduled, or its containers are being made, or `prepare` fetches the inputs.
    Pending,
    /// The program runs.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended otherwise.
    Failed,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEnd {
    /// Exit code.
    pub code: i32,
    /// What the runtime calls it: `Completed`, `Error`, `OOMKilled`.
    pub reason: String,
    /// Termination message as it is, at most 4096 bytes: a result of index 0, or last words.
    pub message: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// What a pending pod waits for. Texts are one bounded line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A scheduling gate holds it; its name.
    Gate(String),
    /// No node takes it: the scheduler's message. Claims that are not bound are in here, too.
    Node(String),
    /// The image cannot be pulled: the kubelet's message.
    Image(String),
    /// The container cannot be made, such as for a Secret that is missing: the kubelet's message.
    Config(String),
    /// Its volumes and its network are being made, since then.
    Sandbox(DateTime<Utc>),
    /// `prepare` fetches the inputs.
    Inputs,
}

/// A headless Service of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedService {
    /// Name.
    pub name: String,
    /// UID, the precondition of a deletion.
    pub uid: String,
    /// Attempt, by its label.
    pub attempt: i32,
    /// Being deleted.
    pub deleting: bool,
}

/// A ModelVersion, as far as a run cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownVersion {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Name of the model.
    pub model: String,
    /// The files.
    pub files: ModelFiles,
    /// How pods reach them.
    pub storage: Storage,
    /// Digest of what it was made of; trained versions only.
    pub inputs_digest: Option<Digest>,
    /// Why it must not be used any more: the annotation, or the condition Revoked.
    pub revoked: Option<String>,
    /// The newest `since` of its `Stable` entries in `status.deployments`.
    pub serves_since: Option<DateTime<Utc>>,
    /// `status.level`.
    pub level: Option<Level>,
    /// Judgements, oldest first.
    pub judgements: Vec<Judgement>,
}

/// A judgement of a version, as far as a run cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether the gate let it through.
    pub passed: bool,
    /// [`serin_api::EvaluationRecord::spec_hash`].
    pub spec_hash: Option<String>,
}

impl World {
    /// The Job of a child.
    pub fn job(&self, child: Child) -> Option<&ObservedJob> {
        self.jobs.iter().find(|job| job.child == child)
    }
    /// The Service of an attempt.
    pub fn service(&self, attempt: i32) -> Option<&ObservedService> {
        self.services.iter().find(|service| service.attempt == attempt)
    }
    /// Pods of a Job, by index.
    pub fn pods_of(&self, job_uid: &str) -> Vec<&ObservedPod> {
        let mut pods: Vec<_> = self.pods.iter().filter(|pod| pod.job_uid == job_uid).collect();
        pods.sort_by(|a, b| (a.index, &a.name).cmp(&(b.index, &b.name)));
        pods
    }
    /// A version by name.
    pub fn version(&self, name: &str) -> Option<&Arc<KnownVersion>> {
        self.versions.iter().find(|version| version.name == name)
    }
}

impl ObservedJob {
    /// Whether nothing of it runs any more, nor will.
    pub fn is_over(&self) -> bool {
        self.end.is_some() && self.active == 0 && self.terminating == 0
    }
}

impl ObservedPod {
    /// Whether its containers may still run.
    pub fn is_live(&self) -> bool {
        matches!(self.phase, PodPhase::Pending | PodPhase::Running)
    }
}
