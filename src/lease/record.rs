//! A lease as it is read, and as it is to be written.

use std::time::Duration;

/// What was read of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The object's version: what a compare-and-swap compares.
    pub version: String,
    /// Who holds it; nobody once it was given back.
    pub holder: Option<String>,
    /// The holder's time of its last renewal. Never compared with a clock; another text is a sign of life.
    pub renewed: String,
    /// How often it changed hands: the epoch of who holds it.
    pub transitions: u32,
    /// How long the holder promises not to be beyond its last renewal.
    pub duration: Option<Duration>,
}

impl Record {
    /// Who holds it. An empty name is nobody's.
    pub fn holder(&self) -> Option<&str> {
        self.holder.as_deref().filter(|holder| !holder.is_empty())
    }

    /// Whether the holder did something between the two. A label that somebody changed is none of its doing.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        self.holder() != other.holder()
            || self.renewed != other.renewed
            || self.transitions != other.transitions
    }
}

/// What is to be written, beside the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who holds it from then on; nobody gives it back.
    pub holder: Option<String>,
    /// The epoch.
    pub transitions: u32,
    /// Whether it changes hands by this.
    pub acquires: bool,
}
