//! The parts that a decision about a training rests on: inputs and their digest, the gate, results, versions, and the
//! objects that are made.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

mod gate;
mod objects;
mod results;
mod support;
mod versions;
