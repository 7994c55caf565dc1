//! All times follow from the lease's duration, in the proportions that Kubernetes' own controllers have: 15, 10, 2.

use std::time::Duration;

/// A moment on one process's own monotonic clock, since whenever that began. Two processes' moments have nothing in common.
pub type Moment = Duration;

/// The times of a lease.
///
/// A lease of 15 s, from the moment before its last renewal was sent:
///
/// ```text
/// 0 s        2 s        6.5 s         10 s              15 s
/// renewed    renewed    nothing is    the process       another may
///            again      begun         ends itself       take it
///                       |-- 3 s on the way --|-- 5 s in the apiserver --|
/// ```
///
/// What was begun in the last instant before 6.5 s is therefore over, one way or the other, before another may write. The
/// half second that is left is for clocks that do not run alike: three in a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    lease: Duration,
}

impl Timing {
    /// Of a lease of so many seconds, one at least.
    pub const fn of(lease_seconds: u16) -> Self {
        let seconds = if lease_seconds == 0 { 1 } else { lease_seconds };
        Self { lease: Duration::from_secs(seconds as u64) }
    }

    /// How long others wait, from the last sign of life that they saw: 15 s.
    pub const fn lease(self) -> Duration {
        self.lease
    }

    /// A lease that was not renewed for so long is lost, and the process ends: 10 s.
    pub fn renew(self) -> Duration {
        self.lease * 2 / 3
    }

    /// Between two renewals, and before a failed look is taken again: 2 s.
    pub fn retry(self) -> Duration {
        self.lease * 2 / 15
    }

    /// Before a renewal that had no answer is tried again.
    pub fn pause(self) -> Duration {
        self.lease / 60
    }

    /// For how long after a renewal a write may begin: 6.5 s.
    pub fn begin(self) -> Duration {
        self.lease * 13 / 30
    }

    /// Longest time of a request on its way; what is not acknowledged by then, the system gives up: 3 s.
    pub fn way(self) -> Duration {
        self.lease / 5
    }

    /// Longest time of a request in the apiserver, which is told so: 5 s.
    pub fn answer(self) -> Duration {
        self.lease / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_begun_is_over_before_another_may_write() {
        for seconds in [0, 1, 2, 3, 7, 15, 60, u16::MAX] {
            let t = Timing::of(seconds);
            assert!((t.begin() + t.way() + t.answer()) * 103 / 100 <= t.lease());
            // Without any renewal the process ends before its time is over, and tries more than once before.
            assert!(t.begin() < t.renew() && t.renew() < t.lease());
            assert!(t.retry() + t.answer() + t.pause() < t.renew());
            // In good times nothing is ever held up.
            assert!(t.retry() + t.way() < t.begin());
        }
    }

    #[test]
    fn the_default_is_that_of_kubernetes() {
        let t = Timing::of(15);
        let millis = [t.lease(), t.renew(), t.retry(), t.begin(), t.way(), t.answer()].map(|d| d.as_millis());
        assert_eq!(millis, [15_000, 10_000, 2_000, 6_500, 3_000, 5_000]);
    }
}
