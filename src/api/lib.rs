//! The objects of `serin.dev/v1alpha1` as Rust types: what a user may write, and what Serin answers in `status`.
//!
//! No client lives here. The schema of each type is the CRD that the apiserver enforces; [`validate`] repeats the
//! rules in code, so that a cluster without CEL (or an older CRD) still refuses what must be refused.

pub mod channel;
pub mod conditions;
pub mod crds;
pub mod evaluation;
pub mod labels;
pub mod metrics;
pub mod model;
pub mod model_deployment;
pub mod model_version;
pub mod preset;
pub mod quantity;
pub mod reason;
pub mod retrain_policy;
pub mod retrain_status;
pub mod rollout;
pub mod server;
pub mod status;
pub mod storage;
pub mod traffic;
pub mod training_run;
pub mod training_status;
pub mod validate;

pub use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

pub use channel::{Approval, Bar, Channel, ChannelStatus, PassedOver, Unserved, VersionBar};
pub use crds::{crd_files, crds, crds_yaml};
pub use evaluation::{Direction, Evaluation, Gate, GateMetric, GateSlice, Level, WhenNoChampion};
pub use metrics::{
    Analysis, Better, Counter, ErrorRatio, Except, Failures, Gauge, Histogram, Kind as MetricKind, Latency,
    MeanLatency, Metric, Quality, RequestCounter, Score, Sum, Threshold, Unit,
};
pub use model::{Artifact, Digest, Layout, Location, ModelSource, ResolvedModel};
pub use model_deployment::{Availability, ModelDeployment, ModelDeploymentSpec};
pub use model_version::{
    BaseInput, Build, BuildRun, Inputs, LiveOutcome, ModelFiles, ModelVersion, ModelVersionSpec,
    ModelVersionStatus, Origin, Replay, ReplayOutcome, Role, Serving,
};
pub use preset::Preset;
pub use reason::Reason;
pub use retrain_policy::{
    BY_HAND, DataUse, MaxAge, MovingData, NewData, QualityDrop, RetrainPolicy, RetrainPolicySpec, RunBudget,
    Schedule, Trigger, TriggerKind,
};
pub use retrain_status::{
    Live, Look, Pending, PolicyPhase, RetrainPolicyStatus, RunRecord, SeenData, Stopped, TriggerState,
    TriggerStatus,
};
pub use rollout::{
    BlueGreen, Deadlines, OnHorizon, OnNoData, Promotion, Rollout, Shadow, Step, Strategy, WhenUnschedulable,
};
pub use server::{EnvVar, Ports, Probe, Probes, Resources, Server};
pub use status::{
    Candidate, Contested, HistoryEntry, LastFailed, MetricEvidence, ModelDeploymentStatus, Outcome, Pace,
    Phase, Resolved, Retreat, RevisionSpec, Slot, Stable, TakesOver, TrafficStatus, Trial, Verdict, Waiting,
    WaitingReason, WeightRecord,
};
pub use storage::Storage;
pub use traffic::{
    GatewayTraffic, HttpRouteRef, ParentRef, SessionPersistence, Testers, Traffic, TrafficMode,
};

pub use training_run::{
    BaseModel, Dataset, Launcher, Output, Retention, Retries, Source, Trainer, TrainingRun, TrainingRunSpec,
};
pub use training_status::{
    Attempt, AttemptEnd, Champion, Completion, EvaluationRecord, EvaluationStatus, MeasuredMetric, ReportRef,
    RunOutput, RunPhase, RunResult, Spent, TrainingRunStatus,
};

/// API group of every object.
pub const GROUP: &str = "serin.dev";
/// The one served and stored version.
pub const VERSION: &str = "v1alpha1";
