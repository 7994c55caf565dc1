//! The rules in code refuse what the CRDs refuse, and say which field to change: an older CRD may be in the cluster.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

mod deployment;
mod retrain;
#[path = "../support/mod.rs"]
mod support;
mod training;
