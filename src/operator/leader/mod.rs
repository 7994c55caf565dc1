//! Which of several operators decides, and what keeps the others' hands off.
//!
//! - `clock`: the only clock that counts here
//! - `fence`: whether a write may begin, asked at the very last moment
//! - `election`: the lease: read, watched, taken, renewed, given back, as `serin-lease` says
//! - `object`: the lease as the Kubernetes API has it
//! - `standing`: what the outside is told about it

mod clock;
mod election;
mod fence;
mod object;
mod standing;

pub use election::{Campaign, Elected};
pub use fence::{Fence, Refused};
pub use standing::{Rank, Standing};
