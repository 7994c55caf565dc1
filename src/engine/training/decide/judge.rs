//! There is a model, and it is judged: by a Job of its own, whose number and nonce are recorded before it is made.

use chrono::{DateTime, Duration, Utc};
use serin_api::{
    Evaluation, EvaluationRecord, EvaluationStatus, Reason, ReportRef, RunOutput, RunPhase, RunResult,
    WhenNoChampion,
};
use serin_wire::EvaluationResult;

use super::{Draft, attempt, finish};
use crate::{
    canonical,
    training::{
        Child, EvaluationJob, JobEnd, ObservedJob, ObservedPod, PodPhase, Write, budget, classify, envelope,
        gate, version, waiting,
    },
};

/// First bytes of what is hashed: the version of the form.
const EVALUATION: &str = "serin.dev/evaluation/v1\n";

/// Hash of an evaluation: the same program and gate on the same data need not be asked twice.
pub(super) fn spec_hash(evaluation: &Evaluation) -> String {
    let json = serde_json::to_value(evaluation).map(canonical::text).unwrap_or_default();
    let mut hash = canonical::sha256(&[EVALUATION.as_bytes(), json.as_bytes()]);
    hash.truncate(32);
    format!("e1-{hash}")
}

pub(super) fn go_on(d: &mut Draft<'_>, output: &RunOutput) {
    let Some(evaluation) = d.input.spec.evaluation.as_ref().filter(|_| !finish::is_identical(d, output))
    else {
        return finish::go_on(d, output);
    };
    match d.status.evaluation.clone() {
        None => begin(d, evaluation, 1, None),
        Some(present) if present.result.is_some() => finish::go_on(d, output),
        Some(present) => match &present.job_uid {
            None => start(d, output, &present),
            Some(uid) => watch(d, evaluation, output, &present, uid),
        },
    }
}

/// Records what is to be asked, with a nonce that nobody could know before.
fn begin(d: &mut Draft<'_>, evaluation: &Evaluation, number: i32, last_failure: Option<String>) {
    // A version that is judged again is not compared with itself.
    let except = d.status.model_version.clone();
    let champion = match d.input.champion(except.as_deref()) {
        Ok(champion) => champion,
        Err(why) if why.held => {
            return d.complete(RunResult::Failed, why.reason, why.message);
        }
        Err(why) => return d.blocked(why),
    };
    if champion.is_none() && evaluation.gate.when_no_champion == WhenNoChampion::Reject {
        let message = "nothing serves that the model could be compared with, and whenNoChampion is Reject";
        return d.complete(RunResult::Failed, Reason::ChampionUnavailable, message);
    }
    let message = match &last_failure {
        None => format!("evaluation {number} is under way"),
        Some(why) => format!("evaluation {number} follows evaluation {}, which failed: {why}", number - 1),
    };
    d.status.evaluation = Some(EvaluationStatus {
        number,
        nonce: d.input.nonce.to_owned(),
        champion,
        started_at: d.now(),
        job_uid: None,
        last_failure,
        result: None,
    });
    d.report(RunPhase::Evaluating, Reason::Evaluating, message);
}

/// Makes the Job, or records the one that was made.
fn start(d: &mut Draft<'_>, output: &RunOutput, present: &EvaluationStatus) {
    let number = present.number;
    if let Some(job) = d.world().job(Child::Evaluation(number)) {
        if let Some(evaluation) = &mut d.status.evaluation {
            evaluation.job_uid = Some(job.uid.clone());
        }
        return d.report(RunPhase::Evaluating, Reason::Evaluating, under_way(number));
    }
    if d.input.spec.suspend {
        let message = format!("suspended; evaluation {number} starts when spec.suspend is taken away");
        return d.report(RunPhase::Suspended, Reason::Suspended, message);
    }
    if !d.is_recorded() {
        return d.report(RunPhase::Evaluating, Reason::Evaluating, under_way(number));
    }
    let old = d.world().jobs.iter().find(|j| matches!(j.child, Child::Evaluation(_)) && !j.is_over());
    if let Some(old) = old {
        if old.end.is_none() {
            d.delete(old);
        }
        let message = format!("evaluation {number} waits until Job {} of the one before is gone", old.name);
        return d.report(RunPhase::Evaluating, Reason::WaitingForOldAttempt, message);
    }
    let pause = Duration::from_std(budget::evaluation_pause(number)).unwrap_or_default();
    let due = present.started_at + pause;
    if d.now() < due {
        return d.look_again_at(due);
    }
    d.make(Write::CreateEvaluation(Box::new(EvaluationJob {
        number,
        nonce: present.nonce.clone(),
        candidate: output.model.clone(),
        champion: present.champion.clone(),
    })));
}

fn under_way(number: i32) -> String {
    format!("evaluation {number} is under way")
}

fn watch(
    d: &mut Draft<'_>,
    evaluation: &Evaluation,
    output: &RunOutput,
    present: &EvaluationStatus,
    uid: &str,
) {
    let child = Child::Evaluation(present.number);
    let Some(job) = d.world().jobs.iter().find(|job| job.child == child && job.uid == uid) else {
        d.writes.push(Write::ConfirmAbsent { job: child.name(d.input.name), uid: uid.to_owned() });
        return failed(d, evaluation, present, Failure::again("its Job was deleted by somebody"));
    };
    let pods = d.world().pods_of(uid);
    match &job.end {
        Some(JobEnd::Complete { at }) => complete(d, evaluation, output, present, (job, *at), &pods),
        Some(JobEnd::Failed { reason, message, at }) => {
            if pods.iter().all(|pod| pod.is_live()) && attempt::is_lagging(d, *at, job, &pods) {
                return;
            }
            let failure = Failure::of(reason, message, &pods);
            failed(d, evaluation, present, failure);
        }
        None if job.deleting => {
            failed(d, evaluation, present, Failure::again("its Job is being deleted by somebody"));
        }
        None => wait(d, job, present.number, &pods),
    }
}

