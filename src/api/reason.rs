//! Why. One enum is the condition's reason, the event's reason and the metric's label, so that they never disagree.

use std::fmt;

/// Reason of a decision. CamelCase on the wire, bounded by construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The first revision is starting; nothing serves yet.
    FirstDeployment,
    /// A candidate exists and is not available yet; it has no traffic.
    CandidateStarting,
    /// The candidate's pods are being added before its weight rises.
    ScalingCandidate,
    /// The weight was written; the gateway has not confirmed it yet.
    WeightPending,
    /// At a step, gathering evidence.
    Analyzing,
    /// The metrics are silent; the weight is held.
    NoData,
    /// The candidate does not get the share of the requests that its weight says; the weight is held.
    TrafficMismatch,
    /// No pod of the stable version exports a series that a metric is read from.
    MissingSeries,
    /// Prometheus cannot be asked; the weight is held.
    MetricsUnavailable,
    /// The horizon passed without a verdict; a person decides.
    HorizonReached,
    /// All traffic is going to the candidate.
    Promoting,
    /// The candidate became the stable version.
    Promoted,
    /// The candidate is losing its traffic.
    RollingBack,
    /// The evidence says that the candidate is worse; it was rolled back.
    AnalysisFailed,
    /// A person sent the candidate back.
    Aborted,
    /// `rollout.paused`: the weight is held.
    Paused,
    /// The candidate's containers crash again and again.
    CrashLoop,
    /// The candidate did not become available in time.
    ProgressDeadlineExceeded,
    /// No node can take the candidate's pods.
    Unschedulable,
    /// The candidate's model could not be fetched, or its digest is another one.
    ModelNotFetched,
    /// The candidate's image cannot be pulled.
    ImagePull,
    /// The candidate lost its last available pod and its traffic with it.
    CandidateUnavailable,
    /// The stable version has no available pod.
    StableUnavailable,
    /// Another spec replaced the candidate.
    Superseded,
    /// The spec is the rejected one; it stays rejected until it changes or a retry is asked for.
    Rejected,
    /// Spec reached, serving.
    Complete,
    /// Fewer pods are available than asked for.
    Unavailable,
    /// A former revision is finishing its requests before it is removed.
    Draining,
    /// The spec contradicts itself; the message says what to change.
    InvalidSpec,
    /// A name we need is taken by an object that is not ours.
    NameTaken,
    /// The route has not been accepted by its Gateway.
    RouteNotAccepted,
    /// Somebody else changed the weights of Serin's own route; they were set back.
    RouteEdited,
    /// The strategy is Shadow, and the gateway is not known to copy requests; the message says what to change.
    MirrorUnsupported,
    /// The user's route is missing, or has no rule for us; the message says what to change.
    RouteUnusable,
    /// The route asks the gateway to keep sessions while two versions have traffic.
    SessionPersistenceAsked,
    /// This cluster's HTTPRoute has no field for it; the message says what to do.
    SessionPersistenceUnsupported,
    /// It is not known yet whether this cluster's HTTPRoute has a field for it.
    SessionPersistenceUnknown,
    /// Metrics are read.
    MetricsRead,
    /// No analysis is under way.
    NoAnalysis,
    /// The model was fetched and its digest verified in every available pod.
    DigestVerified,
    /// The ModelVersion that is named does not exist.
    VersionNotFound,
    /// The channel has no version that can be served.
    NoVersion,
    /// The ModelVersion was revoked; it is not served anew.
    VersionRevoked,
    /// The ModelVersion cannot be used for this: another model, or it did not pass its evaluation.
    VersionUnfit,
    /// A queue has not admitted the attempt yet.
    Queued,
    /// Pods of the attempt are not all running; the message says what each of them waits for.
    WaitingForPods,
    /// The former attempt is not gone yet.
    WaitingForOldAttempt,
    /// The next attempt comes after a pause.
    BackingOff,
    /// All pods of the attempt run.
    Training,
    /// `spec.suspend` holds the run.
    Suspended,
    /// `spec.managedBy` names another controller.
    ManagedElsewhere,
    /// The evaluation runs.
    Evaluating,
    /// The version is being recorded.
    Recording,
    /// Trained, and the version is recorded.
    VersionRecorded,
    /// A version with the same inputs is there already.
    Reused,
    /// The program crashed, and the budget for that is spent.
    Crashed,
    /// The attempt was disrupted, and the budget for that is spent.
    Disrupted,
    /// The program said that trying again is no use.
    Fatal,
    /// An input is not what the run says it is, or must not be read.
    InputsRefused,
    /// The program ended well and left nothing to publish.
    NoOutput,
    /// The time was up.
    DeadlineExceeded,
    /// The pods did not all run in time.
    NeverStarted,
    /// 99 attempts, whatever ended them.
    AttemptsExhausted,
    /// A result is missing or does not belong to this run.
    ResultInvalid,
    /// The evaluation reached what the gate asks for.
    GatePassed,
    /// The evaluation did not reach what the gate asks for.
    GateFailed,
    /// The champion cannot be compared with.
    ChampionUnavailable,
    /// The evaluation did not end with a result, and the budget for that is spent.
    EvaluationFailed,
    /// The spec was changed after the run began.
    SpecChanged,
    /// Nobody has judged this version.
    NotEvaluated,
    /// The record is complete.
    Recorded,
    /// A person revoked it.
    Revoked,
    /// A deployment serves it.
    Serving,
    /// No deployment serves it.
    NotServing,
    /// A policy waits for its triggers.
    Armed,
    /// A run of the policy goes on.
    Retraining,
    /// The data is being looked at, before a run.
    LookingAtData,
    /// The data could not be looked at; it is tried again.
    DataUnreadable,
    /// A trigger asks for a run, and everything that it would be made from is what it was the last time.
    NothingNew,
    /// The last run has not been over for long enough.
    CoolingDown,
    /// As many runs were started as the budget allows.
    BudgetExhausted,
    /// The deployment is changing its version.
    RolloutInProgress,
    /// The deployment changed its version a moment ago.
    Settling,
    /// The last run's version has not been tried by the deployment yet.
    AwaitingRollout,
    /// The ModelDeployment that is named does not exist.
    DeploymentNotFound,
    /// Runs in a row brought nothing better; a person has to look.
    Ineffective,
    /// A policy started a run.
    RetrainStarted,
    /// A run of the policy has ended.
    RetrainEnded,
}

