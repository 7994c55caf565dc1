//! A candidate appears and becomes available. It has no traffic yet.

use std::time::Duration;

use chrono::Duration as Span;
use serin_api::{
    Candidate, Outcome, Phase, Reason, Resolved, Slot, Stable, Step, TakesOver, Verdict, WeightRecord,
};

use super::{
    Draft, canary, pods, recreate, retreat, shadow,
    waiting::{self, Delay},
};
use crate::{
    measure::Reading,
    plan::{Entry, Journal, Weights},
    ramp,
    report::{self, Unread},
    revision::Revision,
    world::Crashed,
};

/// Starts trying `target`.
pub(super) fn begin(d: &mut Draft<'_>, target: &Revision) {
    if shadow::refuse(d, target) {
        return;
    }
    let Some(slot) = free_slot(d, target) else {
        if let Some(stable) = d.status.stable.clone() {
            d.all_to(&stable);
        }
        d.look_again(Duration::from_secs(1));
        return wait_for_slot(d, target);
    };
    d.decisive = true;
    if let Some(asked) = d.retry_asked(&target.id) {
        d.status.handled_retry = Some(asked);
    }
    let rollout = &d.input.spec.rollout;
    let steps = match &d.status.stable {
        // No step at all says so, also when the stable version is asked for pods before this one has any.
        Some(s) if nothing_to_compare(d, s) => Some(Vec::new()),
        _ => ramp::planned(rollout),
    };
    let candidate = Candidate {
        revision: target.id.clone(),
        version: target.version(),
        digest: target.spec.model.artifact.digest.0.clone(),
        slot,
        spec: target.spec.clone(),
        phase: Phase::Starting,
        weight: 0,
        step: format!("0/{}", steps.as_ref().map_or_else(|| "?".to_owned(), |s| s.len().to_string())),
        step_index: 0,
        started_at: d.now(),
        waiting: None,
        waited_seconds: 0,
        fits: None,
        since: None,
        analysis_from: None,
        weights: Vec::new(),
        evidence: Vec::new(),
        takes_over: served_before(d, &target.id).then_some(TakesOver::ServedBefore),
        skipped_step: None,
        retreat: None,
    };
    d.status.resolved = steps.map(|steps| resolved(d, steps));
    d.status.candidate = Some(candidate.clone());
    d.status.verdict = None;
    d.note(
        false,
        Reason::CandidateStarting,
        "Start",
        format!("{} ({}) starts{}", candidate.version, target.id, said_to_be_unreachable(d)),
    );
    match d.status.stable.clone() {
        Some(stable) => go_on(d, &stable, &candidate),
        None => first(d, &candidate),
    }
}

/// Nothing serves: there is nothing to compare with, and nothing to lose.
pub(super) fn nothing_to_compare(d: &Draft<'_>, stable: &Stable) -> bool {
    d.replicas == 0 || d.world().available(&stable.revision) == 0
}

/// Steps, and what becomes of them by share of pods.
pub(super) fn resolved(d: &Draft<'_>, steps: Vec<Step>) -> Resolved {
    let reachable = d.room().reachable_of(&steps);
    Resolved { steps, reachable }
}

/// What pods cannot express is said before anything is begun.
fn said_to_be_unreachable(d: &Draft<'_>) -> String {
    let Some(resolved) = d.status.resolved.as_ref().filter(|r| !r.reachable.is_empty()) else {
        return String::new();
    };
    let pairs = resolved.steps.iter().zip(&resolved.reachable);
    let pairs: Vec<_> = pairs
        .filter(|(step, reachable)| step.weight != **reachable)
        .map(|(step, reachable)| format!("{reachable} % instead of {} %", step.weight))
        .collect();
    let room = d.room();
    let bound =
        if room.is_bounded() { format!(", {} of both together", room.total()) } else { String::new() };
    format!("; by share of {} pods{bound}, these weights are the closest: {}", d.replicas, pairs.join(", "))
}

/// The next one has to wait until the one before it has gone.
pub(super) fn wait_for_slot(d: &mut Draft<'_>, target: &Revision) {
    let message = format!("{} waits until the former revision has finished its requests", target.version());
    d.report(Reason::Draining, message);
}

