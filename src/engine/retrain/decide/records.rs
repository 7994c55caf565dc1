//! The runs of a policy: recorded once they are there, and how they ended.

use serin_api::{Live, Reason, RunRecord, RunResult};

use super::{super::world::ObservedRun, Draft};

/// Records in a status. A budget has at most as many.
const KEPT: usize = 20;

/// Takes in what became of the runs.
pub fn update(d: &mut Draft<'_>) {
    adopt(d);
    end(d);
    follow(d);
    settle(d);
    d.status.active = d.status.runs.iter().rev().find(|r| r.ended_at.is_none()).map(|r| r.name.clone());
}

/// A run that was made before this look, or just before a restart. What asked for it is answered.
fn adopt(d: &mut Draft<'_>) {
    let mut new: Vec<&ObservedRun> =
        d.input.world.runs.iter().filter(|run| run.number > d.status.started).collect();
    new.sort_by_key(|run| run.number);
    for run in new {
        let pending = d.status.pending.take_if(|p| p.trigger == run.trigger);
        let message = pending.map_or_else(String::new, |p| p.message);
        d.note(
            false,
            Reason::RetrainStarted,
            &run.name,
            format!("{} was started by {}: {message}", run.name, run.trigger),
        );
        d.status.started = run.number;
        d.status.pending = None;
        d.status.look = None;
        d.status.nothing_new_at = None;
        d.status.runs.push(RunRecord {
            name: run.name.clone(),
            uid: run.uid.clone(),
            number: run.number,
            trigger: run.trigger.clone(),
            message,
            inputs: run.inputs.clone(),
            started_at: run.created_at,
            ended_at: None,
            result: None,
            reason: None,
            version: None,
            live: None,
        });
    }
    let surplus = d.status.runs.len().saturating_sub(KEPT);
    d.status.runs.drain(..surplus);
}

/// How runs ended; one that is gone before it ended was deleted by somebody.
fn end(d: &mut Draft<'_>) {
    let (world, now) = (d.input.world, d.input.now);
    let mut notes = Vec::new();
    for record in d.status.runs.iter_mut().filter(|r| r.ended_at.is_none()) {
        match world.runs.iter().find(|run| run.uid == record.uid) {
            None => {
                record.ended_at = Some(now);
                notes.push((
                    true,
                    record.name.clone(),
                    format!("{} was deleted before its end", record.name),
                ));
            }
            Some(ObservedRun { end: Some(end), .. }) => {
                record.ended_at = Some(end.at);
                record.result = Some(end.result);
                record.reason = Some(end.reason.clone());
                record.version.clone_from(&end.version);
                let (failed, words) = match (end.result, &end.version) {
                    (RunResult::Succeeded, Some(version)) => (false, format!("led to version {version}")),
                    (RunResult::Reused, Some(version)) => {
                        (false, format!("found that {version} was made from the same"))
                    }
                    (RunResult::Succeeded | RunResult::Reused, None) => (false, "ended well".to_owned()),
                    (RunResult::Failed, _) => (true, format!("brought no version: {}", end.reason)),
                };
                notes.push((failed, record.name.clone(), format!("{} {words}", record.name)));
            }
            Some(ObservedRun { end: None, .. }) => {}
        }
    }
    for (failed, name, message) in notes {
        d.note(failed, Reason::RetrainEnded, &format!("end {name}"), message);
    }
}

/// What came of the versions.
fn follow(d: &mut Draft<'_>) {
    let lives = &d.input.world.lives;
    for record in &mut d.status.runs {
        let live = record.version.as_ref().and_then(|version| lives.get(version));
        if let Some(live) = live {
            record.live = Some(*live);
        }
    }
}

/// The same inputs again would come to the same: a version, or the gate's refusal. A crash says nothing about inputs.
fn settle(d: &mut Draft<'_>) {
    let gate = Reason::GateFailed.as_str();
    let came_to_a_result = |r: &&RunRecord| match r.result {
        Some(RunResult::Succeeded | RunResult::Reused) => true,
        Some(RunResult::Failed) => r.reason.as_deref() == Some(gate),
        None => false,
    };
    if let Some(last) = d.status.runs.iter().rev().find(came_to_a_result) {
        d.status.settled = Some(last.inputs.clone());
    }
}

/// Whether a run brought something better; `None`: it cannot be said, or there was nothing to bring.
fn was_effective(record: &RunRecord) -> Option<bool> {
    record.ended_at?;
    match (record.result, record.live) {
        (Some(RunResult::Reused), _) => None,
        (Some(RunResult::Succeeded), Some(Live::RolledBack)) | (Some(RunResult::Failed) | None, _) => {
            Some(false)
        }
        (Some(RunResult::Succeeded), Some(Live::Promoted) | None) => Some(true),
    }
}

/// Runs in a row, up to the last one, that brought nothing better and that nobody has looked at.
pub fn ineffective(records: &[RunRecord], forgiven: i32) -> i32 {
    let recent = records.iter().rev().filter(|r| r.number > forgiven);
    let row = recent.filter_map(was_effective).take_while(|effective| !*effective).count();
    i32::try_from(row).unwrap_or(i32::MAX)
}
