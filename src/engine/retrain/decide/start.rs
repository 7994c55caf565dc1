//! A look at the data, and the run.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serin_api::{BY_HAND, Look, Pending, PolicyPhase, Reason, SeenData, Stopped, TriggerState};

use super::{
    super::{
        look,
        plan::{NewRun, Write},
        run,
        world::LookEnd,
    },
    Draft, holds, records, triggers,
};

/// Between two looks at the data after one has failed: doubled each time, up to an hour.
const AFTER_FAILURE: TimeDelta = TimeDelta::minutes(1);
/// Until a Job that goes on is looked at again; its end wakes us before.
const GOING: Duration = Duration::from_mins(1);

/// Starts what is to be started.
pub fn go_on(d: &mut Draft<'_>) {
    if let Some(active) = d.status.active.clone() {
        d.say(PolicyPhase::Training, Reason::Retraining, format!("TrainingRun {active} goes on"));
        return;
    }
    if is_stopped(d) {
        return;
    }
    if let Some(taken) = d.input.world.taken.first() {
        let message = format!("{taken} exists and is not ours: rename it or this RetrainPolicy");
        d.say(PolicyPhase::Invalid, Reason::NameTaken, message);
        return;
    }
    adopt_look(d);
    let seen = match under_way(d) {
        Sight::Going => {
            d.say(PolicyPhase::Looking, Reason::LookingAtData, "reading spec.data");
            d.look_again(GOING);
            return;
        }
        Sight::Seen(seen) => Some(seen),
        Sight::None => None,
    };
    if let Some(seen) = &seen {
        triggers::hear_of_data(d, seen);
    }
    match d.status.pending.clone() {
        Some(pending) => toward(d, &pending, seen),
        None => wait(d),
    }
}

/// Nothing is asked for.
fn wait(d: &mut Draft<'_>) {
    if let Some(every) = triggers::looks_every(&d.input.spec.triggers) {
        let due = d.status.looked_at.map_or(d.input.now, |at| at + every);
        if due <= d.input.now {
            return begin_look(d);
        }
        d.look_again_at(due);
    }
    if d.status.nothing_new_at.is_some()
        && d.status.triggers.iter().any(|t| t.state == TriggerState::Breached)
    {
        let message = "a trigger is broken, and a run would be made from what the last one was made from: new data \
                       (spec.data) or another template is needed";
        return d.say(PolicyPhase::Waiting, Reason::NothingNew, message);
    }
    d.say(PolicyPhase::Waiting, Reason::Armed, "waiting for the triggers");
}

/// A run is asked for.
fn toward(d: &mut Draft<'_>, pending: &Pending, seen: Option<Vec<SeenData>>) {
    if let Some(hold) = holds::first(d, pending) {
        if let Some(until) = hold.until {
            d.look_again_at(until);
        }
        let message = format!("{} asks for a run; {}", pending.trigger, hold.message);
        return d.say(PolicyPhase::Holding, hold.reason, message);
    }
    match seen {
        None if !d.input.spec.data.is_empty() => begin_look(d),
        None => launch(d, pending, Vec::new()),
        Some(seen) => launch(d, pending, seen),
    }
}

/// Makes the run. It is recorded once it is there: a restart in between finds it by its number.
fn launch(d: &mut Draft<'_>, pending: &Pending, seen: Vec<SeenData>) {
    let token = (pending.trigger == BY_HAND).then_some(pending.occasion.as_str());
    let spec = match run::spec(d.input.spec, &seen, token) {
        Ok(spec) => spec,
        Err(message) => return d.say(PolicyPhase::Invalid, Reason::InvalidSpec, message),
    };
    let inputs = run::inputs_of(&spec);
    d.status.data = seen;
    if token.is_none() && d.status.settled.as_ref() == Some(&inputs) {
        let message =
            format!("{} asked for a run, and everything is as it was the last time", pending.trigger);
        d.note(false, Reason::NothingNew, &pending.occasion, message);
        d.status.pending = None;
        d.status.nothing_new_at = Some(d.input.now);
        return wait(d);
    }
    let number = d.status.started.saturating_add(1);
    let name = run::name(d.input.name, d.input.uid, &pending.trigger, &pending.occasion, &inputs);
    let message = format!("{name} is being started by {}", pending.trigger);
    d.say(PolicyPhase::Training, Reason::Retraining, message);
    d.look_again(Duration::from_secs(5));
    d.decisive = true;
    d.writes.push(Write::CreateRun(Box::new(NewRun {
        name,
        number,
        trigger: pending.trigger.clone(),
        inputs,
        spec,
    })));
}

