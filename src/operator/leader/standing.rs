//! What the outside is told: whether this operator decides, and whether its election is alive.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::clock;

/// How this operator stands.
#[derive(Clone, Debug)]
pub struct Standing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rank: AtomicU8,
    /// Milliseconds of the clock when the election did something last; `u64::MAX`: there is none.
    beat: AtomicU64,
}

/// In one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// The lease was not read yet.
    Unknown,
    /// Another one decides.
    StandsBy,
    /// It decides.
    Leads,
}

impl Standing {
    /// Before the first look at the lease.
    pub fn candidate() -> Self {
        let standing = Self::of(Rank::Unknown);
        standing.beat();
        standing
    }

    /// The only one.
    pub fn alone() -> Self {
        Self::of(Rank::Leads)
    }

    fn of(rank: Rank) -> Self {
        Self(Arc::new(Inner { rank: AtomicU8::new(rank as u8), beat: AtomicU64::new(u64::MAX) }))
    }

    pub fn rank(&self) -> Rank {
        let rank = self.0.rank.load(Ordering::Acquire);
        [Rank::StandsBy, Rank::Leads].into_iter().find(|r| *r as u8 == rank).unwrap_or(Rank::Unknown)
    }

    pub fn set(&self, rank: Rank) {
        self.0.rank.store(rank as u8, Ordering::Release);
    }

    /// The election is alive.
    pub fn beat(&self) {
        self.0.beat.store(millis(), Ordering::Release);
    }

    /// For how long the election has done nothing.
    pub fn silent(&self) -> Duration {
        Duration::from_millis(millis().saturating_sub(self.0.beat.load(Ordering::Acquire)))
    }
}

fn millis() -> u64 {
    u64::try_from(clock::now().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_election_that_stands_still_is_seen() {
        let standing = Standing::candidate();
        assert_eq!((standing.rank(), standing.silent() < Duration::from_secs(1)), (Rank::Unknown, true));
        standing.0.beat.store(millis() - 40_000, Ordering::Release);
        assert!(standing.silent() >= Duration::from_secs(40));
        standing.set(Rank::StandsBy);
        assert_eq!(standing.rank(), Rank::StandsBy);
    }

    #[test]
    fn without_an_election_there_is_nothing_to_stand_still() {
        let standing = Standing::alone();
        assert_eq!((standing.rank(), standing.silent()), (Rank::Leads, Duration::ZERO));
    }
}
