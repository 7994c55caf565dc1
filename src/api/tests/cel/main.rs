//! Each CEL rule of the generated CRDs takes what is right and refuses what is wrong, in the words that a user sees.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

mod deployment;
mod retrain;
#[path = "../support/mod.rs"]
mod support;
mod training;
