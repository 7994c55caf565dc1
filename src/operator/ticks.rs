//! When a candidate is looked at again. Looks of a namespace that come due together share their queries (`looks`), so all
//! that are as far apart fall on the same moments.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Time until the next look, of those that are `interval` apart in this namespace; at least a quarter of the interval, so that
/// a look that took long is not followed by another one at once. Each namespace has moments of its own, and where one
/// interval is a multiple of another one, its moments are among the other's.
pub fn until_next(namespace: &str, interval: Duration, now: DateTime<Utc>) -> Duration {
    let Ok(interval) = i64::try_from(interval.as_millis()) else { return interval };
    if interval == 0 {
        return Duration::ZERO;
    }
    let phase = namespace.bytes().fold(0_i64, |h, b| h.wrapping_mul(31).wrapping_add(i64::from(b)));
    let since = (now.timestamp_millis().wrapping_sub(phase)).rem_euclid(interval);
    let left = interval - since;
    let wait = if left < interval / 4 { left + interval } else { left };
    Duration::from_millis(wait.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).unwrap()
    }

    #[test]
    fn looks_fall_on_moments_that_are_an_interval_apart() {
        let interval = Duration::from_secs(15);
        let next = |now: i64| now + i64::try_from(until_next("ns", interval, at(now)).as_millis()).unwrap();
        let first = next(1_800_000_000_123);
        for late in [0, 20, 4000, 11_250] {
            assert_eq!(next(first + late), first + 15_000, "{late}");
        }
        assert_eq!(next(first + 11_251), first + 30_000);
    }

    #[test]
    fn those_of_a_multiple_are_among_them() {
        let moments = |seconds: u64| {
            let interval = Duration::from_secs(seconds);
            let now = at(1_800_000_000_000);
            (now + until_next("some-namespace", interval, now)).timestamp_millis()
        };
        assert_eq!((moments(60) - moments(15)).rem_euclid(15_000), 0);
        assert_eq!((moments(15) - moments(1)).rem_euclid(1000), 0);
    }

    #[test]
    fn no_interval_is_no_wait() {
        assert_eq!(until_next("ns", Duration::ZERO, at(5)), Duration::ZERO);
    }
}
