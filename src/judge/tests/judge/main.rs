//! Tests of the judge through its public API.

// Counts are whole numbers, exact in floats; helpers outside #[test] functions may unwrap as well.
#![allow(clippy::float_cmp, clippy::unwrap_used)]

mod analysis;
mod counters;
mod decisions;
mod guarantee;
mod latency;
mod merging;
mod properties;
mod ramp;
mod support;
mod threshold;
mod vectors;
