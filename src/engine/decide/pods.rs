//! How many pods each version has. The candidate's are asked for where a decision needs them; the stable version's follow from
//! that at the end of each plan, as what it gives up is never more than its traffic allows.

use std::time::Duration;

use serin_api::{
    Candidate, Pace, Phase, Reason, Stable, Step, TrafficMode, WaitingReason, WeightRecord, WhenUnschedulable,
};

use super::{Draft, waiting};
use crate::{
    plan::{Entry, Journal, Weights, Write},
    room::{Next, Room},
    world::{ObservedDeployment, PodTrouble},
};

impl<'a> Draft<'a> {
    /// The bounds of the present rollout. What was seen to fit counts once it is recorded.
    pub(super) fn room(&self) -> Room {
        let tried = self.status.candidate.as_ref().map(|c| &c.revision);
        let known = self.input.status.candidate.as_ref().filter(|known| Some(&known.revision) == tried);
        Room::of(self.mode, &self.input.spec.rollout, self.replicas, known.and_then(|c| c.fits))
    }

    /// Ensures that a revision's Deployment is there, with a number of pods between `low` and `high`.
    /// `None` while it has to be made or is on its way out.
    pub(super) fn ensure(
        &mut self,
        revision: &str,
        spec: &serin_api::RevisionSpec,
        slot: serin_api::Slot,
        low: i32,
        high: i32,
    ) -> Option<&'a ObservedDeployment> {
        let Some(found) = self.input.world.of(revision) else {
            self.writes.push(Write::CreateDeployment {
                revision: revision.to_owned(),
                spec: Box::new(spec.clone()),
                slot,
                replicas: low,
            });
            return None;
        };
        if found.deleting {
            self.look_again(Duration::from_secs(1));
            return None;
        }
        if found.replicas < low || found.replicas > high {
            let replicas = if found.replicas < low { low } else { high };
            self.writes.push(Write::Scale { name: found.name.clone(), uid: found.uid.clone(), replicas });
        }
        Some(found)
    }

    /// The stable version's pods, in every phase: settled at the end of the plan.
    pub(super) fn keep_stable(&mut self) {
        self.keeps_stable = true;
    }

    /// A rollout takes none of the stable version's pods away, unless it was told to have no second set, or no more than so
    /// many of both.
    pub(super) fn settle_stable(&mut self) {
        let present = self.input.status.stable.as_ref();
        let Some(s) = self.status.stable.clone().filter(|s| self.keeps_stable && present == Some(s)) else {
            return;
        };
        let replicas = self.stable_pods(&s);
        let before = self.writes.len();
        self.ensure(&s.revision, &s.spec, s.slot, replicas, replicas);
        if self.writes.len() > before
            && let Some(write) = self.writes.pop()
        {
            // Both together are never more than they may be: who goes goes first.
            let grows = self.world().of(&s.revision).is_none_or(|found| found.replicas < replicas);
            let scaled = self.writes.iter().rposition(|write| matches!(write, Write::Scale { .. }));
            let at = scaled.filter(|_| grows).map_or(0, |last| last + 1);
            self.writes.insert(at, write);
        }
    }

    fn stable_pods(&self, s: &Stable) -> i32 {
        // By what is recorded: what this plan leads to may never be.
        if self.input.status.candidate.as_ref().is_some_and(|c| self.makes_room_for(c)) {
            return 0;
        }
        let room = self.room();
        let Some(c) = &self.status.candidate else { return self.replicas };
        if self.replicas == 0 || !room.is_bounded() {
            return self.replicas;
        }
        // On the way back what was seen to fit does not count: a pod that has to wait has its place as soon as there is one.
        let room = if c.phase == Phase::Retreating {
            Room::of(self.mode, &self.input.spec.rollout, self.replicas, None)
        } else {
            room
        };
        let most = room.beside(self.others(s));
        // What carries its traffic stays; but nothing is asked for beyond the bound.
        let kept = self.kept(s, c).min(self.replicas).min(self.asked(&s.revision));
        self.stable_goal.map_or(most, |goal| goal.min(most)).clamp(kept, self.replicas)
    }

    /// Pods that are asked for of a revision.
    pub(super) fn asked(&self, revision: &str) -> i32 {
        self.world().of(revision).map_or(0, |found| found.replicas)
    }

    /// Pods of all other revisions, once this plan is carried out.
    fn others(&self, s: &Stable) -> i32 {
        let planned = |d: &ObservedDeployment| {
            self.writes.iter().rev().find_map(|write| match write {
                Write::Scale { uid, replicas, .. } if *uid == d.uid => Some(*replicas),
                Write::DeleteDeployment { uid, .. } if *uid == d.uid => Some(0),
                _ => None,
            })
        };
        let found = self.world().deployments.iter().filter(|d| d.revision != s.revision && !d.deleting);
        let found: i32 = found.map(|d| planned(d).unwrap_or(d.replicas)).sum();
        let made = self.writes.iter().map(|write| match write {
            Write::CreateDeployment { revision, replicas, .. } if *revision != s.revision => *replicas,
            _ => 0,
        });
        found + made.sum::<i32>()
    }

    /// Pods that the stable version cannot give up now: those that carry its traffic, by any word about it. What was
    /// confirmed last is in the status, what is written in the route, and what this plan writes comes after it.
    pub(super) fn kept(&self, s: &Stable, c: &Candidate) -> i32 {
        let room = self.room();
        let written = self.world().traffic.as_ref().map(|t| t.weights);
        let planned = self.writes.iter().filter_map(|write| match write {
            Write::SetWeights { weights, .. } | Write::PatchWeights { weights, .. } => Some(*weights),
            _ => None,
        });
        let words: Vec<Weights> = written.into_iter().chain(planned).collect();
        let recorded = self.input.status.candidate.as_ref().filter(|known| known.revision == c.revision);
        match self.mode {
            TrafficMode::Gateway => {
                let shares = words.iter().map(|weights| weights.of(s.slot));
                let share = shares.chain([100 - recorded.map_or(0, |known| known.weight)]).max();
                room.needs(share.unwrap_or(100))
            }
            TrafficMode::ReplicaRatio => {
                let serves = !words.is_empty() && words.iter().all(|weights| weights.of(c.slot) > 0);
                let others = if serves { self.world().available(&c.revision) } else { 0 };
                // By its last pod it is known where the traffic goes back to.
                (room.serving() - others).max(1)
            }
        }
    }

    /// The most pods that a candidate may have where `low` are needed. By replica ratio each pod is traffic.
    pub(super) fn surplus(&self, s: &Stable, c: &Candidate, low: i32) -> i32 {
        match self.mode {
            TrafficMode::Gateway => {
                let room = self.room();
                self.replicas.min(room.most(self.kept(s, c))).max(low)
            }
            TrafficMode::ReplicaRatio => low,
        }
    }

    /// What the candidate may have next on its way from its recorded weight to that of a step.
    pub(super) fn next(&self, s: &Stable, c: &Candidate, step: &Step) -> Next {
        let (room, weight) = (self.room(), step.weight);
        let pair = room.pair(step.load());
        if weight == 0 {
            // It answers nobody, and so nothing is given up for it: it has what there is.
            return Next { pods: pair.candidate.min(room.most(self.kept(s, c))), weight };
        }
        let kept = self.kept(s, c);
        // What is not there yet takes nobody's place.
        let most = room.most(kept.min(self.asked(&s.revision)));
        if c.weight >= weight && c.weight > 0 {
            return Next { pods: pair.candidate.min(most), weight };
        }
        let next = match self.mode {
            TrafficMode::Gateway => room.next(weight, kept),
            TrafficMode::ReplicaRatio => room.next(weight, kept.max(pair.stable)),
        };
        // Whatever somebody did to the route: it goes upwards.
        let carrying = if self.mode == TrafficMode::Gateway { room.needs(c.weight) } else { 0 };
        Next { pods: next.pods.max(carrying.min(most)), weight: next.weight.max(c.weight) }
    }

    /// The pods of the stable version that belong to so many of the candidate's at this weight: by replica ratio they are
    /// the weight.
    pub(super) fn aim_at(&mut self, weight: i32, candidate: i32) {
        let pair = self.room().pair(weight);
        let there = self.mode == TrafficMode::ReplicaRatio && candidate == pair.candidate;
        self.stable_goal = there.then_some(pair.stable);
    }

    /// A weight between two steps that was confirmed, or the one that was aimed at.
    pub(super) fn record_weight(&mut self, weight: i32, there: bool) {
        let now = self.now();
        if let Some(candidate) = &mut self.status.candidate
            && candidate.weight != weight
        {
            candidate.weight = weight;
            candidate.since = there.then_some(now);
            candidate.weights.push(WeightRecord { weight, mirror_percent: 0, at: now });
        }
    }

    /// Whether this decision was written with all its weight.
    pub(super) fn decided_promotion(&self, c: &Candidate) -> bool {
        let under_way = self.world().traffic.as_ref().and_then(|t| t.journal.as_ref()?.on_the_way).is_some();
        self.journal_of(c) == Some(Entry::Promote) && !under_way
    }
}

