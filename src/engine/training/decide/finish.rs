//! A model that was let through becomes a version. Everything that goes into it is recorded already, so that it comes out
//! the same however often this is begun.

use std::sync::Arc;

use serin_api::{
    Digest, EvaluationRecord, Level, Reason, Replay, ReplayOutcome, RunOutput, RunPhase, RunResult,
};

use super::{Draft, refs::Unusable};
use crate::training::{KnownVersion, VersionEvent, VersionNews, Write, version};

/// SLSA `builder.id`.
pub const BUILDER: &str = concat!("https://serin.dev/operator@", env!("CARGO_PKG_VERSION"));

/// Whether the judgement is written to a version that is there already.
pub(super) fn is_about_a_version(d: &Draft<'_>) -> bool {
    d.input.spec.replay_of.is_some() || d.status.output.as_ref().is_some_and(|output| output.attempt == 0)
}

/// Whether this was a training again and the same bytes came out: there is nothing left to judge.
pub(super) fn is_identical(d: &Draft<'_>, output: &RunOutput) -> bool {
    let replayed = d.input.spec.replay_of.as_ref().and_then(|name| d.world().version(name));
    replayed.is_some_and(|version| version.files.digest == output.model.digest)
}

pub(super) fn go_on(d: &mut Draft<'_>, output: &RunOutput) {
    if !d.is_recorded() {
        return d.report(RunPhase::Evaluating, Reason::Recording, "trained; the version is being recorded");
    }
    let judgement = d.status.evaluation.as_ref().and_then(|e| e.result.clone());
    if output.attempt == 0 {
        return judged_again(d, judgement);
    }
    if d.input.spec.replay_of.is_some() {
        return replayed(d, output, judgement.as_ref());
    }
    match judgement {
        Some(judgement) if !judgement.passed => {
            d.complete(RunResult::Failed, Reason::GateFailed, judgement.message);
        }
        judgement => record(d, output, judgement),
    }
}

/// The usual end.
fn record(d: &mut Draft<'_>, output: &RunOutput, judgement: Option<EvaluationRecord>) {
    let known = match d.input.known() {
        Ok(known) => known,
        Err(why) => return d.blocked(why),
    };
    let Some(attempt) = d.status.attempts.iter().find(|a| a.number == output.attempt) else {
        // Only a status that was written by hand lacks it.
        return d.hold(
            Reason::InvalidSpec,
            "status.attempts lacks the attempt of status.output: make another run",
        );
    };
    let (spec, digest) = (d.input.spec, Digest(known.digest));
    let name = version::name(&spec.model, &output.model.digest, &digest);
    if let Some(why) = d.world().version(&name).and_then(|version| version.revoked.as_ref()) {
        let message = format!("{name} has the same bytes from the same inputs, and was revoked ({why})");
        return d.complete(RunResult::Failed, Reason::VersionRevoked, message);
    }
    let level = version::level(&known.inputs, &attempt.images);
    let champion = d.status.evaluation.as_ref().and_then(|e| e.champion.as_ref());
    let content = version::spec(version::Trained {
        run: d.input.name,
        uid: d.input.uid,
        model: &spec.model,
        storage: &spec.storage,
        inputs: known.inputs,
        artifact: output.model.clone(),
        attempt,
        running_seconds: d.status.spent.running_seconds,
        builder: BUILDER,
        parent: champion.map(|champion| champion.version.as_str()).filter(|parent| *parent != name),
    });
    let there = d.world().version(&name).is_some_and(|version| {
        version.files.digest == content.artifact.digest && version.inputs_digest == content.inputs_digest
    });
    if !there {
        d.writes.push(Write::CreateVersion { name: name.clone(), spec: Box::new(content) });
    }
    let message = match &judgement {
        Some(judgement) => format!("{name} is recorded: {}", judgement.message),
        None => format!("{name} is recorded; nobody was asked to judge it"),
    };
    news(d, &name, Some(level), VersionEvent::Recorded(judgement));
    d.status.model_version = Some(name);
    d.complete(RunResult::Succeeded, Reason::VersionRecorded, message);
}

