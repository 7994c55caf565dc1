//! An attempt has ended, and the next one is to come: when the old one is really gone, and after a pause.

use chrono::Duration;
use serin_api::{Attempt, AttemptEnd, Reason, RunPhase};

use super::{Draft, begin};
use crate::training::{Child, budget};

pub(super) fn go_on(d: &mut Draft<'_>, last: &Attempt) {
    let Some(end) = last.end else { return };
    let next = last.number + 1;
    let left_over = if d.is_recorded() { put_away(d) } else { None };
    if d.input.spec.suspend {
        let message = format!("suspended; attempt {next} starts when spec.suspend is taken away");
        return d.report(RunPhase::Suspended, Reason::Suspended, message);
    }
    let why = after(last, end);
    if let Some(what) = left_over {
        let message = format!("attempt {next} waits until {what} of a former attempt is gone");
        return d.report(RunPhase::Retrying, Reason::WaitingForOldAttempt, message);
    }
    let pause = Duration::from_std(budget::pause(end, &d.status.spent)).unwrap_or_default();
    let due = last.ended_at.unwrap_or(d.now()) + pause;
    if d.now() < due {
        d.look_again_at(due);
        let seconds = pause.num_seconds();
        let message =
            format!("attempt {next} follows {seconds} s after attempt {}, which {why}", last.number);
        return d.report(RunPhase::Retrying, Reason::BackingOff, message);
    }
    if !d.is_recorded() {
        let message = format!("attempt {next} follows attempt {}, which {why}", last.number);
        return d.report(RunPhase::Retrying, Reason::BackingOff, message);
    }
    match d.input.known() {
        Ok(known) => begin::start(d, next, &known),
        Err(why) => d.blocked(why),
    }
}

/// Ends what is left of former attempts, and names the first of it.
fn put_away(d: &mut Draft<'_>) -> Option<String> {
    let mut left_over = None;
    for job in &d.world().jobs {
        if !matches!(job.child, Child::Attempt(_)) || job.is_over() {
            continue;
        }
        left_over.get_or_insert_with(|| format!("Job {}", job.name));
        if job.end.is_none() {
            d.delete(job);
        }
    }
    // Also a pod whose Job is gone: a node that nobody hears of keeps its pods.
    left_over.or_else(|| d.world().pods.iter().find(|p| p.is_live()).map(|p| format!("pod {}", p.name)))
}

fn after(last: &Attempt, end: AttemptEnd) -> String {
    let what = match end {
        AttemptEnd::Succeeded => "ended well",
        AttemptEnd::Crashed => "crashed",
        AttemptEnd::Disrupted => "was disrupted",
        AttemptEnd::Fatal => "ended for good",
        AttemptEnd::InputsRefused => "was refused its inputs",
        AttemptEnd::NoOutput => "left nothing",
        AttemptEnd::DeadlineExceeded => "had no time left",
        AttemptEnd::NeverStarted => "never ran",
        AttemptEnd::Suspended => "was suspended",
        AttemptEnd::ResultInvalid => "left no valid result",
    };
    match last.message.as_deref().unwrap_or_default() {
        "" => what.to_owned(),
        said => format!("{what}: {said}"),
    }
}