/// The slot for a new candidate: the one that the stable version does not have, once nobody else's pods bear it.
/// `None`: not yet.
fn free_slot(d: &Draft<'_>, target: &Revision) -> Option<Slot> {
    if let Some(present) = d.world().of(&target.id) {
        // A former revision that is asked for again while it drains keeps its pods.
        return (!present.deleting).then_some(present.slot);
    }
    let taken = |slot: Slot| d.world().deployments.iter().any(|o| o.slot == slot);
    match &d.status.stable {
        Some(s) => (!taken(s.slot.other())).then_some(s.slot.other()),
        None => [Slot::A, Slot::B].into_iter().find(|s| !taken(*s)),
    }
}

/// The first revision: nothing to compare with, nobody to protect. It serves as soon as a pod is available.
pub(super) fn first(d: &mut Draft<'_>, c: &Candidate) {
    let found = d.ensure(&c.revision, &c.spec, c.slot, d.replicas, d.replicas).cloned();
    let journal = Journal::of(&c.revision, Entry::Stable);
    d.weights(Weights::to(c.slot, 100), journal);
    let Some(found) = found else {
        return d.report(Reason::FirstDeployment, waiting::starts(c));
    };
    if found.available >= 1 || d.replicas == 0 {
        d.decisive = true;
        canary::become_stable(d, c, Outcome::Deployed);
        d.note(false, Reason::Complete, "Deployed", format!("{} serves", c.version));
        return;
    }
    let c = waiting::follow(d, c);
    let delay = Delay::of(d, &c, Reason::FirstDeployment);
    if delay.left.is_zero() || delay.reason == Reason::CrashLoop {
        // Nothing to go back to: it is kept, and so is the wish. The next spec takes over at once.
        let (reason, message) = delay.stuck(d);
        return d.report_stuck(reason, message);
    }
    d.look_again(delay.left);
    d.report(delay.reason, delay.headline());
}

/// A candidate beside a stable version, on its way to its first weight.
pub(super) fn go_on(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) {
    if d.replicas == 0 {
        return match &d.status.resolved {
            Some(resolved) if resolved.steps.is_empty() => nothing_serves(d, c),
            _ => asleep(d, stable, c),
        };
    }
    if d.world().of(&c.revision).is_some_and(|found| found.replicas == 0) && wake(d, stable, c) {
        return;
    }
    if d.recreates(c) {
        return recreate::go_on(d, stable, c);
    }
    if if_crashing(d, stable, c) {
        return;
    }
    let stable_is_there = d.world().available(&stable.revision) > 0;
    let without_steps = d.status.resolved.as_ref().is_some_and(|r| r.steps.is_empty());
    let alone = !stable_is_there && (without_steps || d.is_broken(stable) || d.patience(c).is_zero());
    let decided = d.decided_promotion(c);
    if (alone || decided) && d.world().available(&c.revision) > 0 {
        return take_over(d, stable, c);
    }
    if stable_is_there && without_steps {
        // It came back meanwhile: now there is something to compare with.
        d.status.resolved = ramp::planned(&d.input.spec.rollout).map(|steps| resolved(d, steps));
    }
    shadow::instead(d);
    let first_weight = d.steps().first().map_or(ramp::FIRST_RUNG_UNKNOWN, Step::load);
    let room = d.room();
    // Without traffic the stable version keeps all its pods, and so this is all that there may be of the candidate.
    let most = room.most(room.serving());
    let low = match c.takes_over {
        Some(_) => room.serving().min(most),
        None => room.pair(first_weight).candidate.min(most),
    };
    let high = d.surplus(stable, c, low);
    let found = d.ensure(&c.revision, &c.spec, c.slot, low, high).cloned();
    let Some(found) = found else {
        d.all_to(stable);
        return d.report(Reason::CandidateStarting, waiting::starts(c));
    };
    if found.available < low {
        return not_yet(d, stable, c);
    }
    waiting::over(d);
    if !stable_is_there {
        return nothing_to_compare_with(d, stable, c);
    }
    first_weight_for(d, stable, c);
}

/// What crashes before it had any traffic never gets any. `true`: it crashed.
pub(super) fn if_crashing(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) -> bool {
    let Some(Crashed { restarts, message }) = d.crash_loop(&c.revision) else { return false };
    let traffic = if c.weights.iter().any(WeightRecord::has_requests) {
        "lost its traffic"
    } else {
        "never had traffic"
    };
    let message = format!("its container crashed {restarts} times and {traffic}: {message}");
    reject(d, stable, c, Reason::CrashLoop, message);
    true
}