/// Runs in a row that brought nothing better: a person has to look. Another spec is a look; so is a word by hand, which
/// was heard before.
fn is_stopped(d: &mut Draft<'_>) -> bool {
    if d.status.stopped.as_ref().is_some_and(|stopped| stopped.generation != d.input.generation) {
        d.status.stopped = None;
        d.status.forgiven = d.status.started;
    }
    let bad = records::ineffective(&d.status.runs, d.status.forgiven);
    if bad < d.input.spec.stop_after_ineffective && d.status.stopped.is_none() {
        return false;
    }
    let message = format!(
        "{bad} runs in a row brought nothing better: look at them, then change the policy or say kubectl serin retrain {}",
        d.input.name
    );
    if d.status.stopped.is_none() {
        d.status.stopped = Some(Stopped { at: d.input.now, generation: d.input.generation });
        d.note(true, Reason::Ineffective, "stop", message.clone());
    }
    (d.status.pending, d.status.look) = (None, None);
    d.say(PolicyPhase::Stopped, Reason::Ineffective, message);
    true
}

/// What a look has come to.
enum Sight {
    None,
    Going,
    Seen(Vec<SeenData>),
}

/// A look that was made just before a restart is recorded.
fn adopt_look(d: &mut Draft<'_>) {
    let newest = d.input.world.looks.iter().filter(|l| !l.deleting).map(|l| l.number).max();
    if let Some(number) = newest.filter(|number| *number > d.status.looks) {
        record_look(d, number);
    }
}

fn begin_look(d: &mut Draft<'_>) {
    if let Some(at) = next_try(d.status.look.as_ref())
        && at > d.input.now
    {
        let why = d.status.look.as_ref().map(|l| l.message.clone()).unwrap_or_default();
        d.look_again_at(at);
        let message = format!("spec.data cannot be read: {why}; it is tried again");
        return d.say(PolicyPhase::Holding, Reason::DataUnreadable, message);
    }
    let number = d.status.looks.saturating_add(1);
    d.writes.push(Write::CreateLook { number });
    d.decisive = true;
    record_look(d, number);
    d.say(PolicyPhase::Looking, Reason::LookingAtData, "reading spec.data");
    d.look_again(GOING);
}

fn record_look(d: &mut Draft<'_>, number: i32) {
    let failures = d.status.look.as_ref().map_or(0, |l| l.failures);
    let started_at = d.input.now;
    d.status.looks = number;
    d.status.look = Some(Look { number, started_at, failures, failed_at: None, message: String::new() });
}

/// When a look may be tried again after one that failed.
fn next_try(last: Option<&Look>) -> Option<DateTime<Utc>> {
    let last = last?;
    let doublings = u32::try_from(last.failures).unwrap_or(0).clamp(1, 7) - 1;
    let pause = (AFTER_FAILURE * (1 << doublings)).min(TimeDelta::hours(1));
    Some(last.failed_at? + pause)
}

fn under_way(d: &mut Draft<'_>) -> Sight {
    let Some(going) = d.status.look.clone().filter(|l| l.failed_at.is_none()) else { return Sight::None };
    let job = d.input.world.looks.iter().find(|l| l.number == going.number && !l.deleting);
    let why = match job.map(|job| &job.end) {
        None => "the Job was deleted before its end".to_owned(),
        Some(None) => return Sight::Going,
        Some(Some(LookEnd::Failed(why))) => why.clone(),
        Some(Some(LookEnd::Said(text))) => {
            match look::seen(text, d.input.uid, going.number, &d.input.spec.data) {
                Ok(seen) => {
                    d.status.look = None;
                    d.status.looked_at = Some(d.input.now);
                    return Sight::Seen(seen);
                }
                Err(why) => why,
            }
        }
    };
    d.note(true, Reason::DataUnreadable, &format!("look {}", going.number), why.clone());
    let (failures, failed_at) = (going.failures.saturating_add(1), Some(d.input.now));
    d.status.look = Some(Look { failures, failed_at, message: why, ..going });
    // Who asked before asks on; who looks from time to time does so after the pause, too.
    d.status.looked_at = Some(d.input.now);
    Sight::None
}

/// Jobs of looks that nobody waits for any more.
pub fn clear_away(d: &mut Draft<'_>) {
    // By the record that is in the apiserver: what this look found out is deleted after the next one has seen it there.
    let recorded = d.input.status.look.as_ref().filter(|l| l.failed_at.is_none()).map(|l| l.number);
    for job in &d.input.world.looks {
        if !job.deleting && job.number <= d.input.status.looks && recorded != Some(job.number) {
            d.writes.insert(0, Write::DeleteLook { name: job.name.clone(), uid: job.uid.clone() });
        }
    }
}
