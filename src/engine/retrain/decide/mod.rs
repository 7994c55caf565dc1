//! The rules of a policy, in order:
//!
//! - `records`: runs that were made are recorded, and how they ended
//! - `triggers`: who asks for a run; at most one is pending, whoever asks and how often
//! - `holds`: what holds it back
//! - `start`: a look at the data, and the run
//! - `draft`: the plan in the making that they all write on
//!
//! Each rule is somebody's storm of trainings (docs/retraining.md).

mod draft;
mod holds;
mod records;
mod start;
mod triggers;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serin_api::{PolicyPhase, Reason, RetrainPolicySpec, RetrainPolicyStatus, TriggerKind, validate};

use super::{
    plan::Plan,
    quality::{self, Question, Share},
    schedule,
    world::World,
};
use draft::Draft;

/// Everything that a decision depends on.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// Name of the `RetrainPolicy`.
    pub name: &'a str,
    /// Its UID.
    pub uid: &'a str,
    /// Its generation.
    pub generation: Option<i64>,
    /// Annotation `serin.dev/retrain`.
    pub by_hand: Option<&'a str>,
    /// What is wanted.
    pub spec: &'a RetrainPolicySpec,
    /// What was recorded.
    pub status: &'a RetrainPolicyStatus,
    /// What is.
    pub world: &'a World,
    /// What was counted, by trigger.
    pub shares: &'a BTreeMap<String, Share>,
    /// Now, in whole seconds.
    pub now: DateTime<Utc>,
}

impl Input<'_> {
    /// What has to be counted for [`decide`]; nothing while nothing would come of it.
    pub fn questions(&self) -> Vec<Question> {
        let idle = self.spec.suspend || self.status.active.is_some() || self.check().is_err();
        if idle { Vec::new() } else { quality::questions(self.spec, self.world) }
    }

    fn check(&self) -> Result<(), String> {
        validate::retrain_policy(self.name, self.spec)?;
        for trigger in &self.spec.triggers {
            if let Some(TriggerKind::Schedule(times)) = trigger.kind() {
                schedule::next(times, self.now).map_err(|why| format!("trigger {}: {why}", trigger.name))?;
            }
        }
        Ok(())
    }
}

/// Decides. Total: every situation gives a plan, and asking again after any prefix of its writes gives the rest.
pub fn decide(input: &Input<'_>) -> Plan {
    let mut d = Draft::new(input);
    records::update(&mut d);
    if let Err(message) = input.check() {
        d.say(PolicyPhase::Invalid, Reason::InvalidSpec, message);
        return d.done();
    }
    if input.spec.suspend {
        // Times of the clock that pass now are not made up for.
        (d.status.pending, d.status.look) = (None, None);
        d.status.triggers.clear();
        d.say(PolicyPhase::Suspended, Reason::Suspended, "spec.suspend is set: nothing is started");
    } else {
        triggers::update(&mut d);
        start::go_on(&mut d);
    }
    start::clear_away(&mut d);
    d.done()
}
