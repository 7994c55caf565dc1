//! The only I/O in the control plane. A reconcile is five steps, in `reconcile.rs`:
//! **observe** (caches, Prometheus) → **decide** (pure, `serin-engine`) → **build** (pure) → **apply** → **report**.
//! ModelDeployments are reconciled in here, TrainingRuns in `training`, ModelVersions in `versions`, RetrainPolicies in
//! `retrain`. All share:
//!
//! - `owner`: whose a thing is, and the keys that follow from it
//! - `children`: what we keep of Deployments, Services, routes, Jobs and pods (a few hundred bytes each)
//! - `index`: those, by owner, fed by one watch a kind; `mentions`: who names which version or deployment
//! - `fresh`: our own writes, remembered until the caches show them
//! - `gateways`: whether they copy requests
//! - `user_routes`: HTTPRoutes that users own
//! - `taken`: names that strangers bear; `unreadable`: objects that do not fit our types
//! - `guard`: deadline, panics and retries around a reconcile; `write`: how each write is made safe
//! - `watches`: what wakes whom; `controllers`: those who are woken; `run`: start and end
//! - `leader`: which of several operators decides; `client`: what keeps the others from writing
//! - `backoff`, `telemetry`, `server`, `running`: retries, metrics, health; `report`: Events; `page`: what a browser is shown
//!
//! Only for ModelDeployments: `observe`, `apply`, and `samples`: raw samples as the judge's input. `ticks` says when the next
//! ones are looked at, `looks` which looks share a query, and `place` lets them wait for it together. `prometheus` asks, also
//! for what a policy wants to know (`count`): bounded in time and size.

mod apply;
mod backoff;
mod children;
mod client;
mod context;
mod controllers;
mod count;
mod error;
mod fresh;
mod gateways;
mod guard;
mod index;
mod leader;
mod looks;
#[cfg(test)]
mod matchers;
mod mentions;
mod observe;
mod owner;
mod page;
mod place;
mod prometheus;
mod reconcile;
mod report;
mod retrain;
mod run;
mod running;
mod samples;
mod server;
mod sessions;
mod taken;
mod telemetry;
mod ticks;
mod training;
mod unreadable;
mod user_routes;
mod versions;
mod watches;
mod write;

pub use error::StartError;
pub use looks::Looks;
pub use prometheus::{Prometheus, QueryError, http_client};
pub use run::{Election, Settings, run};
pub use samples::{read as read_samples, read_together};
