//! ModelVersions: what we keep of them, what deployments make of them, and the little that is written to them.
//!
//! - `object`: a version as it is kept, a few hundred bytes
//! - `shelf`: all of them, by name and by model
//! - `served`: who serves a version and what came of it, by the deployments' own durable status
//! - `bar`: who rolled a version back, written by the deployment that did
//! - `record`: the status that follows (pure)
//! - `reconcile`: the write, if there is one

mod bar;
mod object;
mod reconcile;
mod record;
mod served;
mod shelf;

pub use bar::set_bar;
pub use object::{VersionObject, identity};
pub use reconcile::reconcile;
pub use served::{channel, named};
pub use shelf::{Moved, Shelf};
