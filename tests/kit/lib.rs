//! What the tests against a real control plane are made of.
//!
//! - [`cluster`]: etcd, apiserver and controller manager, shared by all tests
//! - `turn`, `definitions`, [`crowd`]: who uses it, and with which definitions
//! - [`world`]: one test's namespace and everything in it
//! - [`operator`]: the process under test; [`replica`]: one of several
//! - [`proxy`]: between it and the apiserver: counts calls, breaks them, kills
//! - [`kubelet`], [`gateway`], [`prometheus`]: scripted neighbours
//! - [`by_hand`]: what a person does to children of ours
//! - [`audit`]: what the apiserver itself wrote down
//! - `collector`: whether Kubernetes is ready for us to delete
//! - [`cost`]: what a rollout costs the apiserver
//! - [`history`], [`invariants`], [`run_invariants`], [`story`], [`told`]: what happened, what must never happen, and how to read it
//! - [`end_state`], [`run_end_state`]: two lives compared
//! - [`fixtures`], [`runs`]: ModelDeployments and TrainingRuns to start from
#![allow(clippy::unwrap_used)] // A test kit: what fails here fails the test, and the place is what one wants to see.

pub mod audit;
pub mod by_hand;
pub mod cluster;
mod collector;
pub mod cost;
pub mod crowd;
mod definitions;
pub mod end_state;
pub mod fixtures;
pub mod gateway;
pub mod history;
pub mod identity;
pub mod invariants;
pub mod kubelet;
mod leftovers;
pub mod manifests;
pub mod operator;
pub mod prometheus;
pub mod proxy;
pub mod replica;
pub mod run_end_state;
pub mod run_invariants;
pub mod runs;
pub mod server;
pub mod story;
pub mod told;
mod turn;
pub mod world;

pub use fixtures::{Change, NAME, image, wine};
pub use history::Now;
pub use kubelet::{Behaviour, End, Fate, Left};
pub use prometheus::{Load, Trouble};
pub use proxy::{Call, Fault};
pub use replica::Replica;
pub use runs::{RUN, Vary, run};
pub use told::{RunTold, Told};
pub use world::World;
