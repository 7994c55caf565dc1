//! Who of several operators decides, by a Lease of the Kubernetes API: one writer at any instant, whatever the network, the
//! scheduler and the clocks do.
//!
//! [`Candidate`] is a state machine: an [`Event`] and the time go in, a [`Step`] comes out. It does no I/O and asks no
//! clock. [`Timing`] is the arithmetic that makes it safe.
//!
//! What holds, and why:
//!
//! - The lease changes hands by compare-and-swap on the object's version alone.
//! - Who wants another's lease waits for its whole duration on its own monotonic clock, from when it *saw* the record
//!   change. Who holds it counts from *before* the request that renewed it was sent. The holder's time is thus always over
//!   first. Times in the record are for people.
//! - A request without an answer is unknown: it counts for nothing, and may still happen.
//! - A loss is for ever: the candidate is over, and its process ends.

mod candidate;
mod record;
mod timing;

pub use candidate::{Ask, Candidate, Event, Loss, Role, Step};
pub use record::{Claim, Record};
pub use timing::{Moment, Timing};
