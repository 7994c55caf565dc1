//! What to do next about a training: `(spec, status, observed world, nonce, now) -> Plan`.
//!
//! - [`world`] is what was observed
//! - [`plan`] is what will be done
//! - [`decide`] is the state machine of a run

pub mod decide;
pub mod plan;
pub mod world;

pub use decide::Input;
pub use plan::{EvaluationJob, Plan, VersionEvent, VersionNews, Write};
pub use world::{
    Child, ContainerEnd, JobEnd, Judgement, KnownVersion, ObservedJob, ObservedPod, ObservedService,
    PodPhase, Wait, World,
};
