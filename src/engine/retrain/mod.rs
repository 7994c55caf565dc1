//! What to do next about a policy of retraining: `(spec, status, observed world, answers of Prometheus, now) -> Plan`.
//!
//! - [`world`] is what was observed, [`plan`] what will be done
//! - [`decide`](mod@decide) goes through the rules in order
//! - [`schedule`] knows the clock, [`quality`] what live answers say
//! - [`look`] is the Job that finds out what data there is, and what it said
//! - [`run`] makes a run of a template and data
//!
//! A policy that trains too often burns money and, worse, replaces models for no reason. The rules against that
//! (docs/retraining.md lists them) are all in `decide`, and each one that holds a run back is named in the status.

pub mod decide;
pub mod look;
pub mod plan;
pub mod quality;
pub mod run;
pub mod schedule;
pub mod world;

pub use decide::{Input, decide};
pub use plan::{NewRun, Plan, Write};
pub use quality::{Question, Share, questions};
pub use world::{LookEnd, ObservedLook, ObservedRun, RunEnd, Served, World};
