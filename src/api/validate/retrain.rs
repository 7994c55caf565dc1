//! A RetrainPolicy. What a time of the clock means is checked where clocks are known (`serin-engine`, `retrain::schedule`).

use super::{
    common::{count, file, label, range},
    metric,
    training::training_run,
};
use crate::{
    BY_HAND, DataUse, MaxAge, NewData, QualityDrop, RetrainPolicySpec, Schedule, TrainingRunSpec, Trigger,
    TriggerKind,
};

/// Longest name: those of runs are `NAME-HASH`, of 52 characters.
const NAME_MAX: usize = 40;

/// Checks a policy. The error becomes the message of `Stalled`; nothing is started.
pub fn retrain_policy(name: &str, spec: &RetrainPolicySpec) -> Result<(), String> {
    label("the name", name, NAME_MAX)?;
    if let Some(deployment) = &spec.deployment_ref {
        label("deploymentRef", deployment, NAME_MAX)?;
    }
    triggers(spec)?;
    data(spec)?;
    template(&spec.template)?;
    range("cooldownSeconds", spec.cooldown_seconds, 0, 31_536_000)?;
    range("settleSeconds", spec.settle_seconds, 0, 604_800)?;
    range("budget.runs", spec.budget.runs, 1, 20)?;
    range("budget.perSeconds", spec.budget.per_seconds, 60, 31_536_000)?;
    range("stopAfterIneffective", spec.stop_after_ineffective, 1, 10)
}

fn triggers(spec: &RetrainPolicySpec) -> Result<(), String> {
    if spec.triggers.is_empty() {
        return Err("triggers must name at least one".to_owned());
    }
    count("triggers", spec.triggers.len(), 8)?;
    for (i, one) in spec.triggers.iter().enumerate() {
        label("triggers: the name", &one.name, 40)?;
        if spec.triggers[..i].iter().any(|other| other.name == one.name) {
            return Err(format!("triggers: {} stands twice", one.name));
        }
        if one.name == BY_HAND {
            return Err(format!("triggers: {BY_HAND} is a person's word; rename it"));
        }
        trigger(spec, one).map_err(|why| format!("trigger {}: {why}", one.name))?;
    }
    Ok(())
}

fn trigger(spec: &RetrainPolicySpec, trigger: &Trigger) -> Result<(), String> {
    match trigger.kind().ok_or("must have exactly one of quality, schedule, newData, maxAge")? {
        TriggerKind::Quality(q) => {
            if spec.deployment_ref.is_none() {
                return Err("quality needs deploymentRef: whose live quality is meant".to_owned());
            }
            quality(q)
        }
        TriggerKind::Schedule(Schedule { cron, time_zone }) => {
            if cron.len() > 100 || time_zone.len() > 64 {
                return Err("schedule: cron has at most 100 characters, timeZone at most 64".to_owned());
            }
            Ok(())
        }
        TriggerKind::NewData(NewData { every_seconds, min_bytes }) => {
            if spec.data.is_empty() {
                return Err("newData needs data: what to look at".to_owned());
            }
            range("everySeconds", every_seconds, 60, 2_592_000)?;
            range("minBytes", min_bytes, 0, i64::MAX)
        }
        TriggerKind::MaxAge(MaxAge { seconds }) => range("maxAge.seconds", seconds, 60, 315_360_000),
    }
}

fn quality(q: &QualityDrop) -> Result<(), String> {
    metric::counter(&q.all)?;
    match (&q.bad, &q.good) {
        (Some(part), None) | (None, Some(part)) if part.series == q.all.series => {
            return Err("all and its part are the same series".to_owned());
        }
        (Some(part), None) | (None, Some(part)) => metric::counter(part)?,
        _ => return Err("quality has exactly one of bad, good".to_owned()),
    }
    range("maxBadPermille", q.max_bad_permille, 0, 999)?;
    range("windowSeconds", q.window_seconds, 60, 604_800)?;
    range("forSeconds", q.for_seconds, 0, 604_800)?;
    range("minCount", q.min_count, 1, 1_000_000_000)
}

fn data(spec: &RetrainPolicySpec) -> Result<(), String> {
    count("data", spec.data.len(), 4)?;
    for (i, one) in spec.data.iter().enumerate() {
        let name = &one.name;
        if spec.data[..i].iter().any(|other| other.name == *name) {
            return Err(format!("data: {name} stands twice"));
        }
        file(&format!("data {name}: uri"), &one.uri)?;
        match one.used {
            DataUse::Training => {
                if spec.template.datasets.iter().any(|d| d.name == *name) {
                    return Err(format!(
                        "data: {name} stands in template.datasets, too; leave it in one of them"
                    ));
                }
            }
            DataUse::Evaluation => {
                if spec.template.evaluation.is_none() {
                    return Err(format!(
                        "data: {name} is for an evaluation, and template.evaluation is missing"
                    ));
                }
                if spec.data[..i].iter().any(|other| other.used == DataUse::Evaluation) {
                    return Err("data has at most one entry with use Evaluation".to_owned());
                }
            }
        }
    }
    count("data and template.datasets", spec.data.len() + spec.template.datasets.len(), 16)
}

fn template(spec: &TrainingRunSpec) -> Result<(), String> {
    if spec.suspend {
        return Err("template.suspend would make runs that never start: use suspend of the policy".to_owned());
    }
    if spec.replay_of.is_some() || spec.rerun_token.is_some() {
        return Err("template has neither replayOf nor rerunToken: each run is another training".to_owned());
    }
    // Any name that a run may have.
    training_run("run", spec).map_err(|why| format!("template.{why}"))
}