/// A candidate with traffic has fewer pods than it needs. Where the stable version makes room, the time counts until it does.
pub(super) fn lacking(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) {
    if d.input.spec.rollout.when_unschedulable != WhenUnschedulable::MakeRoom {
        // It did until the spec was changed.
        if c.phase == Phase::Canary && c.waiting.is_some() {
            waiting::over(d);
        }
        return;
    }
    let c = waiting::follow_node(d, c);
    if c.waiting.is_some_and(|waiting| waiting.reason == WaitingReason::Unschedulable) {
        let left = waiting::until(waiting::deadline(&d.input.spec.rollout, &c).at, d.now());
        if left.is_zero() {
            make_room(d, stable, &c);
        } else {
            d.look_again(left);
        }
    }
}

/// How many pods fit where the stable version gives up what is missing, if it may and if that would help.
pub(super) fn room_to_make(d: &Draft<'_>, c: &Candidate) -> Option<i32> {
    let rollout = &d.input.spec.rollout;
    let found = |revision: &str| d.world().of(revision).filter(|found| !found.deleting);
    let (s, tried) = (found(&d.status.stable.as_ref()?.revision)?, found(&c.revision)?);
    let full = tried.trouble.as_ref().is_some_and(PodTrouble::lacks_room);
    if rollout.when_unschedulable != WhenUnschedulable::MakeRoom || !full || d.replicas == 0 {
        return None;
    }
    let seen = s.replicas + tried.replicas - s.unscheduled - tried.unscheduled.max(1);
    d.room().shrunk_to(rollout, seen)
}

