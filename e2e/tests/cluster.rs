//! The whole-cluster ring: real pods of a real model, behind a real gateway, judged by what a real Prometheus scraped.
//!
//! `cargo test -p serin-e2e --test cluster` brings the cluster up and leaves it up; `cargo e2e` takes it down, too.

mod broken;
mod capacity;
mod draining;
mod edited_route;
mod evidence;
mod faults;
mod long_answers;
mod matrix;
mod page;
mod promotion;
mod ratio;
mod refusal;
mod retraining;
mod scaling;
mod second_gateway;
mod serving;
mod sessions;
mod shadow;
mod starts;
mod training;
mod training_disruptions;
mod training_failures;
mod training_torch;
mod user_route;
