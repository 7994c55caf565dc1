//! Nothing was made yet. What can be found out before hours of training is found out here.

use std::sync::Arc;

use serin_api::{Evaluation, Reason, RunOutput, RunPhase, RunResult};

use super::{Draft, judge, refs::Known};
use crate::training::{KnownVersion, Write, budget};

pub(super) fn go_on(d: &mut Draft<'_>) {
    if d.input.spec.suspend {
        return d.report(RunPhase::Suspended, Reason::Suspended, "spec.suspend is set; nothing was started");
    }
    let known = match d.input.known() {
        Ok(known) => known,
        Err(why) => return d.blocked(why),
    };
    if let Err(why) = d.input.replayed(&known.digest) {
        return d.blocked(why);
    }
    if let Err(why) = d.input.champion(None) {
        return d.blocked(why);
    }
    match same_inputs(d, &known) {
        Some(version) => reuse(d, &known, &version),
        None => start(d, 1, &known),
    }
}

/// A version with these inputs that may be used, unless the run wants to be trained nevertheless.
fn same_inputs(d: &Draft<'_>, known: &Known) -> Option<Arc<KnownVersion>> {
    let spec = d.input.spec;
    if spec.rerun_token.is_some() || spec.replay_of.is_some() {
        return None;
    }
    let same = |version: &&Arc<KnownVersion>| {
        version.model == spec.model
            && version.revoked.is_none()
            && version.inputs_digest.as_ref().is_some_and(|digest| digest.0 == known.digest)
    };
    let all: Vec<_> = d.world().versions.iter().filter(same).collect();
    let answered = |version: &&&Arc<KnownVersion>| is_answered(spec.evaluation.as_ref(), version);
    all.iter().find(answered).or(all.first()).map(|version| Arc::clone(version))
}

/// Whether a version passed the very evaluation that is asked for.
fn is_answered(evaluation: Option<&Evaluation>, version: &KnownVersion) -> bool {
    let Some(evaluation) = evaluation else { return true };
    let hash = judge::spec_hash(evaluation);
    let last = version.judgements.iter().rev().find(|j| j.spec_hash.as_deref() == Some(hash.as_str()));
    last.is_some_and(|judgement| judgement.passed)
}

fn reuse(d: &mut Draft<'_>, known: &Known, version: &KnownVersion) {
    d.status.run_hash = Some(crate::training::inputs::run_hash(d.input.spec));
    d.status.inputs_digest = Some(known.digest.clone());
    d.status.model_version = Some(version.name.clone());
    if is_answered(d.input.spec.evaluation.as_ref(), version) {
        let message = format!(
            "{} was made from the same inputs; nothing was trained (rerunToken makes it train again)",
            version.name
        );
        return d.complete(RunResult::Reused, Reason::Reused, message);
    }
    let output = RunOutput { model: version.files.clone(), attempt: 0 };
    d.status.output = Some(output.clone());
    judge::go_on(d, &output);
}

/// Makes an attempt's Job. It is recorded when it is seen: names make that idempotent, and a quorum read of the run comes
/// first, so that a run that has ended never gets another one.
pub(super) fn start(d: &mut Draft<'_>, number: i32, known: &Known) {
    if d.input.spec.trainer.nodes > 1 {
        match d.world().service(number) {
            None => d.writes.push(Write::CreateService { attempt: number }),
            Some(service) if service.deleting => {
                let message = format!("the former Service {} is being deleted", service.name);
                return d.report(RunPhase::Waiting, Reason::WaitingForOldAttempt, message);
            }
            Some(_) => {}
        }
    }
    let remaining = budget::left(d.input.spec.deadline_seconds, &d.status.spent);
    d.make(Write::CreateAttempt { attempt: number, base: known.base.clone(), remaining });
}
