//! Labels and annotations on everything Serin creates. A user's labels are never copied onto children.

/// `app.kubernetes.io/managed-by`, the recommended label; watches of children are restricted by it.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`], and the name of our field manager for children.
pub const MANAGER: &str = "serin";
/// Field manager of status writes.
pub const STATUS_MANAGER: &str = "serin/status";
/// Name of the `ModelDeployment` a child belongs to.
pub const DEPLOYMENT: &str = "serin.dev/model-deployment";
/// Revision of a child Deployment and of its pods.
pub const REVISION: &str = "serin.dev/revision";
/// Which of the two Services selects a pod: `a` or `b`.
pub const SLOT: &str = "serin.dev/slot";
/// Selector value unique to one incarnation of a `ModelDeployment` (derived from its UID), so that the pods of a
/// deleted namesake are never selected.
pub const INSTANCE: &str = "serin.dev/instance";
/// On the route (or Service) that carries the weights: the decision the weights were written for.
pub const JOURNAL: &str = "serin.dev/journal";
/// The same on a route that a user owns: several `ModelDeployment`s may have a rule each in it.
pub fn journal_of(name: &str) -> String {
    format!("{JOURNAL}-{name}")
}
/// On the `ModelDeployment`: `<revision>`, or `<revision> <anything>` for a second time: a rejected revision that a
/// person wants tried again. Bound to the revision, so that a stale request does nothing; acted on once a value.
pub const RETRY: &str = "serin.dev/retry";
/// On the `ModelDeployment`, likewise: a candidate that a person wants promoted without further evidence.
pub const PROMOTE: &str = "serin.dev/promote";
/// On the `ModelDeployment`, likewise: a candidate that a person wants sent back.
pub const ABORT: &str = "serin.dev/abort";
/// On the `ModelDeployment`: `REVISION STEP`, a step that a person wants left behind.
pub const SKIP: &str = "serin.dev/skip";
/// Name of the `TrainingRun` a child belongs to.
pub const RUN: &str = "serin.dev/training-run";
/// UID of the `TrainingRun`; with [`ATTEMPT`] the selector of an attempt's headless Service.
pub const RUN_UID: &str = "serin.dev/run-uid";
/// Number of the attempt, on its Job, Service and pods.
pub const ATTEMPT: &str = "serin.dev/attempt";
/// Number of the evaluation, on its Job and pods.
pub const EVALUATION: &str = "serin.dev/evaluation";
/// Model of a version or run.
pub const MODEL: &str = "serin.dev/model";
/// First 40 digits of a version's inputs digest.
pub const INPUTS: &str = "serin.dev/inputs";
/// On a Job of a run: `status.runHash` of the spec that it was made from. A Job that was made just before the spec was
/// changed is known by it.
pub const RUN_HASH: &str = "serin.dev/run-hash";
/// Kueue's label; a Job that bears it is admitted by a queue.
pub const QUEUE: &str = "kueue.x-k8s.io/queue-name";
/// On a `ModelVersion`: why it must not be served any more. Once seen it stays revoked, also without the annotation.
pub const REVOKED: &str = "serin.dev/revoked";
/// On a `ModelVersion`: a person lets it into channels with `approval: Manual`. Its value is a word for people; without
/// the annotation it is not approved (any more).
pub const APPROVED: &str = "serin.dev/approved";
/// Name of the `RetrainPolicy` that a run, or a look at data, belongs to.
pub const RETRAIN: &str = "serin.dev/retrain-policy";
/// UID of the `RetrainPolicy`; by it the Jobs and pods of its looks are found.
pub const RETRAIN_UID: &str = "serin.dev/retrain-uid";
/// Number of the run, or of the look, among those of its policy.
pub const RETRAIN_NUMBER: &str = "serin.dev/retrain-number";
/// On a run of a policy: the trigger that it was started by.
pub const TRIGGER: &str = "serin.dev/trigger";
/// On the `RetrainPolicy`: any word; another one starts a run by hand, and ends a stop.
pub const RETRAIN_NOW: &str = "serin.dev/retrain";
/// On a run of a policy: hash of what it was made from.
pub const RETRAIN_INPUTS: &str = "serin.dev/retrain-inputs";