/// Whether this revision is among the last that served, as far back as `rollout.rollbackWindow` says, and was not
/// refused since.
pub(super) fn served_before(d: &Draft<'_>, revision: &str) -> bool {
    let window = usize::try_from(d.input.spec.rollout.rollback_window).unwrap_or(0);
    let stable = d.status.stable.as_ref().map(|s| s.revision.as_str());
    let (mut served, mut refused) = (Vec::new(), Vec::new());
    for entry in &d.status.history {
        let id = entry.revision.as_str();
        match entry.outcome {
            _ if Some(id) == stable || served.contains(&id) => {}
            Outcome::Promoted | Outcome::Deployed if !refused.contains(&id) => served.push(id),
            Outcome::RolledBack => refused.push(id),
            Outcome::Promoted | Outcome::Deployed | Outcome::Superseded => {}
        }
    }
    served.into_iter().take(window).any(|id| id == revision)
}

/// Not available (any more): it has its time, and is given up after it.
pub(super) fn not_yet(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) {
    // It was available and only waited for Prometheus: what it lacks now it lacks since now (a drained node, more pods
    // asked for), and its time begins again.
    if d.status.verdict == Some(Verdict::ProviderError) {
        d.status.verdict = None;
        restart_clock(d);
    }
    let c = &waiting::follow(d, c);
    let delay = Delay::of(d, c, Reason::CandidateStarting);
    if delay.left.is_zero() {
        if delay.reason == Reason::Unschedulable && pods::make_room(d, stable, c) {
            d.all_to(stable);
            return;
        }
        let (reason, message) = delay.given_up(d);
        return reject(d, stable, c, reason, message);
    }
    d.look_again(delay.left);
    d.all_to(stable);
    d.report(delay.reason, delay.headline());
}

/// Scaled to zero before its verdict: nothing is decided while nothing can be seen.
pub(super) fn asleep(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) {
    d.ensure(&c.revision, &c.spec, c.slot, 0, 0);
    waiting::over(d);
    if d.all_to(stable) && c.phase != Phase::Starting {
        d.decisive = true;
        d.back_to_start();
    }
    d.report(
        Reason::CandidateStarting,
        format!("replicas is 0: {} waits until something serves again", c.version),
    );
}

/// Pods are asked for again. The time to become available runs from here, which is recorded before the pods are: after
/// a restart it could no longer be told. `true`: not yet.
pub(super) fn wake(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) -> bool {
    if d.now() - c.started_at <= Span::seconds(WAKING_SECONDS) {
        return false;
    }
    d.all_to(stable);
    restart_clock(d);
    d.report(Reason::CandidateStarting, waiting::starts(c));
    d.look_again(Duration::from_millis(50));
    true
}

/// Within so many seconds a recorded start counts as now. Below the least deadline.
const WAKING_SECONDS: i64 = 5;

fn restart_clock(d: &mut Draft<'_>) {
    let now = d.now();
    if let Some(candidate) = &mut d.status.candidate {
        waiting::begin_anew(candidate, now);
    }
}

/// The stable version has lost its pods meanwhile. They have their time to come back.
fn nothing_to_compare_with(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) {
    d.look_again(d.patience(c));
    d.all_to(stable);
    let message =
        format!("{} waits until {} has an available pod to compare with", c.version, stable.version);
    d.report(Reason::StableUnavailable, message);
}

/// The stable version is broken and this one is available: as with the first revision there is nothing to compare with
/// and nothing to protect. A repair must not wait for the health of what it repairs.
pub(super) fn take_over(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) {
    d.decisive = true;
    let room = d.room();
    let pods = d.replicas.min(room.most(room.serving()));
    d.ensure(&c.revision, &c.spec, c.slot, pods, d.replicas);
    let journal = Journal::of(&c.revision, Entry::Promote);
    if d.weights(Weights::to(c.slot, 100), journal) {
        canary::become_stable(d, c, Outcome::Deployed);
        let message =
            format!("{} serves, without a canary: {} had no available pod", c.version, stable.version);
        d.note(true, Reason::StableUnavailable, "Deployed", message);
    } else {
        let message =
            format!("{} takes over: {} has no available pod to compare with", c.version, stable.version);
        d.report(Reason::StableUnavailable, message);
    }
}

