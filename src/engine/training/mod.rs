//! What to do next about a training: `(spec, status, observed world, nonce, now) -> Plan`.
//!
//! - [`world`] is what was observed
//! - [`plan`] is what will be done
//! - [`decide`] is the state machine of a run
//! - [`inputs`] says what a model is made of, and when two runs would train the same
//! - [`envelope`] says whether a result belongs to the run, [`gate`] whether it is good enough
//! - [`version`] is the record that a run leaves
//! - [`objects`] builds Jobs and Services
//! - [`classify`] says how an attempt ended, [`budget`] what may come after, [`waiting`] why it does not run yet
//! - [`report`] sets the conditions, [`record`](mod@record) what is written to a version

pub mod budget;
pub mod classify;
pub mod decide;
pub mod envelope;
pub mod gate;
pub mod inputs;
pub mod objects;
pub mod plan;
pub mod record;
pub mod report;
pub mod version;
pub mod waiting;
pub mod world;

pub use decide::{Input, decide};
pub use plan::{EvaluationJob, Plan, VersionEvent, VersionNews, Write};
pub use record::record;
pub use world::{
    Child, ContainerEnd, JobEnd, Judgement, KnownVersion, ObservedJob, ObservedPod, ObservedService,
    PodPhase, Wait, World,
};
