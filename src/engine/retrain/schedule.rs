//! Times of the clock, in a time zone.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};
use serin_api::Schedule;

/// The next time after `after`. Hours that a change to summer time leaves out come when it is over; those that come
/// twice count once (as in vixie-cron).
///
/// # Errors
/// One line that says what to change.
pub fn next(schedule: &Schedule, after: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let Schedule { cron, time_zone } = schedule;
    let zone: Tz = time_zone
        .parse()
        .map_err(|_| format!("timeZone {time_zone:?} is not known; write it like Europe/Berlin"))?;
    // Five fields, as everywhere in Kubernetes.
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let times = parser
        .parse(cron)
        .map_err(|why| format!("cron {cron:?} is not minute, hour, day, month, weekday: {why}"))?;
    let local = after.with_timezone(&zone);
    let next = times.find_next_occurrence(&local, false);
    next.map(|at| at.with_timezone(&Utc)).map_err(|_| format!("cron {cron:?} never comes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }
    fn after(cron: &str, zone: &str, from: &str) -> Result<String, String> {
        let schedule = Schedule { cron: cron.into(), time_zone: zone.into() };
        next(&schedule, at(from)).map(|t| t.to_rfc3339())
    }

    #[test]
    fn the_clock_is_that_of_the_zone() {
        let monday = |zone, from| after("0 3 * * 1", zone, from).unwrap();
        assert_eq!(monday("Etc/UTC", "2026-11-24T12:00:00Z"), "2026-11-30T03:00:00+00:00");
        assert_eq!(monday("Europe/Berlin", "2026-11-24T12:00:00Z"), "2026-11-30T02:00:00+00:00");
        assert_eq!(monday("Europe/Berlin", "2026-07-01T12:00:00Z"), "2026-07-06T01:00:00+00:00");
        // Not twice at the same moment.
        assert_eq!(monday("Etc/UTC", "2026-11-30T03:00:00Z"), "2026-12-07T03:00:00+00:00");
    }

    #[test]
    fn an_hour_that_is_left_out_or_comes_twice_counts_once() {
        // Berlin: 2026-03-29 02:00 becomes 03:00; 2026-10-25 03:00 becomes 02:00.
        let spring = after("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z").unwrap();
        assert!(spring.starts_with("2026-03-29T01:"), "{spring}");
        let first = after("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z").unwrap();
        let second = after("30 2 * * *", "Europe/Berlin", &first).unwrap();
        assert!(first.starts_with("2026-10-25T") && second.starts_with("2026-10-26T"), "{first} {second}");
    }

    #[test]
    fn what_is_no_time_is_said_in_one_line() {
        for (cron, zone) in [
            ("0 3 * *", "Etc/UTC"),
            ("0 0 3 * * 1", "Etc/UTC"),
            ("61 3 * * *", "Etc/UTC"),
            ("0 0 30 2 *", "Etc/UTC"),
            ("0 3 * * 1", "Berlin/Europe"),
        ] {
            let error = after(cron, zone, "2026-11-24T12:00:00Z").unwrap_err();
            assert!(!error.contains('\n') && (error.contains(cron) || error.contains(zone)), "{error}");
        }
    }
}
