//! The only clock that counts: monotonic, and running on while the machine sleeps. `std`'s stands still then on Linux, and
//! who wakes up would take an old lease for its own.

use rustix::time::{ClockId, clock_gettime};
use serin_lease::Moment;

/// Now.
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    Moment::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}
