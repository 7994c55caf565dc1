//! The parts that a decision about a training rests on: inputs and their digest, the gate, results, versions, the objects
//! that are made, and what is told of a version: provenance and lineage.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

mod gate;
mod lineage;
mod objects;
mod provenance;
mod results;
mod support;
mod versions;
