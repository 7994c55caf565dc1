//! Who asks for a run.

use chrono::{DateTime, TimeDelta, Utc};
use serin_api::{
    BY_HAND, MaxAge, NewData, Pending, QualityDrop, Reason, Schedule, SeenData, Trigger, TriggerKind,
    TriggerState, TriggerStatus,
};

use super::{
    super::{
        quality::{self, Finding, Share},
        schedule,
    },
    Draft,
    draft::ANSWERS,
};

/// After nothing new was found, triggers that are still broken ask again only after this long, or the policy's cooldown.
const NOTHING_NEW: TimeDelta = TimeDelta::minutes(10);

/// Longest word of a person: it becomes the run's `rerunToken`.
const WORD_MAX: usize = 63;

/// Hears them all.
pub fn update(d: &mut Draft<'_>) {
    by_hand(d);
    let changed = d.status.observed_generation != d.input.generation;
    let spec = d.input.spec;
    let mut states = Vec::new();
    for trigger in &spec.triggers {
        let Some(kind) = trigger.kind() else { continue };
        let before = d.status.triggers.iter().find(|s| s.name == trigger.name).cloned();
        let before = before.unwrap_or_else(|| quiet(trigger, d.input.now));
        states.push(match kind {
            TriggerKind::Quality(q) => quality(d, trigger, q, before),
            TriggerKind::Schedule(times) => clock(d, trigger, times, before, changed),
            TriggerKind::NewData(_) => TriggerStatus { name: trigger.name.clone(), ..before },
            TriggerKind::MaxAge(age) => max_age(d, trigger, age, before),
        });
    }
    d.status.triggers = states;
}

fn quiet(trigger: &Trigger, now: DateTime<Utc>) -> TriggerStatus {
    TriggerStatus {
        name: trigger.name.clone(),
        state: TriggerState::Quiet,
        since: now,
        next: None,
        revision: None,
        message: String::new(),
    }
}

/// A person's word goes before everybody else's, and ends a stop.
fn by_hand(d: &mut Draft<'_>) {
    let Some(word) =
        d.input.by_hand.filter(|word| !word.is_empty() && d.status.handled_retrain.as_deref() != Some(*word))
    else {
        return;
    };
    d.status.handled_retrain = Some(word.to_owned());
    if word.len() > WORD_MAX {
        let message = format!("serin.dev/retrain has more than {WORD_MAX} bytes; use a shorter word");
        d.note(true, Reason::InvalidSpec, "retrain", message);
        return;
    }
    d.status.forgiven = d.status.started;
    d.status.stopped = None;
    let message = "a person asked for it".to_owned();
    d.status.pending =
        Some(Pending { trigger: BY_HAND.to_owned(), occasion: word.to_owned(), message, since: d.input.now });
}

/// Asks for a run, unless somebody has, or one goes on.
fn ask(d: &mut Draft<'_>, trigger: &str, occasion: String, message: String) {
    if d.status.pending.is_none() && d.status.active.is_none() {
        let (trigger, since) = (trigger.to_owned(), d.input.now);
        d.status.pending = Some(Pending { trigger, occasion, message, since });
    }
}

/// What is broken now asks again and again; each time is another occasion.
fn ask_while_broken(d: &mut Draft<'_>, state: &TriggerStatus) {
    let pause = TimeDelta::seconds(d.input.spec.cooldown_seconds).max(NOTHING_NEW);
    if let Some(at) = d.status.nothing_new_at
        && d.input.now < at + pause
    {
        d.look_again_at(at + pause);
        return;
    }
    let occasion = format!("{} {}", state.since.timestamp(), d.status.started);
    ask(d, &state.name, occasion, state.message.clone());
}

/// A time that came while a run went on, or while another was asked for, is not made up for.
fn clock(
    d: &mut Draft<'_>,
    trigger: &Trigger,
    times: &Schedule,
    mut state: TriggerStatus,
    changed: bool,
) -> TriggerStatus {
    let now = d.input.now;
    let due = state.next.filter(|next| *next <= now && !changed);
    if let Some(due) = due {
        ask(
            d,
            &trigger.name,
            due.timestamp().to_string(),
            format!("it was time: {}", due.format("%F %T UTC")),
        );
    }
    if due.is_some() || changed || state.next.is_none() {
        state.next = schedule::next(times, now).ok();
    }
    if let Some(next) = state.next {
        d.look_again_at(next);
    }
    state
}