/// The stable version gives up what is missing, if it may. `true`: it does. Recorded before it is done: the pods that go do
/// not say later why.
pub(super) fn make_room(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) -> bool {
    let Some(fits) = room_to_make(d, c) else { return false };
    let now = d.now();
    if let Some(candidate) = &mut d.status.candidate {
        candidate.fits = Some(fits);
        waiting::begin_anew(candidate, now);
    }
    d.decisive = true;
    let message =
        format!("no node has room for pods of {}: {} gives up pods for it", c.version, stable.version);
    d.note(true, Reason::Unschedulable, format!("Room{fits}"), message.clone());
    d.report(Reason::Unschedulable, message);
    d.look_again(Duration::from_millis(50));
    true
}

/// One that goes back has no more than it could have got: the stable version's first pod has its place, too.
pub(super) fn leave_a_place(d: &mut Draft<'_>, c: &Candidate) {
    let room = d.room();
    if room.is_bounded() && d.world().of(&c.revision).is_some_and(|found| !found.deleting) {
        d.ensure(&c.revision, &c.spec, c.slot, 0, room.total() - 1);
    }
}

/// The weight goes back as the stable version's pods come back. `true`: there is nothing left to wait for.
pub(super) fn give_back(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) -> bool {
    let pace = c.retreat.as_ref().map_or(Pace::AtOnce, |retreat| retreat.pace);
    let share = d.world().traffic.as_ref().map_or(0, |t| t.weights.of(c.slot));
    let patience = i64::from(d.input.spec.rollout.progress_deadline_seconds);
    let until = c.since.map(|since| since + chrono::Duration::seconds(patience));
    let left = until.map_or(Duration::ZERO, |until| waiting::until(until, d.now()));
    let gone = d.world().available(&c.revision) == 0;
    if pace == Pace::AtOnce || share <= 0 || gone || left.is_zero() {
        return true;
    }
    let room = d.room();
    let available = d.world().available(&stable.revision);
    let weight = match d.mode {
        TrafficMode::Gateway => (100 - room.carries(available)).min(share),
        // Its pods go one for one; the last ones with the Service's selector.
        TrafficMode::ReplicaRatio if available >= room.serving() => 0,
        TrafficMode::ReplicaRatio => share,
    };
    if weight <= 0 {
        return true;
    }
    d.look_again(left);
    let needed = match d.mode {
        TrafficMode::Gateway => room.needs(weight.max(share).max(c.weight)),
        TrafficMode::ReplicaRatio => room.serving() - available,
    };
    d.ensure(&c.revision, &c.spec, c.slot, 0, needed.max(1));
    let journal = Journal::toward(&stable.revision, Entry::Stable, weight);
    if d.weights(Weights::to(c.slot, weight), journal) {
        d.record_weight(weight, true);
    }
    false
}
