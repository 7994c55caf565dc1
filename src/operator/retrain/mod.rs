//! RetrainPolicies, in the same five steps: **observe** (caches, Prometheus) → **decide** (pure, `serin_engine::retrain`)
//! → **build** (pure) → **apply** → **report**.
//!
//! - `object`: a policy and its key, and what it names
//! - `observe`, `apply`: the steps with I/O
//! - `reconcile`: the steps in order

mod apply;
mod object;
mod observe;
mod reconcile;

pub use object::{PolicyObject, named};
pub use reconcile::reconcile;
