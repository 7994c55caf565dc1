//! TrainingRuns, in the same five steps: **observe** (caches) → **decide** (pure, `serin_engine::training`) → **build**
//! (pure) → **apply** → **report**.
//!
//! - `object`: a run as it is kept: whole while it goes on, a stub once it is over
//! - `observe`, `apply`: the steps with I/O
//! - `reconcile`: the steps in order, and what is left to do for a stub
//! - `nonce`: what nobody could know before

mod apply;
pub mod nonce;
mod object;
mod observe;
mod reconcile;

pub use object::{RunObject, named};
pub use reconcile::reconcile;
