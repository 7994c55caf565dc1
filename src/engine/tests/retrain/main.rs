//! Policies of retraining, decided in a simulated world: stories, crashes between any two writes, and properties.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

mod crash;
mod objects;
mod properties;
mod sim;
mod stories;