fn wait(d: &mut Draft<'_>, job: &ObservedJob, number: i32, pods: &[&ObservedPod]) {
    let subject = format!("evaluation {number}");
    let waiting = waiting::of(&subject, d.input.spec, job, pods, true, d.now());
    if let Some(until) = waiting.until {
        d.look_again_at(until);
    }
    if waiting.phase == RunPhase::Waiting {
        return d.report(RunPhase::Evaluating, waiting.reason, waiting.message);
    }
    d.report(RunPhase::Evaluating, Reason::Evaluating, under_way(number));
}

/// Why an evaluation did not end with a result.
struct Failure {
    reason: Reason,
    message: String,
    /// Whether another one could do better.
    again: bool,
}

impl Failure {
    fn again(message: &str) -> Self {
        Self { reason: Reason::EvaluationFailed, message: message.to_owned(), again: true }
    }
    fn of(reason: &str, message: &str, pods: &[&ObservedPod]) -> Self {
        use serin_api::AttemptEnd::{Fatal, InputsRefused, NoOutput};
        let (how, message) = classify::failure(reason, message, classify::Before::default(), pods);
        let again = !matches!(how, Fatal | InputsRefused | NoOutput);
        Self { reason: Reason::EvaluationFailed, message, again }
    }
}

fn complete(
    d: &mut Draft<'_>,
    evaluation: &Evaluation,
    output: &RunOutput,
    present: &EvaluationStatus,
    (job, at): (&ObservedJob, DateTime<Utc>),
    pods: &[&ObservedPod],
) {
    let left = pods.iter().find(|pod| pod.phase == PodPhase::Succeeded && pod.program.is_some());
    let Some((pod, word)) = left.and_then(|pod| Some((pod, pod.program.as_ref()?))) else {
        if !attempt::is_lagging(d, at, job, pods) {
            let failure = Failure::again("its pod was gone before its result was read");
            failed(d, evaluation, present, failure);
        }
        return;
    };
    let expected = envelope::Expected {
        run_uid: d.input.uid,
        number: present.number,
        nonce: &present.nonce,
        model_digest: &output.model.digest,
        champion_digest: present.champion.as_ref().map(|champion| &champion.model.digest),
        eval_set_digest: &evaluation.dataset.digest,
    };
    match envelope::evaluation(&word.message, &expected) {
        Ok(result) => {
            let image = pod.image.clone().unwrap_or_else(|| evaluation.image.clone());
            freeze(d, evaluation, output, present, &result, image, at);
        }
        Err(message) => {
            failed(d, evaluation, present, Failure { reason: Reason::ResultInvalid, message, again: true });
        }
    }
}

/// The first valid result counts, and stays.
fn freeze(
    d: &mut Draft<'_>,
    evaluation: &Evaluation,
    output: &RunOutput,
    present: &EvaluationStatus,
    result: &EvaluationResult,
    evaluator_image: String,
    at: DateTime<Utc>,
) {
    let verdict = gate::judge(&evaluation.gate, result, present.champion.is_some());
    let (mut passed, mut message) = (verdict.passed, verdict.message);
    if let (true, Some(level)) = (passed, level(d, output))
        && let Err(why) = gate::level(&evaluation.gate, level)
    {
        (passed, message) = (false, why);
    }
    let record = EvaluationRecord {
        passed,
        message: message.clone(),
        spec_hash: Some(spec_hash(evaluation)),
        eval_set_digest: result.eval_set_digest.clone(),
        evaluator_image,
        champion_digest: present.champion.as_ref().map(|c| c.model.digest.0.clone()),
        champion: present.champion.as_ref().map(|c| c.version.clone()),
        metrics: verdict.metrics,
        report: result.report.as_ref().map(|r| ReportRef { uri: r.uri.clone(), digest: r.digest.clone() }),
        at: at.min(d.now()),
    };
    if let Some(status) = &mut d.status.evaluation {
        status.result = Some(record);
    }
    let reason = if passed { Reason::GatePassed } else { Reason::GateFailed };
    d.note(!passed, reason, format!("Judge/{}", present.number), message.clone());
    if passed || finish::is_about_a_version(d) {
        d.report(RunPhase::Evaluating, Reason::Recording, format!("evaluated: {message}"));
    } else {
        d.complete(RunResult::Failed, Reason::GateFailed, message);
    }
}

/// The level that the version would have. Of one that is there already it was asked when it was made.
fn level(d: &Draft<'_>, output: &RunOutput) -> Option<serin_api::Level> {
    let attempt = d.status.attempts.iter().find(|a| a.number == output.attempt)?;
    let known = d.input.known().ok()?;
    Some(version::level(&known.inputs, &attempt.images))
}

fn failed(d: &mut Draft<'_>, evaluation: &Evaluation, present: &EvaluationStatus, failure: Failure) {
    let Failure { reason, message, again } = failure;
    let number = present.number;
    let text = format!("evaluation {number}: {message}");
    d.note(true, reason, format!("EvaluationFailed/{number}"), text.clone());
    if again && number <= d.input.spec.retries.evaluations {
        begin(d, evaluation, number + 1, Some(message));
    } else {
        d.complete(RunResult::Failed, reason, text);
    }
}