/// The run was about inputs that are known: the version is there, and now judged in this way, too.
fn judged_again(d: &mut Draft<'_>, judgement: Option<EvaluationRecord>) {
    let name = d.status.model_version.clone().unwrap_or_default();
    let version = match usable(d, &name) {
        Ok(version) => version,
        Err(why) => return d.complete(RunResult::Failed, why.reason, why.message),
    };
    let Some(judgement) = judgement else { return };
    let (passed, message) = (judgement.passed, judgement.message.clone());
    news(d, &version.name, None, VersionEvent::Judged(judgement));
    if passed {
        let message = format!("{name} was made from the same inputs, and was judged again: {message}");
        d.complete(RunResult::Reused, Reason::Reused, message);
    } else {
        d.status.model_version = None;
        let message = format!("{name} was made from the same inputs, and was judged again: {message}");
        d.complete(RunResult::Failed, Reason::GateFailed, message);
    }
}

fn usable<'a>(d: &Draft<'a>, name: &str) -> Result<&'a Arc<KnownVersion>, Unusable> {
    let unusable = |reason, message| Err(Unusable { reason, message, held: true });
    match d.world().version(name) {
        None => unusable(
            Reason::VersionNotFound,
            format!("{name} went away while it was judged: make another run"),
        ),
        Some(version) => match &version.revoked {
            Some(why) => {
                unusable(Reason::VersionRevoked, format!("{name} was revoked ({why}) while it was judged"))
            }
            None => Ok(version),
        },
    }
}

/// A training again: its outcome is written to the version, and no other version is made.
fn replayed(d: &mut Draft<'_>, output: &RunOutput, judgement: Option<&EvaluationRecord>) {
    let digest = d.status.inputs_digest.clone().unwrap_or_default();
    let version = match d.input.replayed(&digest) {
        Ok(Some(version)) => Arc::clone(version),
        Ok(None) => return,
        Err(why) => return d.blocked(why),
    };
    let name = version.name.clone();
    let (outcome, message) = if version.files.digest == output.model.digest {
        (ReplayOutcome::Identical, format!("{name} was trained again, and the same bytes came out"))
    } else {
        match judgement {
            Some(judgement) if judgement.passed => (
                ReplayOutcome::WithinTolerance,
                format!("{name} was trained again, to other bytes within tolerance: {}", judgement.message),
            ),
            Some(judgement) => (
                ReplayOutcome::Different,
                format!("{name} was trained again, and it came out different: {}", judgement.message),
            ),
            None => (
                ReplayOutcome::Different,
                format!("{name} was trained again, other bytes came out, and nobody was asked to judge them"),
            ),
        }
    };
    let ended = d.status.attempts.iter().find(|a| a.number == output.attempt).and_then(|a| a.ended_at);
    let at = judgement.map(|j| j.at).or(ended).unwrap_or(d.now());
    let replay = Replay {
        run: d.input.name.to_owned(),
        uid: d.input.uid.to_owned(),
        outcome,
        message: message.clone(),
        at,
    };
    let level = match outcome {
        ReplayOutcome::Identical => Some(Level::Identical),
        ReplayOutcome::WithinTolerance => Some(Level::Replayed),
        ReplayOutcome::Different => None,
    };
    news(d, &name, level, VersionEvent::Replayed(replay));
    if outcome == ReplayOutcome::Different {
        return d.complete(RunResult::Failed, Reason::GateFailed, message);
    }
    d.status.model_version = Some(name);
    d.complete(RunResult::Succeeded, Reason::VersionRecorded, message);
}

fn news(d: &mut Draft<'_>, name: &str, level: Option<Level>, event: VersionEvent) {
    let news = Box::new(VersionNews { level, event });
    d.writes.push(Write::VersionStatus { name: name.to_owned(), news });
}
