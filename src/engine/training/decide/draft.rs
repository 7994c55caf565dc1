//! A plan in the making: what the state machine's files write on, and the moves that they share.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serin_api::{Completion, Reason, RunPhase, RunResult, TrainingRunStatus};

use super::{Input, refs::Unusable};
use crate::{
    Note,
    training::{
        plan::{Plan, Write},
        report::{self, Headline},
        waiting,
        world::{ObservedJob, World},
    },
};

/// A plan in the making.
pub(super) struct Draft<'a> {
    pub(super) input: &'a Input<'a>,
    pub(super) status: TrainingRunStatus,
    pub(super) writes: Vec<Write>,
    notes: Vec<Note>,
    headline: Option<Headline>,
    recheck: Option<Duration>,
    pub(super) decisive: bool,
    /// Nothing is to be recorded before the writes are seen in the world.
    silent: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn new(input: &'a Input<'a>) -> Self {
        Self {
            input,
            status: input.status.clone(),
            writes: Vec::new(),
            notes: Vec::new(),
            headline: None,
            recheck: None,
            decisive: false,
            silent: false,
        }
    }

    pub(super) fn world(&self) -> &'a World {
        self.input.world
    }
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.input.now
    }
    /// Whether what this plan does next already rests on a recorded status. Nothing is begun, and nothing deleted, for a
    /// reason that is not recorded: after a restart it could not be told any more.
    pub(super) fn is_recorded(&self) -> bool {
        let (old, new) = (self.input.status, &self.status);
        old.attempt == new.attempt
            && old.attempts == new.attempts
            && old.output == new.output
            && old.evaluation == new.evaluation
            && old.completion == new.completion
    }

    /// Sets the headline. The last one counts.
    pub(super) fn report(&mut self, phase: RunPhase, reason: Reason, message: impl Into<String>) {
        self.headline = Some(Headline { phase, reason, message: message.into(), held: false });
    }

    /// A headline that only a person can change.
    pub(super) fn hold(&mut self, reason: Reason, message: impl Into<String>) {
        self.headline =
            Some(Headline { phase: RunPhase::Waiting, reason, message: message.into(), held: true });
    }

    pub(super) fn blocked(&mut self, why: Unusable) {
        let Unusable { reason, message, held } = why;
        self.headline = Some(Headline { phase: RunPhase::Waiting, reason, message, held });
    }

    /// An Event to come. The recorder takes two of the same action for one, hence the number in it.
    pub(super) fn note(&mut self, warning: bool, reason: Reason, action: String, message: impl Into<String>) {
        self.notes.push(Note { warning, reason, action, message: message.into() });
    }

    /// Looks again after this long; the earliest wish wins.
    pub(super) fn look_again(&mut self, after: Duration) {
        self.recheck = Some(self.recheck.map_or(after, |r| r.min(after)));
    }

    /// Looks again at a moment; at least a moment later.
    pub(super) fn look_again_at(&mut self, at: DateTime<Utc>) {
        let left = (at - self.now()).to_std().unwrap_or(Duration::ZERO);
        self.look_again(left.max(Duration::from_millis(50)));
    }

    /// The last write of this plan makes something; the next look sees it and records it, in one status write.
    pub(super) fn make(&mut self, write: Write) {
        self.writes.push(write);
        self.decisive = true;
        self.silent = true;
        self.look_again(Duration::from_secs(1));
    }

    /// Ends the run. Once written it stays.
    pub(super) fn complete(&mut self, result: RunResult, reason: Reason, message: impl Into<String>) {
        let message = message.into();
        self.decisive = true;
        let failed = result == RunResult::Failed;
        self.note(failed, reason, "Complete".to_owned(), message.clone());
        let phase = if failed { RunPhase::Failed } else { RunPhase::Succeeded };
        self.headline = Some(Headline { phase, reason, message: message.clone(), held: false });
        let at = self.now();
        self.status.completion = Some(Completion { result, reason: reason.as_str().to_owned(), message, at });
    }

    /// Deletes a Job, unless it is on its way out.
    pub(super) fn delete(&mut self, job: &ObservedJob) {
        if !job.deleting {
            self.writes.push(Write::DeleteJob { name: job.name.clone(), uid: job.uid.clone() });
        }
    }

    pub(super) fn done(mut self) -> Plan {
        if self.silent {
            self.status = self.input.status.clone();
            self.notes.clear();
        } else {
            self.settle();
        }
        Plan {
            writes: self.writes,
            status: self.status,
            notes: self.notes,
            recheck: self.recheck,
            decisive: self.decisive,
        }
    }

    fn settle(&mut self) {
        let Some(mut headline) = self.headline.take() else { return };
        if self.status.completion.is_none() {
            let recorded = report::recorded(self.input.status);
            headline.message = waiting::steady(headline.reason, headline.message, recorded);
        }
        report::finish(&mut self.status, self.input, &headline);
    }
}