/// Available: the first step may begin, if the metrics can be read at all. A canary that nobody watches is only harm.
fn first_weight_for(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) {
    if d.steps().first().is_some_and(|first| first.load() == 0) {
        return preview(d, stable, c);
    }
    let journaled = d.world().traffic.as_ref().filter(|t| {
        t.journal.as_ref().is_some_and(|j| j.revision == c.revision && j.entry == Entry::Step(1))
    });
    let first = match (d.input.reading, journaled.as_ref()) {
        (_, Some(t)) => t.weights.of(c.slot),
        (Reading::Baseline { first_rung, .. }, None) => *first_rung,
        (Reading::Unavailable(why), None) => {
            d.all_to(stable);
            d.status.verdict = Some(Verdict::ProviderError);
            d.look_again_at_next_tick();
            report::metrics(&mut d.status, d.input, Err(Unread::Unavailable(why)));
            // What exactly went wrong stands in MetricsAvailable, once: the text may differ at each attempt.
            let message = format!("{} is ready but gets no traffic: Prometheus cannot be asked", c.version);
            return d.report(Reason::MetricsUnavailable, message);
        }
        (Reading::Judged(_) | Reading::NotAsked, None) => {
            // It became available after the measurement was planned: ask again at once.
            d.all_to(stable);
            d.look_again(Duration::from_millis(50));
            return d.report(
                Reason::CandidateStarting,
                format!("{} starts; {} serves", c.version, stable.version),
            );
        }
    };
    if d.input.spec.rollout.paused && journaled.is_none() {
        d.all_to(stable);
        let message = format!("{} is ready; rollout.paused holds it before its first step", c.version);
        return d.report(Reason::Paused, message);
    }
    if let Reading::Baseline { missing, .. } = d.input.reading {
        let read = missing.as_deref().map_or(Ok(()), |which| Err(Unread::Missing(which)));
        report::metrics(&mut d.status, d.input, read);
    }
    let recorded = d.steps();
    let steps = if recorded.is_empty() { ramp::steps(&d.input.spec.rollout, first) } else { recorded };
    d.status.resolved = Some(resolved(d, steps.clone()));
    canary::enter_step(d, stable, c, &steps, 1);
}

/// All its pods are there, and nobody but testers asks them. There is nothing to measure beforehand.
fn preview(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) {
    if d.input.spec.rollout.paused {
        d.all_to(stable);
        let message = format!("{} is ready; rollout.paused holds it before its preview", c.version);
        return d.report(Reason::Paused, message);
    }
    // Testers' requests are traffic: what gets them is recorded first, or nobody would know whose pods these are.
    if d.input.status.candidate.as_ref().is_none_or(|known| known.revision != c.revision) {
        d.all_to(stable);
        d.look_again(Duration::from_millis(50));
        let message = format!("{} starts; {} serves", c.version, stable.version);
        return d.report(Reason::CandidateStarting, message);
    }
    let steps = d.steps();
    canary::enter_step(d, stable, c, &steps, 1);
}

/// The stable version is scaled to zero: there is no traffic to try anything on, and none to lose.
fn nothing_serves(d: &mut Draft<'_>, c: &Candidate) {
    if d.ensure(&c.revision, &c.spec, c.slot, 0, 0).is_none() {
        return d
            .report(Reason::CandidateStarting, "replicas is 0: the new version takes over without a canary");
    }
    let journal = Journal::of(&c.revision, Entry::Promote);
    if d.weights(Weights::to(c.slot, 100), journal) {
        d.decisive = true;
        canary::become_stable(d, c, Outcome::Deployed);
    } else {
        d.report(Reason::Promoting, format!("{} takes over without a canary: replicas is 0", c.version));
    }
}

/// Rejected before it had any traffic: no weight to take away, so one status write ends it.
fn reject(d: &mut Draft<'_>, stable: &Stable, c: &Candidate, reason: Reason, message: String) {
    if d.recreates(c) || c.fits.is_some() {
        // Its pods make room for the stable version's, and with them goes what speaks against it: recorded first.
        return retreat::begin(d, stable, c, reason, message, true);
    }
    if !d.all_to(stable) {
        return d.report(Reason::RollingBack, message);
    }
    d.decisive = true;
    d.end(c, Outcome::RolledBack, Some((reason, message)));
    if let Some(failed) = d.status.last_failed.clone() {
        super::steady::keep_rejected(d, stable, &failed);
    }
}