fn max_age(d: &mut Draft<'_>, trigger: &Trigger, age: MaxAge, before: TriggerStatus) -> TriggerStatus {
    let limit = TimeDelta::seconds(age.seconds);
    let model = &d.input.spec.template.model;
    let newest = d.input.world.newest_version;
    let message = match newest {
        Some(made) if made + limit > d.input.now => {
            d.look_again_at(made + limit);
            return turned(before, trigger, TriggerState::Quiet, None, String::new(), d.input.now);
        }
        Some(made) => format!("the newest version of {model} is of {}", made.format("%F %T UTC")),
        None => format!("there is no version of {model} yet"),
    };
    let state = turned(before, trigger, TriggerState::Breached, None, message, d.input.now);
    ask_while_broken(d, &state);
    state
}

fn quality(d: &mut Draft<'_>, trigger: &Trigger, q: &QualityDrop, before: TriggerStatus) -> TriggerStatus {
    let now = d.input.now;
    if d.status.active.is_some() {
        // Nobody asks while a run goes on; what was broken then begins anew.
        return turned(before, trigger, TriggerState::Unknown, None, "a run goes on".to_owned(), now);
    }
    d.look_again(ANSWERS);
    let served = d.input.world.deployment.as_ref();
    let revision = served.and_then(|s| s.revision.clone());
    let finding = match (d.input.shares.get(&trigger.name), served) {
        (_, None) => Finding::Unknown("the deployment does not exist".to_owned()),
        (Some(share), Some(_)) => quality::judge(q, share),
        (None, Some(_)) => quality::judge(q, &Share::Unknown("no version serves".to_owned())),
    };
    match finding {
        Finding::Well(words) => turned(before, trigger, TriggerState::Quiet, revision, words, now),
        Finding::Unknown(words) => turned(before, trigger, TriggerState::Unknown, revision, words, now),
        Finding::Broken(words) => {
            let state = turned(before, trigger, TriggerState::Breached, revision, words, now);
            let ripe = state.since + TimeDelta::seconds(q.for_seconds);
            if ripe <= now {
                ask_while_broken(d, &state);
            } else {
                d.look_again_at(ripe);
            }
            state
        }
    }
}

/// The state of a trigger. It is written again only when it turns, or speaks of another version: words with numbers in
/// them would make every look a write.
fn turned(
    before: TriggerStatus,
    trigger: &Trigger,
    state: TriggerState,
    revision: Option<String>,
    message: String,
    now: DateTime<Utc>,
) -> TriggerStatus {
    if before.state == state && before.revision == revision {
        return before;
    }
    TriggerStatus { name: trigger.name.clone(), state, since: now, next: None, revision, message }
}

/// How often the data is to be looked at without anybody asking for a run.
pub fn looks_every(triggers: &[Trigger]) -> Option<TimeDelta> {
    let every = triggers.iter().filter_map(|t| match t.kind()? {
        TriggerKind::NewData(data) => Some(TimeDelta::seconds(data.every_seconds)),
        _ => None,
    });
    every.min()
}

/// A look has found this: does anybody ask for a run because of it?
pub fn hear_of_data(d: &mut Draft<'_>, seen: &[SeenData]) {
    let spec = d.input.spec;
    for trigger in &spec.triggers {
        let Some(TriggerKind::NewData(NewData { min_bytes, .. })) = trigger.kind() else { continue };
        let known = &d.status.data;
        let changed: Vec<&str> = seen
            .iter()
            .filter(|s| known.iter().all(|k| k.name != s.name || k.digest != s.digest))
            .map(|s| s.name.as_str())
            .collect();
        if changed.is_empty() {
            continue;
        }
        let total = |all: &[SeenData]| all.iter().fold(0_i64, |sum, s| sum.saturating_add(s.bytes));
        let grown = total(seen).saturating_sub(total(known));
        if grown < min_bytes && min_bytes > 0 {
            continue;
        }
        let occasion: Vec<&str> = seen.iter().map(|s| s.digest.short()).collect();
        let words = format!("{} changed; {grown:+} bytes since the last run", changed.join(", "));
        ask(d, &trigger.name, format!("{} {}", occasion.join(" "), d.status.started), words);
    }
}
