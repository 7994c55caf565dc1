//! The state machine of a run. [`decide`] reads the situation and hands it to one of the files beside this one:
//!
//! - `begin`: nothing was made yet; references, known inputs, the first attempt
//! - `attempt`: one is under way
//! - `between`: one has ended, and the next is to come
//! - `judge`: there is a model, and it is evaluated
//! - `finish`: it becomes a version, or not
//! - `rest`: the run has ended; only its children are cleared away
//! - `refs`: what the spec's references lead to
//! - `draft`: the plan in the making that they all write on
//!
//! Rules kept here, each from somebody's outage: one Job an attempt, made once; the next one only when the one before is
//! really gone; an end is recorded before anything is deleted or begun because of it; the end of the run is written once,
//! and nothing starts after it, whatever happens to its Jobs.

mod attempt;
mod begin;
mod between;
mod draft;
mod finish;
mod judge;
mod refs;
mod rest;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serin_api::{Attempt, Reason, RunPhase, TrainingRunSpec, TrainingRunStatus, validate};

use super::{
    inputs,
    plan::{Plan, Write},
    world::{Child, ObservedJob, World},
};
use draft::Draft;

/// `spec.managedBy` of a run that is ours.
pub const MANAGER: &str = "serin.dev/operator";

/// Everything that a decision depends on.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// Name of the `TrainingRun`.
    pub name: &'a str,
    /// Its UID.
    pub uid: &'a str,
    /// Its generation.
    pub generation: Option<i64>,
    /// What is wanted.
    pub spec: &'a TrainingRunSpec,
    /// What was recorded.
    pub status: &'a TrainingRunStatus,
    /// What is.
    pub world: &'a World,
    /// 32 fresh hexadecimal digits, others at each look.
    pub nonce: &'a str,
    /// Now, in whole seconds.
    pub now: DateTime<Utc>,
}

/// Decides. Total: every situation gives a plan, and asking again after any prefix of its writes gives the rest.
pub fn decide(input: &Input<'_>) -> Plan {
    let mut d = Draft::new(input);
    if input.spec.managed_by.as_deref().is_some_and(|manager| manager != MANAGER) {
        // Not even a status: that is the other controller's.
        return d.done();
    }
    if let Some(completion) = &input.status.completion {
        rest::keep(&mut d, completion);
        return d.done();
    }
    match &input.status.run_hash {
        Some(begun) if *begun != inputs::run_hash(input.spec) => {
            d.hold(
                Reason::SpecChanged,
                "the spec was changed after the run began: put it back, or make another run (only suspend and retention \
                 may change)",
            );
            return d.done();
        }
        // What was good enough to begin is not refused by a later operator.
        Some(_) => {}
        None => {
            if let Err(message) = validate::training_run(input.name, input.spec) {
                d.hold(Reason::InvalidSpec, message);
                return d.done();
            }
        }
    }
    if let Some(taken) = input.world.taken.first() {
        d.hold(Reason::NameTaken, format!("{taken} exists and is not ours: rename it or this TrainingRun"));
        return d.done();
    }
    if input.world.leftovers_of_namesake {
        let message = "waiting for the children of a deleted namesake to be collected";
        d.report(RunPhase::Waiting, Reason::NameTaken, message);
        d.look_again(Duration::from_secs(1));
        return d.done();
    }
    if d.status.output.is_none() && !adopt(&mut d) {
        return d.done();
    }
    let last = d.status.attempts.last().cloned();
    match (&d.status.output, last) {
        (Some(output), _) => {
            let output = output.clone();
            judge::go_on(&mut d, &output);
        }
        (None, Some(last)) if last.end.is_none() => attempt::go_on(&mut d, &last),
        (None, Some(last)) => between::go_on(&mut d, &last),
        (None, None) => begin::go_on(&mut d),
    }
    clear_away(&mut d);
    d.done()
}

/// A Job that was made just before a restart, or before this look, is recorded. `false`: it was made from a spec that is
/// no longer there, and has to go first.
fn adopt(d: &mut Draft<'_>) -> bool {
    if d.status.attempts.last().is_some_and(|last| last.end.is_none()) {
        return true;
    }
    let number = d.status.attempt + 1;
    let Some(job) = d.world().job(Child::Attempt(number)) else { return true };
    let run_hash = inputs::run_hash(d.input.spec);
    if job.run_hash.as_ref().is_some_and(|made_from| *made_from != run_hash) {
        d.delete(job);
        let message = format!("Job {} was made from an earlier spec and is being deleted", job.name);
        d.report(RunPhase::Waiting, Reason::WaitingForOldAttempt, message);
        return false;
    }
    d.status.run_hash = Some(run_hash);
    if d.status.inputs_digest.is_none() {
        d.status.inputs_digest = d.input.known().ok().map(|known| known.digest);
    }
    d.status.attempt = number;
    d.status.attempts.push(Attempt {
        number,
        job_uid: job.uid.clone(),
        created_at: job.created_at,
        running_at: None,
        ended_at: None,
        end: None,
        message: None,
        images: Vec::new(),
        resumed_from: None,
    });
    let surplus = d.status.attempts.len().saturating_sub(ATTEMPTS_KEPT);
    d.status.attempts.drain(..surplus);
    true
}

/// Attempts in a status.
const ATTEMPTS_KEPT: usize = 20;

/// Services of attempts that failed, once nothing of the attempt runs. Those of a run that has ended go with its Jobs.
fn clear_away(d: &mut Draft<'_>) {
    let recorded = d.input.status;
    let open = recorded.attempts.iter().find(|a| a.end.is_none()).map(|a| a.number);
    for service in &d.world().services {
        let published = recorded.output.as_ref().is_some_and(|output| output.attempt == service.attempt);
        let ended = service.attempt <= recorded.attempt && open != Some(service.attempt) && !published;
        let over = d.world().job(Child::Attempt(service.attempt)).is_none_or(ObservedJob::is_over);
        if ended && over && !service.deleting {
            d.writes.insert(0, Write::DeleteService { name: service.name.clone(), uid: service.uid.clone() });
        }
    }
}
