//! What to do next about a training: `(spec, status, observed world, nonce, now) -> Plan`.
//!
//! - [`world`] is what was observed
//! - [`plan`] is what will be done
//! - [`decide`] is the state machine of a run
//! - [`inputs`] says what a model is made of, and when two runs would train the same
//! - [`envelope`] says whether a result belongs to the run, [`gate`] whether it is good enough
//! - [`version`] is the record that a run leaves
//! - [`objects`] builds Jobs and Services

pub mod decide;
pub mod envelope;
pub mod gate;
pub mod inputs;
pub mod objects;
pub mod plan;
pub mod version;
pub mod world;

pub use decide::Input;
pub use plan::{EvaluationJob, Plan, VersionEvent, VersionNews, Write};
pub use world::{
    Child, ContainerEnd, JobEnd, Judgement, KnownVersion, ObservedJob, ObservedPod, ObservedService,
    PodPhase, Wait, World,
};
