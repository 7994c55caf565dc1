//! A candidate that gets copies of the stable version's requests. It is a step like others, of weight 0: what is special is
//! that the gateway must be known to make copies. One that does not know the filter may answer every request of the
//! rule with an error, the stable version's too.

use std::time::Duration;

use serin_api::{Candidate, Phase, Reason, Stable, Step, Strategy, Verdict, validate};
use serin_judge::State;

use super::{Draft, Input, hand, start};
use crate::{ramp, revision::Revision, world::Mirroring};

/// What is said of a gateway that was to be asked and was not: it is, at the next look.
const UNASKED: &str = "the gateway was not asked yet";
/// How soon a gateway that cannot is asked again, with a candidate and without one.
const AGAIN: Duration = Duration::from_mins(1);
const AGAIN_AT_REST: Duration = Duration::from_mins(5);

/// Percent of the requests that a candidate gets copies of, or is to get next: then its gateways have to be asked whether
/// they can. `None` at rest, and for every other strategy.
pub fn mirrored(input: &Input<'_>) -> Option<i32> {
    let percent = |steps: &[Step]| steps.iter().map(|s| s.mirror_percent).find(|percent| *percent > 0);
    let recorded = input.status.resolved.as_ref().and_then(|resolved| percent(&resolved.steps));
    let planned = || percent(&ramp::planned(&input.spec.rollout)?);
    let wanted = recorded.or_else(planned)?;
    let stable = input.status.stable.as_ref()?;
    validate::spec(input.spec).ok()?;
    let target = input.target().ok()?;
    let due = match &input.status.candidate {
        Some(c) => c.revision == target.id && c.phase != Phase::Retreating,
        None => target.id != stable.revision && !stays_rejected(input, &target),
    };
    due.then_some(wanted)
}

fn stays_rejected(input: &Input<'_>, target: &Revision) -> bool {
    let failed = input.status.last_failed.as_ref().is_some_and(|f| f.revision == target.id);
    failed && hand::asked(input.orders.retry, input.status.handled_retry.as_deref(), &target.id).is_none()
}

/// Why nothing may be copied now.
fn obstacle<'a>(d: &Draft<'a>) -> Option<&'a str> {
    match &d.world().mirroring {
        Mirroring::Supported => None,
        Mirroring::Unsupported(why) => Some(why),
        Mirroring::Unasked => Some(UNASKED),
    }
}

/// Before a shadow is begun, so that no pod is started for nothing. `true`: it is not begun.
pub(super) fn refuse(d: &mut Draft<'_>, target: &Revision) -> bool {
    let Some(stable) = d.status.stable.clone() else { return false };
    let planned = ramp::planned(&d.input.spec.rollout).unwrap_or_default();
    let mirrors = planned.iter().any(|step| step.mirror_percent > 0);
    if !mirrors || start::nothing_to_compare(d, &stable) || start::served_before(d, &target.id) {
        return false;
    }
    let Some(why) = obstacle(d) else { return false };
    d.all_to(&stable);
    d.look_again(AGAIN_AT_REST);
    let message = format!("{} is not begun, {} serves: {why}", target.version(), stable.version);
    d.report_stuck(Reason::MirrorUnsupported, message);
    true
}

/// A candidate without traffic becomes a shadow as soon as the spec wants one: a person who asks for that wants no user to
/// get its answers, whatever it was begun as. Only while there is something to compare it with.
pub(super) fn instead(d: &mut Draft<'_>) {
    let begun_otherwise = d.steps().iter().all(|step| step.mirror_percent == 0);
    let compared = d.status.stable.as_ref().is_some_and(|stable| !start::nothing_to_compare(d, stable));
    if d.input.spec.rollout.strategy == Strategy::Shadow && begun_otherwise && compared {
        d.status.resolved = ramp::planned(&d.input.spec.rollout).map(|steps| start::resolved(d, steps));
    }
}

/// The same for one that is there already: another gateway may have been named meanwhile. `true`: its step is not entered.
pub(super) fn withhold(d: &mut Draft<'_>, stable: &Stable, c: &Candidate, next: &Step) -> bool {
    let Some(why) = obstacle(d).filter(|_| next.mirror_percent > 0) else { return false };
    d.all_to(stable);
    d.look_again(AGAIN);
    d.report_stuck(Reason::MirrorUnsupported, format!("{} is ready and gets no copies: {why}", c.version));
    true
}

/// The same for one that gets copies: they are taken away, and it starts over. `true`: they are.
pub(super) fn stop(d: &mut Draft<'_>, stable: &Stable, c: &Candidate, present: &Step) -> bool {
    let Some(why) = obstacle(d).filter(|_| present.mirror_percent > 0) else { return false };
    d.look_again(AGAIN);
    let message = format!("{} gets no copies any more: {why}", c.version);
    if d.all_to(stable) {
        d.decisive = true;
        d.back_to_start();
        d.note(true, Reason::MirrorUnsupported, "Mirror0", message.clone());
    }
    d.report(Reason::MirrorUnsupported, message);
    true
}

/// Whoever promotes it by hand is told once that the evidence suffices, and which it is.
pub(super) fn tell_when_good(d: &mut Draft<'_>, c: &Candidate) {
    let judged = d.input.reading.judged().filter(|j| j.state == State::Pass && j.misrouted.is_none());
    let Some(judged) = judged.filter(|_| d.status.verdict != Some(Verdict::Pass)) else { return };
    if let Some(candidate) = &mut d.status.candidate {
        candidate.evidence.clone_from(&judged.evidence);
    }
    d.status.verdict = Some(Verdict::Pass);
    let message = format!("{} is good enough to be promoted: `kubectl serin promote`", c.version);
    d.note(false, Reason::Paused, "Pass", message);
}

/// What a shadow waits for whose time is over.
pub(super) fn waiting(d: &Draft<'_>) -> (Reason, &'static str) {
    let words = match d.status.verdict {
        Some(Verdict::Pass) => "is good enough, and waits for a person: `kubectl serin promote`",
        _ => "gathering evidence, and waits for a person: `kubectl serin promote` or `abort`",
    };
    (Reason::Paused, words)
}
