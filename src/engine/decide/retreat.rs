//! The candidate's traffic is taken away. What was decided is recorded before the weight moves, so that a restart, or
//! a Prometheus that has gone silent since, finishes it instead of deciding again.

use serin_api::{Candidate, Outcome, Pace, Phase, Reason, Retreat, Stable, Verdict};

use super::{Draft, channel, pods, recreate, start, steady};
use crate::{plan::Weights, revision::Revision, world::Crashed};

/// Decides on the way back. Only the status is written; the weight follows in the next pass.
pub(super) fn begin(
    d: &mut Draft<'_>,
    stable: &Stable,
    c: &Candidate,
    reason: Reason,
    message: String,
    reject: bool,
) {
    d.decisive = true;
    let headline = going_back(stable, c, &message);
    let given_up = d.world().of(&stable.revision).is_some_and(|found| found.replicas < d.replicas);
    let pace = if given_up && d.room().is_bounded() { Pace::AsPodsComeBack } else { Pace::AtOnce };
    let now = d.now();
    if let Some(candidate) = &mut d.status.candidate {
        candidate.phase = Phase::Retreating;
        candidate.waiting = None;
        if pace == Pace::AsPodsComeBack {
            candidate.since = Some(now);
        }
        candidate.retreat = Some(Retreat { reason: reason.as_str().to_owned(), message, reject, pace });
    }
    if reject {
        d.status.verdict = Some(Verdict::Fail);
        channel::bar(d, c, reason);
    }
    if !nowhere_to_go(d, stable, c) {
        d.report(Reason::RollingBack, headline);
    }
}

/// What crashes again and again goes back, whatever else is known. `true`: it does.
pub(super) fn if_crashing(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) -> bool {
    let Some(Crashed { restarts, message }) = d.crash_loop(&c.revision) else { return false };
    let message = format!("its container crashed {restarts} times: {message}");
    begin(d, stable, c, Reason::CrashLoop, message, true);
    true
}

fn going_back(stable: &Stable, c: &Candidate, why: &str) -> String {
    format!("{} goes back to {}: {why}", c.version, stable.version)
}

/// Another spec came (or the stable one again). Without traffic there is nothing to wait for.
pub(super) fn superseded(d: &mut Draft<'_>, stable: &Stable, c: &Candidate, target: &Revision) {
    let at_zero =
        d.world().traffic.as_ref().is_some_and(|t| t.confirmed && t.weights == Weights::to(stable.slot, 100));
    // Pods that leave room are sent away first, which is recorded.
    if c.phase == Phase::Starting && at_zero && c.fits.is_none() {
        return finish(d, stable, c, None, target);
    }
    begin(d, stable, c, Reason::Superseded, format!("{} was asked for instead", target.version()), false);
}

/// Weight to 0, wait until it is confirmed, and only then forget the candidate.
pub(super) fn go_on(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) {
    let Some(target) = d.target().cloned() else { return };
    recreate::make_room(d, c);
    if nowhere_to_go(d, stable, c) {
        return pods::leave_a_place(d, c);
    }
    let why = c.retreat.as_ref().map_or("", |r| &r.message);
    if !pods::give_back(d, stable, c) {
        let message = format!(
            "{}; the weight follows the pods that {} gets back",
            going_back(stable, c, why),
            stable.version
        );
        return d.report(Reason::RollingBack, message);
    }
    if !d.all_back_to(stable) {
        return d.report(Reason::RollingBack, going_back(stable, c, why));
    }
    finish(d, stable, c, c.retreat.clone(), &target);
}

fn finish(d: &mut Draft<'_>, stable: &Stable, c: &Candidate, retreat: Option<Retreat>, target: &Revision) {
    d.decisive = true;
    if let Some(r) = retreat.filter(|r| r.reject) {
        d.end(c, Outcome::RolledBack, Some((reason(&r.reason), r.message)));
    } else {
        d.end(c, Outcome::Superseded, None);
        let message = format!("{} was superseded by {}", c.version, target.version());
        d.note(false, Reason::Superseded, "Superseded", message);
    }
    match d.status.last_failed.clone().filter(|f| f.revision == target.id) {
        Some(failed) => steady::keep_rejected(d, stable, &failed),
        None if stable.revision == target.id => steady::keep(d, stable),
        None => start::wait_for_slot(d, target),
    }
    d.look_again(std::time::Duration::from_millis(50));
}

/// The stable version has nothing available while the candidate has: sending traffic back would make it worse (the
/// outage of Flagger issue 1898). Held, and said.
fn nowhere_to_go(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) -> bool {
    // A third version is a repair, and must not wait for the health of what it repairs: the little that a rejected
    // candidate serves until the third one is there is the smaller loss.
    let rejected = d.status.candidate.as_ref().and_then(|c| c.retreat.as_ref()).is_some_and(|r| r.reject);
    let in_force = d.world().traffic.as_ref().map_or(0, |t| t.weights.of(c.slot));
    let third = d.target().is_some_and(|target| target.id != c.revision && target.id != stable.revision);
    let repair = third && rejected && in_force < 100;
    // With no pods asked for, none will come: then nobody waits for the traffic. Without any there is none to give back.
    let nowhere = d.replicas > 0
        && in_force > 0
        && !repair
        && d.world().available(&stable.revision) == 0
        && d.world().available(&c.revision) > 0;
    if nowhere {
        d.look_again_at_next_tick();
        let message = format!(
            "{} should give its traffic back, but {} has no available pod; held until it has one",
            c.version, stable.version
        );
        d.report(Reason::StableUnavailable, message);
    }
    nowhere
}

/// The reason back from its text in the status.
fn reason(text: &str) -> Reason {
    [
        Reason::AnalysisFailed,
        Reason::Aborted,
        Reason::CrashLoop,
        Reason::NoData,
        Reason::MetricsUnavailable,
        Reason::HorizonReached,
        Reason::ProgressDeadlineExceeded,
        Reason::ImagePull,
        Reason::Unschedulable,
        Reason::ModelNotFetched,
        Reason::VersionRevoked,
    ]
    .into_iter()
    .find(|r| r.as_str() == text)
    .unwrap_or(Reason::AnalysisFailed)
}
