//! What holds a run back that is asked for. A person's word is held by nothing but a run that goes on.

use chrono::{DateTime, TimeDelta, Utc};
use serin_api::{BY_HAND, Pending, Reason, RunResult, TriggerKind};

use super::{Draft, records};

/// The cooldown doubles at most this often.
const DOUBLINGS: u32 = 5;

/// Why a run is not started now.
pub struct Hold {
    pub reason: Reason,
    pub message: String,
    /// When it ends by itself.
    pub until: Option<DateTime<Utc>>,
}

impl Hold {
    fn of(reason: Reason, message: String, until: Option<DateTime<Utc>>) -> Self {
        Self { reason, message, until }
    }
}

/// The first one that there is.
pub fn first(d: &Draft<'_>, pending: &Pending) -> Option<Hold> {
    if pending.trigger == BY_HAND {
        return None;
    }
    deployment(d).or_else(|| untried(d, pending)).or_else(|| cooldown(d)).or_else(|| budget(d))
}

/// Traffic is moving: what is measured now speaks of two versions, and a third would come on top.
fn deployment(d: &Draft<'_>) -> Option<Hold> {
    let name = d.input.spec.deployment_ref.as_ref()?;
    let Some(served) = &d.input.world.deployment else {
        let message = format!("ModelDeployment {name} does not exist in this namespace");
        return Some(Hold::of(Reason::DeploymentNotFound, message, None));
    };
    if served.changing {
        return Some(Hold::of(Reason::RolloutInProgress, format!("{name} is trying another version"), None));
    }
    let rest = TimeDelta::seconds(d.input.spec.settle_seconds);
    let until = served.changed_at? + rest;
    if until <= d.input.now {
        return None;
    }
    let message = format!("{name} changed its version a moment ago; it is left alone until {}", words(until));
    Some(Hold::of(Reason::Settling, message, Some(until)))
}

/// The answer to bad quality lies there already, and waits to be served.
fn untried(d: &Draft<'_>, pending: &Pending) -> Option<Hold> {
    let is_quality = |t: &serin_api::Trigger| {
        t.name == pending.trigger && matches!(t.kind(), Some(TriggerKind::Quality(_)))
    };
    if !d.input.spec.triggers.iter().any(is_quality) {
        return None;
    }
    let serving = d.input.world.deployment.as_ref()?.version.as_ref()?;
    let last = d.status.runs.last().filter(|r| r.result == Some(RunResult::Succeeded) && r.live.is_none())?;
    let version = last.version.as_ref().filter(|version| *version != serving)?;
    let message = format!("version {version} of the last run was not tried yet: {serving} serves");
    Some(Hold::of(Reason::AwaitingRollout, message, None))
}

fn cooldown(d: &Draft<'_>) -> Option<Hold> {
    let ended = d.status.runs.iter().filter_map(|r| r.ended_at).max()?;
    let bad = records::ineffective(&d.status.runs, d.status.forgiven);
    let doublings = u32::try_from(bad).unwrap_or(0).min(DOUBLINGS);
    let seconds = d.input.spec.cooldown_seconds.saturating_mul(1 << doublings);
    let until = ended.checked_add_signed(TimeDelta::try_seconds(seconds)?)?;
    if until <= d.input.now {
        return None;
    }
    let why = if bad == 0 { String::new() } else { format!("; the last {bad} brought nothing better") };
    let message = format!("{seconds} s pass after a run{why}: until {}", words(until));
    Some(Hold::of(Reason::CoolingDown, message, Some(until)))
}

fn budget(d: &Draft<'_>) -> Option<Hold> {
    let budget = d.input.spec.budget;
    let span = TimeDelta::seconds(budget.per_seconds);
    let mut starts: Vec<_> =
        d.status.runs.iter().map(|r| r.started_at).filter(|at| *at + span > d.input.now).collect();
    starts.sort_unstable();
    let runs = usize::try_from(budget.runs).unwrap_or(1);
    // The one that must have left the span before another fits in.
    let until = *starts.get(starts.len().checked_sub(runs)?)? + span;
    let message = format!(
        "{} runs in {} s were started, as budget allows: until {}",
        starts.len(),
        budget.per_seconds,
        words(until)
    );
    Some(Hold::of(Reason::BudgetExhausted, message, Some(until)))
}

fn words(at: DateTime<Utc>) -> String {
    at.format("%F %T UTC").to_string()
}
