//! No second set of pods: the stable version's go first, and come back if the candidate's never serve.

use serin_api::{Candidate, Outcome, Phase, Reason, Stable, Strategy};

use super::{Draft, canary, start};
use crate::plan::{Entry, Journal, Weights};

impl Draft<'_> {
    /// Whether this candidate takes the place of the stable version's pods. Not on its way back: then the stable
    /// version has its pods. Nor if it has a share of the traffic already, by the strategy that the spec had before.
    pub(super) fn recreates(&self, c: &Candidate) -> bool {
        let share = self.world().traffic.as_ref().map_or(0, |t| t.weights.of(c.slot));
        let wanted = self.target().is_some_and(|target| target.id == c.revision);
        self.input.spec.rollout.strategy == Strategy::Recreate
            && c.phase == Phase::Starting
            && wanted
            && (share == 0 || self.decided_promotion(c))
            && self.input.revoked(c).is_none()
            && self.replicas > 0
    }

    /// Whether the stable version's pods go for it.
    pub(super) fn makes_room_for(&self, c: &Candidate) -> bool {
        self.recreates(c) && !self.is_held(c)
    }

    /// `rollout.paused` before anything was begun; later, a pause would only lengthen the outage.
    fn is_held(&self, c: &Candidate) -> bool {
        self.input.spec.rollout.paused && self.world().of(&c.revision).is_none()
    }
}

/// A candidate on its way. `keep_stable` takes the other pods away.
pub(super) fn go_on(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) {
    if d.is_held(c) {
        d.all_to(stable);
        let message = format!("rollout.paused holds {} before {} goes", c.version, stable.version);
        return d.report(Reason::Paused, message);
    }
    // As many as serve until now, which soon is nobody. With all the traffic already, by the strategy of before, that is given
    // to nobody else: the stable version's pods go in this very plan.
    let serving = if d.decided_promotion(c) { 1 } else { d.world().available(&stable.revision).max(1) };
    let enough = d.replicas.min(serving);
    if d.world().available(&c.revision) >= enough {
        return take_over(d, stable, c);
    }
    if start::if_crashing(d, stable, c) {
        return;
    }
    let found = d.world().of(&c.revision);
    // After a pause its time begins anew.
    if found.is_none() && start::wake(d, stable, c) {
        return;
    }
    let has_left = d.world().of(&stable.revision).is_none_or(|found| found.replicas == 0);
    if has_left || found.is_some() {
        d.ensure(&c.revision, &c.spec, c.slot, d.replicas, d.replicas);
    }
    start::not_yet(d, stable, c);
}

/// It has as many pods as there are of the stable version.
fn take_over(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) {
    d.decisive = true;
    d.ensure(&c.revision, &c.spec, c.slot, d.replicas, d.replicas);
    let journal = Journal::of(&c.revision, Entry::Promote);
    let message = format!("{} serves in the place of {}", c.version, stable.version);
    if d.weights(Weights::to(c.slot, 100), journal) {
        canary::become_stable(d, c, Outcome::Deployed);
        d.note(false, Reason::Complete, "Deployed", message);
    } else {
        d.report(Reason::Promoting, message);
    }
}

/// There is no room for both: a candidate on its way out leaves it to the stable version, as far as that needs it. Not while
/// it has traffic.
pub(super) fn make_room(d: &mut Draft<'_>, c: &Candidate) {
    let traffic = d.world().traffic.as_ref();
    let idle = traffic.is_none_or(|t| !t.weights.reaches(c.slot));
    let confirmed = traffic.is_none_or(|t| t.confirmed);
    let there = d.world().of(&c.revision).is_some_and(|found| !found.deleting);
    let room = d.room();
    let most = match d.input.spec.rollout.strategy {
        Strategy::Recreate => 0,
        _ if !confirmed => return,
        _ if c.fits.is_some() => 0,
        _ if room.is_bounded() => room.most(d.replicas),
        _ => return,
    };
    if idle && there {
        d.ensure(&c.revision, &c.spec, c.slot, 0, most);
    }
}
