//! Tests of the judge through its public API.

mod counters;
mod decisions;
mod merging;
mod properties;
mod ramp;
mod support;
mod threshold;
mod vectors;
