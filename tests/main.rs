//! The control-plane ring: one program, so that it links once and its tests wait at the same time.
//!
//! Each test has a namespace, an operator and scripted neighbours of its own (`serin_tests::World`). How many worlds there
//! are at once is bounded by `--test-threads` and by `serin_tests::crowd`.
#![allow(clippy::unwrap_used)] // Tests: what fails is to be seen where it fails.

mod admission;
mod another_definition;
mod autoscaling;
mod budget;
mod capacity;
mod changes;
mod channel;
mod chaos;
mod crashes;
mod deadlines;
mod documents;
mod evidence;
mod explain;
mod gitops;
mod hand;
mod leader;
mod metrics;
mod neighbours;
mod permissions;
mod refusals;
mod retraining;
mod rollouts;
mod sessions;
mod shadow;
mod strategies;
mod training_failures;
mod training_results;
mod training_success;
mod user_route;
mod versions;
mod watch;
