//! What others make of Serin's files and objects: kustomize, Argo CD's own engine, and kstatus, which Flux and Helm read.
//! No cluster.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

mod argo;
mod engines;
mod kustomize;
mod policies;
mod rollouts;
mod trainings;

// The worlds in which the engine's stories are told.
#[path = "../../../src/engine/tests/retrain/sim.rs"]
#[allow(dead_code, reason = "of each world only what is needed here")]
mod retrain_sim;
#[path = "../../../src/engine/tests/rollout/sim/mod.rs"]
#[allow(dead_code, reason = "of each world only what is needed here")]
mod rollout_sim;
#[path = "../../../src/engine/tests/training/sim/mod.rs"]
#[allow(dead_code, reason = "of each world only what is needed here")]
mod training_sim;
