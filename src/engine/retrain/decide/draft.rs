//! A plan in the making.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serin_api::{
    PolicyPhase, Reason, RetrainPolicyStatus,
    conditions::{self, State, Type},
};

use super::{
    super::plan::{Plan, Write},
    Input,
};
use crate::Note;

/// The next look, at the latest, at a policy that waits for answers from Prometheus.
pub const ANSWERS: Duration = Duration::from_mins(1);

pub struct Draft<'a> {
    pub input: &'a Input<'a>,
    pub status: RetrainPolicyStatus,
    pub writes: Vec<Write>,
    pub notes: Vec<Note>,
    pub decisive: bool,
    recheck: Option<Duration>,
    headline: Option<(PolicyPhase, Reason, String)>,
}

impl<'a> Draft<'a> {
    pub fn new(input: &'a Input<'a>) -> Self {
        Self {
            input,
            status: input.status.clone(),
            writes: Vec::new(),
            notes: Vec::new(),
            decisive: false,
            recheck: None,
            headline: None,
        }
    }

    /// What there is to say; the last word counts.
    pub fn say(&mut self, phase: PolicyPhase, reason: Reason, message: impl Into<String>) {
        self.headline = Some((phase, reason, message.into()));
    }

    pub fn note(&mut self, warning: bool, reason: Reason, action: &str, message: impl Into<String>) {
        self.notes.push(Note { warning, reason, action: action.to_owned(), message: message.into() });
    }

    pub fn look_again(&mut self, after: Duration) {
        self.recheck = Some(self.recheck.map_or(after, |before| before.min(after)));
    }

    /// Looks again at this time, and at least a second from now.
    pub fn look_again_at(&mut self, at: DateTime<Utc>) {
        let left = (at - self.input.now).to_std().unwrap_or_default();
        self.look_again(left.max(Duration::from_secs(1)));
    }

    pub fn done(mut self) -> Plan {
        if let Some((phase, reason, message)) = self.headline.take() {
            self.conditions(phase, reason, &message);
        }
        let Self { status, writes, notes, decisive, recheck, .. } = self;
        Plan { writes, status, notes, recheck, decisive }
    }

    /// A policy is Ready while it does what it is for; one that needs a person is Stalled (kstatus: Failed). A run that
    /// goes on is its own object: the policy is not in progress because of it.
    fn conditions(&mut self, phase: PolicyPhase, reason: Reason, message: &str) {
        let (generation, now) = (self.input.generation, self.input.now);
        let stalled = matches!(phase, PolicyPhase::Stopped | PolicyPhase::Invalid);
        let status = &mut self.status;
        status.phase = Some(phase);
        let mut set = |ty, state: State, text: &str| {
            conditions::set(&mut status.conditions, ty, state, reason, text, generation, now);
        };
        set(Type::Ready, State::from(!stalled), message);
        set(Type::Stalled, stalled.into(), if stalled { message } else { "" });
        set(Type::Reconciling, State::False, "");
        for condition in &mut status.conditions {
            condition.observed_generation = generation;
        }
        status.observed_generation = generation;
    }
}
