//! What to do next: `(spec, status, observed world, reading, now) -> Plan`.
//!
//! No client, no clock, no randomness: every input is a value, every effect is a [`Write`] before it happens. A test
//! can therefore crash between any two of them (`tests/rollout/crash.rs` does).
//!
//! - [`revision`] says what makes two pods different, and the names that follow from it
//! - [`world`] is what was observed
//! - [`measure`] says what the analysis needs, and what it found
//! - [`ramp`] has weights, steps and how many pods they take
//! - [`channel`] chooses a version where the spec names a channel
//! - [`decide`] is the state machine of a rollout
//! - [`report`] sets the conditions
//! - [`objects`] builds the Kubernetes objects
//! - [`training`] is the same for a training run
//! - [`retrain`] is the same for a policy that starts runs
//! - [`explain`] judges a past decision again and says why it came out so
//! - [`page`] is what a browser is shown
//! - [`provenance`] and [`lineage`] say where a version comes from

mod canonical;
pub mod channel;
pub mod decide;
pub mod explain;
mod html;
pub mod lineage;
pub mod measure;
pub mod objects;
pub mod page;
pub mod paint;
pub mod plan;
pub mod provenance;
pub mod ramp;
pub mod report;
pub mod retrain;
pub mod revision;
pub mod room;
pub mod training;
pub mod world;

pub use decide::{Input, Orders, decide};
pub use measure::{Measurement, Reading};
pub use plan::{Journal, Mirror, Note, Plan, Weights, Write};
pub use revision::Revision;
pub use world::{
    Crashed, Mirroring, ObservedBudget, ObservedDeployment, ObservedTraffic, ObservedVersion, PodTrouble,
    World,
};
