//! ModelVersions: what we keep of them, what deployments make of them, and the little that is written to them.
//!
//! - `object`: a version as it is kept, a few hundred bytes
//! - `shelf`: all of them, by name and by model
//! - `served`: who serves a version and what came of it, by the deployments' own durable status
//! - `record`: the status that follows (pure)
//! - `reconcile`: the write, if there is one

mod object;
mod reconcile;
mod record;
mod served;
mod shelf;

pub use object::{VersionObject, identity};
pub use reconcile::reconcile;
pub use served::named;
pub use shelf::Shelf;
