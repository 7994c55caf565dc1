//! A plan in the making: what the state machine's files write on, and the moves that they share.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serin_api::{
    Candidate, HistoryEntry, LastFailed, ModelDeploymentStatus, Outcome, Reason, Stable, Step, TrafficMode,
    Trial, Verdict, WeightRecord, conditions,
};

use super::{Input, channel, hand, waiting};
use crate::{
    plan::{Entry, Journal, Mirror, Note, Plan, Weights, Write},
    report,
    revision::Revision,
    world::{ObservedBudget, World},
};

/// A definition that is replaced tells nobody.
const SESSIONS: Duration = Duration::from_secs(30);

/// Number of outcomes kept.
const HISTORY: usize = 10;

/// A plan in the making.
pub(super) struct Draft<'a> {
    pub(super) input: &'a Input<'a>,
    /// What the spec asks for; what serves, while that cannot be said.
    target: Option<Revision>,
    pub(super) mode: TrafficMode,
    /// `spec.replicas`.
    pub(super) replicas: i32,
    pub(super) status: ModelDeploymentStatus,
    pub(super) writes: Vec<Write>,
    pub(super) notes: Vec<Note>,
    pub(super) headline: Option<(Reason, String)>,
    /// Whether the headline is about something that nothing but a change from outside will end.
    stuck: bool,
    /// Somebody else sets the weights of the user's route back.
    pub(super) contested: Option<String>,
    pub(super) recheck: Option<Duration>,
    pub(super) decisive: bool,
    /// Whether the stable version's pods are looked after.
    pub(super) keeps_stable: bool,
    /// How many it should have, if not as many as there may be.
    pub(super) stable_goal: Option<i32>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(input: &'a Input<'a>) -> Self {
        Self {
            input,
            target: None,
            mode: input.mode(),
            replicas: input.spec.replicas,
            status: input.status.clone(),
            writes: Vec::new(),
            notes: Vec::new(),
            headline: None,
            stuck: false,
            contested: None,
            recheck: None,
            decisive: false,
            keeps_stable: false,
            stable_goal: None,
        }
    }

    /// From here on this is what the spec asks for.
    pub(super) fn aim(&mut self, target: &Revision) {
        self.target = Some(target.clone());
    }
    /// Whether the spec asks for this revision.
    pub(super) fn target(&self) -> Option<&Revision> {
        self.target.as_ref()
    }
    pub(super) fn world(&self) -> &'a World {
        self.input.world
    }
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.input.now
    }

    /// Sets the headline: reason and message of `Progressing` and its companions. The last one counts, and goes into
    /// the conditions once, at the end: to and fro within one look would be a new transition time, and so a write, at
    /// each look.
    pub(super) fn report(&mut self, reason: Reason, message: impl Into<String>) {
        self.headline = Some((reason, message.into()));
        self.stuck = false;
    }

    /// The same where it goes on only if something changes outside: an Event says so, once.
    pub(super) fn report_stuck(&mut self, reason: Reason, message: String) {
        let said = conditions::get(&self.input.status.conditions, conditions::Type::Stalled);
        if said.is_none_or(|s| s.status != "True" || s.reason != reason.as_str()) {
            self.note(true, reason, "Stuck", message.clone());
        }
        self.report(reason, message);
        self.stuck = true;
    }

    /// An Event to come. The recorder takes two of the same action for one and repeats the first one's words, hence
    /// the revision in it.
    pub(super) fn note(
        &mut self,
        warning: bool,
        reason: Reason,
        action: impl Into<String>,
        message: impl Into<String>,
    ) {
        let about = self.target.as_ref().map_or("-", |target| &target.id);
        let action = format!("{}/{about}", action.into());
        self.notes.push(Note { warning, reason, action, message: message.into() });
    }

    /// Looks again after this long; the earliest wish wins.
    pub(super) fn look_again(&mut self, after: Duration) {
        self.recheck = Some(self.recheck.map_or(after, |r| r.min(after)));
    }

    /// Looks again at the next block of evidence.
    pub(super) fn look_again_at_next_tick(&mut self) {
        let seconds = u64::try_from(self.input.spec.rollout.analysis.interval_seconds).unwrap_or(15);
        self.look_again(Duration::from_secs(seconds.max(1)));
    }

    pub(super) fn stalled(mut self, reason: Reason, message: String) -> Plan {
        self.writes.clear();
        self.keeps_stable = false;
        self.report(reason, message);
        self.done(None)
    }

    pub(super) fn done(mut self, recheck: Option<Duration>) -> Plan {
        if let Some(r) = recheck {
            self.look_again(r);
        }
        self.settle_stable();
        // Names that a stranger may bear are tried first: if one is taken, no pod was started for nothing.
        self.writes.sort_by_key(|w| match w {
            Write::CreateSlotService(_) | Write::SetBudget { uid: None, .. } => 0,
            Write::SetWeights { uid: None, .. } => 1,
            // Nobody waits for a record to get their traffic back.
            Write::SetBar { .. } => 3,
            _ => 2,
        });
        self.settle_headline();
        report::finish(&mut self.status, self.input);
        if conditions::get(&self.status.conditions, conditions::Type::SessionsKept)
            .is_some_and(|c| c.status != "True")
        {
            self.look_again(SESSIONS);
        }
        let held = match self.status.verdict {
            Some(Verdict::NoData) => Some(Reason::NoData),
            Some(Verdict::ProviderError) => Some(Reason::MetricsUnavailable),
            Some(Verdict::Inconclusive) => Some(Reason::TrafficMismatch),
            _ => None,
        };
        if let Some(reason) = held.filter(|_| self.status.verdict != self.input.status.verdict) {
            let message = report::progress_message(&self.status);
            self.note(true, reason, "Hold", message);
        }
        let revoked = |status: &ModelDeploymentStatus| {
            conditions::is_true(&status.conditions, conditions::Type::Revoked)
        };
        if revoked(&self.status) && !revoked(self.input.status) {
            let message = conditions::get(&self.status.conditions, conditions::Type::Revoked);
            let message = message.map(|c| c.message.clone()).unwrap_or_default();
            self.note(true, Reason::VersionRevoked, "Revoked", message);
        }
        Plan {
            writes: self.writes,
            status: self.status,
            notes: self.notes,
            recheck: self.recheck,
            decisive: self.decisive,
        }
    }

    pub(super) fn settle_headline(&mut self) {
        let refused = self.world().traffic.as_ref().and_then(|t| t.refused.clone());
        let refused = refused.filter(|_| self.mode == TrafficMode::Gateway);
        let headline = match (self.headline.take(), refused) {
            // What the user has to change comes first.
            (Some(wrong @ (reason, _)), _) if report::is_for_the_user(reason) => Some(wrong),
            _ if self.contested.is_some() => {
                self.contested.take().map(|message| (Reason::TrafficMismatch, message))
            }
            (_, Some(why)) => {
                Some((Reason::RouteNotAccepted, format!("the gateway refuses the route: {why}")))
            }
            (Some(headline), None) => Some(headline),
            (None, None) if report::is_working(&self.status, self.input.generation) => None,
            (None, None) => {
                Some((Reason::WeightPending, "weights were written, waiting for the gateway".to_owned()))
            }
        };
        if let Some((reason, message)) = headline {
            report::headline(&mut self.status, self.input, reason, &message, self.stuck);
        }
    }

    /// How many pods a drain of nodes may take, as the spec says now: it belongs to no revision.
    pub(super) fn keep_budget(&mut self) {
        let wanted = self.input.spec.availability.max_unavailable.clone();
        match (wanted, &self.world().budget) {
            (_, Some(found)) if found.deleting => self.look_again(Duration::from_secs(1)),
            (Some(max_unavailable), None) => {
                self.writes.push(Write::SetBudget { uid: None, max_unavailable });
            }
            // Somebody has made a `minAvailable` of it. Both together are refused, and theirs is not ours to remove.
            (Some(_), Some(ObservedBudget { uid, max_unavailable: None, .. }))
            | (None, Some(ObservedBudget { uid, .. })) => {
                self.writes.push(Write::DeleteBudget { uid: uid.clone() });
            }
            (Some(wanted), Some(ObservedBudget { uid, max_unavailable: Some(found), .. })) => {
                if wanted != *found {
                    let uid = Some(uid.clone());
                    self.writes.push(Write::SetBudget { uid, max_unavailable: wanted });
                }
            }
            (None, None) => {}
        }
    }

    /// Ensures weights. `true` once they are in force and confirmed.
    pub(super) fn weights(&mut self, weights: Weights, journal: Journal) -> bool {
        if self.mode == TrafficMode::Gateway {
            self.keep_slot_services();
        }
        match &self.world().traffic {
            None => {
                self.writes.push(Write::SetWeights { uid: None, weights, journal });
                false
            }
            Some(t) if t.weights == weights && t.intact => t.confirmed,
            Some(t) if t.place.is_some() => {
                self.patch_weights(t, weights, journal);
                false
            }
            Some(t) => {
                self.say_if_edited(t, weights, &journal);
                self.writes.push(Write::SetWeights { uid: Some(t.uid.clone()), weights, journal });
                false
            }
        }
    }

    /// All traffic to the stable version; `true` once confirmed.
    pub(super) fn all_to(&mut self, stable: &Stable) -> bool {
        !self.starves(stable, Weights::to(stable.slot, 100)) && self.all_back_to(stable)
    }

    /// The weight of a step, and with it the testers and the copies.
    pub(super) fn step_weights(&self, c: &Candidate, step: &Step) -> Weights {
        let testers = self.input.spec.traffic.gateway.as_ref().and_then(|gateway| gateway.testers.as_ref());
        let percent = step.mirror_percent;
        let mirror = (percent > 0).then_some(Mirror { to: c.slot, percent });
        Weights { testers: testers.map(|_| c.slot), mirror, ..Weights::to(c.slot, step.weight) }
    }

    /// The weight of a step, as it should be already; not if it would go to nothing.
    pub(super) fn assert_step(&mut self, stable: &Stable, c: &Candidate, step: &Step) {
        let weights = self.step_weights(c, step);
        let more = self.world().traffic.as_ref().is_none_or(|t| {
            let copies = weights.mirror.is_some() && t.weights.mirror != weights.mirror;
            let first = !t.weights.reaches(c.slot) && weights.reaches(c.slot);
            t.weights.of(c.slot) < step.weight || first || copies
        });
        let to_nothing = more && self.world().available(&c.revision) == 0;
        if !to_nothing && !self.starves(stable, weights) {
            let journal = match c.step_index {
                // Promoted by hand before its first step.
                0 => Journal::toward(&c.revision, Entry::Promote, step.weight),
                n => Journal::of(&c.revision, Entry::Step(n)),
            };
            self.weights(weights, journal);
        }
    }

    /// Whether these weights take traffic from a candidate that is available to a stable version that is not.
    pub(super) fn starves(&self, stable: &Stable, weights: Weights) -> bool {
        let candidate = self.status.candidate.as_ref();
        self.replicas > 0
            && candidate.is_some_and(|c| self.world().available(&c.revision) > 0)
            && self.world().available(&stable.revision) == 0
            && self
                .world()
                .traffic
                .as_ref()
                .is_some_and(|t| t.weights.of(stable.slot) < weights.of(stable.slot))
    }

    /// The same, whatever is available.
    pub(super) fn all_back_to(&mut self, stable: &Stable) -> bool {
        let journal = Journal::of(&stable.revision, Entry::Stable);
        self.weights(Weights::to(stable.slot, 100), journal)
    }

    /// Ends a candidate's life in the status.
    pub(super) fn end(&mut self, c: &Candidate, outcome: Outcome, failed: Option<(Reason, String)>) {
        self.status.candidate = None;
        self.status.resolved = None;
        let at = self.now();
        // What it stood beside: by now the pointer may have moved.
        let beside = self.input.status.stable.as_ref();
        let from = c.analysis_from.or(c.weights.first().map(|first| first.at));
        let trial = beside.zip(from).map(|(stable, from)| Trial {
            against: stable.revision.clone(),
            from,
            weights: c.weights.clone(),
        });
        let entry = HistoryEntry {
            revision: c.revision.clone(),
            version: c.version.clone(),
            digest: c.digest.clone(),
            outcome,
            at,
            trial,
        };
        self.status.history.insert(0, entry);
        self.status.history.truncate(HISTORY);
        match outcome {
            Outcome::RolledBack => self.status.verdict = Some(Verdict::RolledBack),
            Outcome::Promoted => self.status.verdict = Some(Verdict::Promoted),
            Outcome::Deployed | Outcome::Superseded => self.status.verdict = None,
        }
        if let Some((reason, message)) = failed {
            channel::bar(self, c, reason);
            self.note(true, reason, "RolledBack", format!("{} rolled back: {message}", c.version));
            self.status.last_failed = Some(LastFailed {
                revision: c.revision.clone(),
                version: c.version.clone(),
                digest: c.digest.clone(),
                reason: reason.as_str().to_owned(),
                message,
                evidence: c.evidence.clone(),
                at,
            });
        }
    }

    /// Removes Deployments that neither the status nor a weight names, once their drain time is over. The time runs
    /// from the last outcome, which is when a revision lost its traffic.
    pub(super) fn remove_leftovers(&mut self) {
        let drain = i64::from(self.input.spec.availability.drain_seconds);
        let lost_traffic_at = self.status.history.first().map(|h| h.at);
        let names = |status: &ModelDeploymentStatus, revision: &str| {
            status.stable.as_ref().is_some_and(|s| s.revision == revision)
                || status.candidate.as_ref().is_some_and(|c| c.revision == revision)
        };
        for old in &self.input.world.deployments {
            if names(&self.status, &old.revision) || old.deleting {
                continue;
            }
            // What the recorded status still names would be made again after a crash: its new word is written first.
            if names(self.input.status, &old.revision) {
                self.look_again(Duration::from_millis(50));
                continue;
            }
            // A slot that still has weight by the route's word is somebody's traffic, whatever the status says.
            let another_slot = self.status.stable.as_ref().map(|s| s.slot) != Some(old.slot);
            let in_use = another_slot
                && self.world().traffic.as_ref().is_some_and(|t| t.weights.reaches(old.slot) || !t.confirmed);
            if in_use {
                self.look_again(Duration::from_secs(1));
                continue;
            }
            // A whole second more: times are kept in whole seconds. Without any outcome it never had traffic.
            let left = lost_traffic_at.map_or(0, |at| drain + 1 - (self.now() - at).num_seconds());
            if drain == 0 || left <= 0 {
                if another_slot && self.mode == TrafficMode::Gateway && self.input.world.traffic.is_some() {
                    self.writes.push(Write::ConfirmNoTraffic(old.slot));
                }
                self.writes.push(Write::DeleteDeployment { name: old.name.clone(), uid: old.uid.clone() });
            } else {
                self.look_again(Duration::from_secs(u64::try_from(left).unwrap_or(1)));
            }
        }
    }

    /// Words for people follow the spec; they are no part of a revision.
    pub(super) fn call_by_name(&mut self, target: &Revision) {
        if let Some(s) = self.status.stable.as_mut().filter(|s| s.revision == target.id) {
            s.version = target.version();
            s.spec.model.version.clone_from(&target.spec.model.version);
        }
        if let Some(c) = self.status.candidate.as_mut().filter(|c| c.revision == target.id) {
            c.version = target.version();
            c.spec.model.version.clone_from(&target.spec.model.version);
        }
    }

    /// The candidate starts over, without traffic.
    pub(super) fn back_to_start(&mut self) {
        let now = self.now();
        let steps = self.steps().len();
        self.status.verdict = None;
        if let Some(candidate) = &mut self.status.candidate {
            candidate.phase = serin_api::Phase::Starting;
            candidate.weight = 0;
            candidate.step_index = 0;
            candidate.step = format!("0/{steps}");
            candidate.since = None;
            candidate.analysis_from = None;
            // Kept until it has traffic again: if it never does, this was its trial.
            if candidate.weights.last().is_some_and(WeightRecord::has_requests) {
                candidate.weights.push(WeightRecord { weight: 0, mirror_percent: 0, at: now });
            }
            candidate.skipped_step = None;
            waiting::begin_anew(candidate, now);
        }
    }

    /// A weight was written and is not confirmed. No state of its own worth a status write: it lasts milliseconds, and
    /// the next write tells the rest.
    pub(super) fn wait_for_gateway(&mut self) {
        let (resolved, traffic) = (self.status.resolved.take(), self.status.traffic.take());
        self.status = self.input.status.clone();
        self.status.resolved = resolved;
        self.status.traffic = traffic;
        self.headline = None;
    }

    /// Whether the stable version is gone and its place has to be taken by the candidate, of which the spec knows no
    /// more: there is nothing to go back to, and the third version needs something to be compared with, and a Service.
    /// A rejected candidate takes the place only where it has all the traffic already.
    pub(super) fn is_replaced_by(&self, stable: &Stable, c: &Candidate, target: &Revision) -> bool {
        let available = |revision: &str| self.world().available(revision) > 0;
        if self.replicas == 0 || available(&stable.revision) || !available(&c.revision) {
            return false;
        }
        let rejected = c.retreat.as_ref().is_some_and(|r| r.reject);
        let retreating = c.phase == serin_api::Phase::Retreating;
        let wanted = retreating && c.revision == target.id && !rejected;
        let third = c.revision != target.id && stable.revision != target.id;
        let all = self.world().traffic.as_ref().is_some_and(|t| t.weights.of(c.slot) == 100);
        let gone = self.is_broken(stable) || self.patience(c).is_zero();
        let decided = all && self.journal_of(c) == Some(Entry::Promote);
        (third || wanted) && (gone || decided) && (all || !rejected)
    }

    /// What the present weights were written for, if it is about this candidate.
    pub(super) fn journal_of(&self, c: &Candidate) -> Option<Entry> {
        let journal = self.world().traffic.as_ref().and_then(|t| t.journal.as_ref());
        journal.filter(|j| j.revision == c.revision).map(|j| j.entry)
    }

    /// Whether exactly these weights are written and confirmed.
    pub(super) fn in_force(&self, weights: Weights) -> bool {
        self.world().traffic.as_ref().is_some_and(|t| t.confirmed && t.weights == weights)
    }

    /// The steps in force for the candidate.
    pub(super) fn steps(&self) -> Vec<Step> {
        self.status.resolved.as_ref().map_or_else(Vec::new, |r| r.steps.clone())
    }

    /// The retry that a person asked for, if it is about `revision` and new.
    pub(super) fn retry_asked(&self, revision: &str) -> Option<String> {
        hand::asked(self.input.orders.retry, self.status.handled_retry.as_deref(), revision)
    }
}
