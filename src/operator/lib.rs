//! The only I/O in the control plane. A reconcile is five steps, in `reconcile.rs`:
//! **observe** (caches, Prometheus) → **decide** (pure, `serin-engine`) → **build** (pure) → **apply** → **report**.
//!
//! - `children`: what we keep of Deployments, Services, routes and pods (a few hundred bytes each)
//! - `index`: those, by owner, fed by one watch a kind
//! - `fresh`: our own writes, remembered until the caches show them
//! - `taken`: names that strangers bear; `unreadable`: objects that do not fit our types
//! - `observe`, `apply`, `report`: the steps with I/O
//! - `prometheus`, `samples`: raw samples, bounded
//! - `backoff`, `telemetry`, `server`: retries, metrics, health

mod apply;
mod backoff;
mod children;
mod context;
mod error;
mod fresh;
mod index;
mod observe;
mod prometheus;
mod reconcile;
mod report;
mod run;
mod samples;
mod server;
mod taken;
mod telemetry;
mod unreadable;
mod watches;

pub use error::StartError;
pub use run::{Settings, run};
