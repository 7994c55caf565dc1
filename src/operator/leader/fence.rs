//! Whether a write may begin. It is asked by whoever sends, right before, and answers by the clock: nobody has to be awake
//! to close it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use serin_lease::{Moment, Timing};

use super::clock;

/// Shared by all that send, and by the election, which alone opens it.
#[derive(Clone, Debug)]
pub struct Fence(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    timing: Timing,
    /// In nanoseconds of the clock.
    open_until: AtomicU64,
    /// For ever: we are leaving.
    closed: AtomicBool,
    /// Writes without an answer yet.
    under_way: AtomicUsize,
    /// When the last of those is over whose answer nobody waits for any more.
    unresolved_until: AtomicU64,
}

/// A write that was not sent, or is not waited for any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The fence is closed.
    #[error("not sent: the lease is not ours, or not for long enough")]
    Fenced,
    /// The apiserver did not answer within the time that a write has.
    #[error("no answer in time: the write may have happened")]
    NoAnswer,
}

impl Fence {
    /// One that is closed until the first lease.
    pub fn closed(timing: Timing) -> Self {
        Self::until(timing, 0)
    }

    /// One that is open for ever: there is no election.
    pub fn open(timing: Timing) -> Self {
        Self::until(timing, u64::MAX)
    }

    fn until(timing: Timing, open_until: u64) -> Self {
        Self(Arc::new(Inner {
            timing,
            open_until: AtomicU64::new(open_until),
            closed: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            unresolved_until: AtomicU64::new(0),
        }))
    }

    /// The times by which it is reckoned.
    pub fn timing(&self) -> Timing {
        self.0.timing
    }

    /// The lease is ours, counted from this moment.
    pub fn renewed(&self, at: Moment) {
        self.0.open_until.store(nanos(at + self.0.timing.begin()), Ordering::Release);
    }

    /// Closes it for ever.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
    }

    /// Whether anything may be sent now.
    pub fn is_open(&self) -> bool {
        !self.0.closed.load(Ordering::Acquire)
            && nanos(clock::now()) < self.0.open_until.load(Ordering::Acquire)
    }

    /// Leave for one write, if it may begin now.
    pub fn begin(&self) -> Result<Pass, Refused> {
        // Counted before it is asked: who closes the fence and then finds nothing under way is right.
        let pass = Pass::of(self.clone());
        if self.is_open() {
            return Ok(pass);
        }
        pass.answered();
        Err(Refused::Fenced)
    }

    /// When everything that ever was sent is over, one way or the other; `None` as long as somebody waits for an answer.
    pub fn quiet(&self) -> Option<Moment> {
        let nobody = self.0.under_way.load(Ordering::Acquire) == 0;
        nobody.then(|| Moment::from_nanos(self.0.unresolved_until.load(Ordering::Acquire)))
    }
}

/// One write on its way.
#[derive(Debug)]
pub struct Pass {
    fence: Fence,
    begun: Moment,
    answered: bool,
}

impl Pass {
    fn of(fence: Fence) -> Self {
        fence.0.under_way.fetch_add(1, Ordering::AcqRel);
        Self { fence, begun: clock::now(), answered: false }
    }

    /// It is known what came of it.
    pub fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Inner { timing, under_way, unresolved_until, .. } = &*self.fence.0;
        if !self.answered {
            let over = self.begun + timing.way() + timing.answer();
            unresolved_until.fetch_max(nanos(over), Ordering::AcqRel);
        }
        under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

fn nanos(moment: Moment) -> u64 {
    u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_closes_by_the_clock_alone() {
        let fence = Fence::closed(Timing::of(15));
        assert_eq!(fence.begin().unwrap_err(), Refused::Fenced);
        let now = clock::now();
        fence.renewed(now);
        assert!(fence.is_open());
        fence.renewed(now.saturating_sub(Timing::of(15).begin()));
        assert_eq!(fence.begin().unwrap_err(), Refused::Fenced);
        assert_eq!(fence.quiet(), Some(Moment::ZERO), "what was refused is not under way");
    }

    #[test]
    fn once_closed_no_renewal_opens_it() {
        let fence = Fence::open(Timing::of(15));
        assert!(fence.is_open());
        fence.close();
        fence.renewed(clock::now());
        assert!(!fence.is_open());
    }

    #[test]
    fn it_knows_what_is_under_way() {
        let fence = Fence::open(Timing::of(15));
        let (one, two) = (fence.begin().unwrap(), fence.begin().unwrap());
        assert_eq!(fence.quiet(), None);
        one.answered();
        assert_eq!(fence.quiet(), None);
        // Nobody waits any longer; the apiserver may.
        drop(two);
        let quiet = fence.quiet().unwrap();
        assert!(
            quiet > clock::now() + Duration::from_secs(7) && quiet < clock::now() + Duration::from_secs(9)
        );
    }
}