impl Reason {
    /// The text used in conditions, events and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstDeployment => "FirstDeployment",
            Self::CandidateStarting => "CandidateStarting",
            Self::ScalingCandidate => "ScalingCandidate",
            Self::WeightPending => "WeightPending",
            Self::Analyzing => "Analyzing",
            Self::NoData => "NoData",
            Self::MissingSeries => "MissingSeries",
            Self::MetricsUnavailable => "MetricsUnavailable",
            Self::TrafficMismatch => "TrafficMismatch",
            Self::HorizonReached => "HorizonReached",
            Self::Promoting => "Promoting",
            Self::Promoted => "Promoted",
            Self::RollingBack => "RollingBack",
            Self::AnalysisFailed => "AnalysisFailed",
            Self::Aborted => "Aborted",
            Self::Paused => "Paused",
            Self::CrashLoop => "CrashLoop",
            Self::ProgressDeadlineExceeded => "ProgressDeadlineExceeded",
            Self::Unschedulable => "Unschedulable",
            Self::ModelNotFetched => "ModelNotFetched",
            Self::ImagePull => "ImagePull",
            Self::CandidateUnavailable => "CandidateUnavailable",
            Self::StableUnavailable => "StableUnavailable",
            Self::Superseded => "Superseded",
            Self::Rejected => "Rejected",
            Self::Complete => "Complete",
            Self::Unavailable => "Unavailable",
            Self::Draining => "Draining",
            Self::InvalidSpec => "InvalidSpec",
            Self::NameTaken => "NameTaken",
            Self::RouteNotAccepted => "RouteNotAccepted",
            Self::RouteEdited => "RouteEdited",
            Self::MirrorUnsupported => "MirrorUnsupported",
            Self::RouteUnusable => "RouteUnusable",
            Self::SessionPersistenceAsked => "SessionPersistenceAsked",
            Self::SessionPersistenceUnsupported => "SessionPersistenceUnsupported",
            Self::SessionPersistenceUnknown => "SessionPersistenceUnknown",
            Self::MetricsRead => "MetricsRead",
            Self::NoAnalysis => "NoAnalysis",
            Self::DigestVerified => "DigestVerified",
            Self::VersionNotFound => "VersionNotFound",
            Self::NoVersion => "NoVersion",
            Self::VersionRevoked => "VersionRevoked",
            Self::VersionUnfit => "VersionUnfit",
            Self::Queued => "Queued",
            Self::WaitingForPods => "WaitingForPods",
            Self::WaitingForOldAttempt => "WaitingForOldAttempt",
            Self::BackingOff => "BackingOff",
            Self::Training => "Training",
            Self::Suspended => "Suspended",
            Self::ManagedElsewhere => "ManagedElsewhere",
            Self::Evaluating => "Evaluating",
            Self::Recording => "Recording",
            Self::VersionRecorded => "VersionRecorded",
            Self::Reused => "Reused",
            Self::Crashed => "Crashed",
            Self::Disrupted => "Disrupted",
            Self::Fatal => "Fatal",
            Self::InputsRefused => "InputsRefused",
            Self::NoOutput => "NoOutput",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::NeverStarted => "NeverStarted",
            Self::AttemptsExhausted => "AttemptsExhausted",
            Self::ResultInvalid => "ResultInvalid",
            Self::GatePassed => "GatePassed",
            Self::GateFailed => "GateFailed",
            Self::ChampionUnavailable => "ChampionUnavailable",
            Self::EvaluationFailed => "EvaluationFailed",
            Self::SpecChanged => "SpecChanged",
            Self::NotEvaluated => "NotEvaluated",
            Self::Recorded => "Recorded",
            Self::Revoked => "Revoked",
            Self::Serving => "Serving",
            Self::NotServing => "NotServing",
            Self::Armed => "Armed",
            Self::Retraining => "Retraining",
            Self::LookingAtData => "LookingAtData",
            Self::DataUnreadable => "DataUnreadable",
            Self::NothingNew => "NothingNew",
            Self::CoolingDown => "CoolingDown",
            Self::BudgetExhausted => "BudgetExhausted",
            Self::RolloutInProgress => "RolloutInProgress",
            Self::Settling => "Settling",
            Self::AwaitingRollout => "AwaitingRollout",
            Self::DeploymentNotFound => "DeploymentNotFound",
            Self::Ineffective => "Ineffective",
            Self::RetrainStarted => "RetrainStarted",
            Self::RetrainEnded => "RetrainEnded",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
