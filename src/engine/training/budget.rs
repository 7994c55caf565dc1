//! What a run may still spend: attempts by what ended them, and time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serin_api::{Attempt, AttemptEnd, Reason, Retries, Spent};

/// Attempts of a run, whatever ended them: host names are built from the number.
pub const ATTEMPTS_MAX: i32 = 99;

/// The pause after the first crash; each further one doubles it.
const PAUSE_FIRST: u64 = 10;
/// The longest pause.
const PAUSE_MOST: u64 = 300;

/// Whether an attempt's end leaves anything to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Another attempt.
    Another,
    /// Nothing; the run has failed for this reason.
    Nothing(Reason),
}

/// Writes an attempt's end to the account.
pub fn charge(spent: &mut Spent, end: AttemptEnd, running_seconds: i64) {
    spent.running_seconds = spent.running_seconds.saturating_add(running_seconds);
    match end {
        AttemptEnd::Crashed | AttemptEnd::ResultInvalid => spent.crashes += 1,
        AttemptEnd::Disrupted => spent.disruptions += 1,
        AttemptEnd::NeverStarted => spent.starts += 1,
        AttemptEnd::Succeeded
        | AttemptEnd::Fatal
        | AttemptEnd::InputsRefused
        | AttemptEnd::NoOutput
        | AttemptEnd::DeadlineExceeded
        | AttemptEnd::Suspended => {}
    }
}

/// What may come after attempt `number` ended so, its end being on the account already.
pub fn after(end: AttemptEnd, number: i32, spent: &Spent, retries: &Retries, deadline: Option<i64>) -> After {
    let within = |spent: i32, budget: i32, reason| {
        if spent <= budget { After::Another } else { After::Nothing(reason) }
    };
    let verdict = match end {
        AttemptEnd::Crashed => within(spent.crashes, retries.crashes, Reason::Crashed),
        AttemptEnd::ResultInvalid => within(spent.crashes, retries.crashes, Reason::ResultInvalid),
        AttemptEnd::Disrupted => within(spent.disruptions, retries.disruptions, Reason::Disrupted),
        AttemptEnd::NeverStarted => within(spent.starts, retries.starts, Reason::NeverStarted),
        AttemptEnd::Fatal => After::Nothing(Reason::Fatal),
        AttemptEnd::InputsRefused => After::Nothing(Reason::InputsRefused),
        AttemptEnd::NoOutput => After::Nothing(Reason::NoOutput),
        AttemptEnd::DeadlineExceeded => After::Nothing(Reason::DeadlineExceeded),
        AttemptEnd::Suspended | AttemptEnd::Succeeded => After::Another,
    };
    match verdict {
        After::Another if left(deadline, spent).is_some_and(|left| left <= 0) => {
            After::Nothing(Reason::DeadlineExceeded)
        }
        After::Another if number >= ATTEMPTS_MAX => After::Nothing(Reason::AttemptsExhausted),
        verdict => verdict,
    }
}

/// Seconds of running that the deadline leaves; none without a deadline.
pub fn left(deadline: Option<i64>, spent: &Spent) -> Option<i64> {
    deadline.map(|deadline| deadline.saturating_sub(spent.running_seconds))
}

/// Seconds that an attempt has been running in its present stretch.
pub fn stretch(attempt: &Attempt, until: DateTime<Utc>) -> i64 {
    attempt.running_at.map_or(0, |since| (until - since).num_seconds().max(0))
}

/// How long to wait before the next attempt. What the cluster did needs no pause, and its budget bounds it; a program
/// that crashes gets ever more time for whatever it depends on.
pub fn pause(end: AttemptEnd, spent: &Spent) -> Duration {
    match end {
        AttemptEnd::Crashed | AttemptEnd::ResultInvalid => doubling(spent.crashes),
        AttemptEnd::Succeeded
        | AttemptEnd::Disrupted
        | AttemptEnd::Fatal
        | AttemptEnd::InputsRefused
        | AttemptEnd::NoOutput
        | AttemptEnd::DeadlineExceeded
        | AttemptEnd::NeverStarted
        | AttemptEnd::Suspended => Duration::ZERO,
    }
}

/// How long evaluation `number` waits after the failure of the one before it.
pub fn evaluation_pause(number: i32) -> Duration {
    doubling(number - 1)
}

fn doubling(failures: i32) -> Duration {
    let doublings = match u32::try_from(failures) {
        Err(_) | Ok(0) => return Duration::ZERO,
        Ok(failures) => (failures - 1).min(16),
    };
    Duration::from_secs((PAUSE_FIRST << doublings).min(PAUSE_MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_five_minutes() {
        let after = |crashes| pause(AttemptEnd::Crashed, &Spent { crashes, ..Spent::default() }).as_secs();
        assert_eq!([0, 1, 2, 3, 5, 6, 20].map(after), [0, 10, 20, 40, 160, 300, 300]);
        assert_eq!(pause(AttemptEnd::Disrupted, &Spent::default()), Duration::ZERO);
        assert_eq!([1, 2, 3].map(|n| evaluation_pause(n).as_secs()), [0, 10, 20]);
    }

    #[test]
    fn each_budget_is_its_own() {
        let retries = Retries { crashes: 1, disruptions: 1, starts: 0, evaluations: 0 };
        let mut spent = Spent::default();
        let mut end = |end| {
            charge(&mut spent, end, 5);
            after(end, 1, &spent, &retries, None)
        };
        assert_eq!(end(AttemptEnd::Crashed), After::Another);
        assert_eq!(end(AttemptEnd::Disrupted), After::Another);
        assert_eq!(end(AttemptEnd::Suspended), After::Another);
        assert_eq!(end(AttemptEnd::NeverStarted), After::Nothing(Reason::NeverStarted));
        assert_eq!(end(AttemptEnd::ResultInvalid), After::Nothing(Reason::ResultInvalid));
        assert_eq!(end(AttemptEnd::Disrupted), After::Nothing(Reason::Disrupted));
        assert_eq!(end(AttemptEnd::Fatal), After::Nothing(Reason::Fatal));
        assert_eq!(spent.running_seconds, 35);
    }

    #[test]
    fn time_and_host_names_are_budgets_too() {
        let spent = Spent { running_seconds: 100, ..Spent::default() };
        let after =
            |number, deadline| after(AttemptEnd::Disrupted, number, &spent, &Retries::default(), deadline);
        assert_eq!(after(1, Some(101)), After::Another);
        assert_eq!(after(1, Some(100)), After::Nothing(Reason::DeadlineExceeded));
        assert_eq!(after(98, None), After::Another);
        assert_eq!(after(99, None), After::Nothing(Reason::AttemptsExhausted));
    }
}
