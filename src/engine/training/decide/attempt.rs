//! An attempt is under way: it starts, runs and ends.

use chrono::{DateTime, Duration, Utc};
use serin_api::{Attempt, AttemptEnd, Layout, ModelFiles, Reason, RunOutput, RunPhase, RunResult};
use serin_wire::TrainingResult;

use super::{Draft, between, judge};
use crate::training::{
    Child, JobEnd, ObservedJob, ObservedPod, PodPhase, Write,
    budget::{self, After},
    classify, envelope, waiting,
};

/// The cache of pods may lag behind that of Jobs. After so many seconds the apiserver itself is asked.
const LAG_SECONDS: i64 = 10;

pub(super) fn go_on(d: &mut Draft<'_>, attempt: &Attempt) {
    let child = Child::Attempt(attempt.number);
    let job = d.world().jobs.iter().find(|job| job.child == child && job.uid == attempt.job_uid);
    let pods = d.world().pods_of(&attempt.job_uid);
    let Some(job) = job else {
        d.writes.push(Write::ConfirmAbsent { job: child.name(d.input.name), uid: attempt.job_uid.clone() });
        let message = "its Job was deleted by somebody";
        return end(d, attempt, AttemptEnd::Disrupted, message, d.now(), &pods);
    };
    match &job.end {
        Some(JobEnd::Complete { at }) => return complete(d, attempt, job, *at, &pods),
        Some(JobEnd::Failed { reason, message, at }) => {
            let told = pods.iter().any(|pod| !pod.is_live());
            if !told && is_lagging(d, *at, job, &pods) {
                return;
            }
            let before = classify::Before {
                ran: attempt.running_at.is_some() || runs_since(d, job, &pods).is_some(),
                disruption: attempt.message.as_deref(),
            };
            let (how, message) = classify::failure(reason, message, before, &pods);
            return end(d, attempt, how, &message, *at, &pods);
        }
        None => {}
    }
    if d.input.spec.suspend {
        return end(d, attempt, AttemptEnd::Suspended, "", d.now(), &pods);
    }
    if job.deleting {
        let message = "its Job is being deleted by somebody";
        return end(d, attempt, AttemptEnd::Disrupted, message, d.now(), &pods);
    }
    under_way(d, attempt, job, &pods);
}

/// Whether the pods may still be about to tell more. Nothing is said meanwhile: it lasts a moment. What is decided
/// without them afterwards is decided only if the apiserver has no more either.
pub(super) fn is_lagging(
    d: &mut Draft<'_>,
    since: DateTime<Utc>,
    job: &ObservedJob,
    pods: &[&ObservedPod],
) -> bool {
    let until = since + Duration::seconds(LAG_SECONDS);
    if d.now() < until {
        d.look_again_at(until);
        return true;
    }
    let ended = pods.iter().filter(|pod| !pod.is_live()).map(|pod| pod.name.clone()).collect();
    d.writes.push(Write::ConfirmPods { job_uid: job.uid.clone(), ended });
    false
}

fn under_way(d: &mut Draft<'_>, recorded: &Attempt, job: &ObservedJob, pods: &[&ObservedPod]) {
    let mut attempt = recorded.clone();
    if job.suspended && attempt.running_at.is_some() {
        // The queue took its place away. The same Job goes on when it is admitted again; its time so far counts.
        d.status.spent.running_seconds += budget::stretch(&attempt, d.now());
        attempt.running_at = None;
        attempt.message = None;
        let message = format!("attempt {} was sent back into the queue", attempt.number);
        d.note(true, Reason::Queued, format!("Evict/{}", attempt.number), message);
    } else if !job.suspended && attempt.running_at.is_none() {
        attempt.running_at = runs_since(d, job, pods);
        if attempt.running_at.is_some() {
            remember_images(&mut attempt, pods);
            let message = format!("attempt {} runs", attempt.number);
            d.note(false, Reason::Training, format!("Run/{}", attempt.number), message);
        }
    }
    if attempt.message.is_none() && d.input.spec.trainer.min_nodes.is_none() {
        // It ends the attempt, but its pod may be gone by then, and the crashes of others are all there is to see.
        attempt.message = classify::disruption(pods);
    }
    put(d, attempt.clone());

    if let Some(left) = budget::left(d.input.spec.deadline_seconds, &d.status.spent) {
        let due = attempt.running_at.map(|since| since + Duration::seconds(left.max(0)));
        if left <= 0 || due.is_some_and(|due| due <= d.now()) {
            let message = "its time is up (deadlineSeconds, all attempts together)";
            return end(d, &attempt, AttemptEnd::DeadlineExceeded, message, d.now(), pods);
        }
        if let Some(due) = due {
            d.look_again_at(due);
        }
    }
    let number = attempt.number;
    let findable = d.input.spec.trainer.nodes == 1 || service(d, number);
    if attempt.running_at.is_some() {
        return d.report(RunPhase::Running, Reason::Training, format!("attempt {number} runs"));
    }
    let subject = format!("attempt {number}");
    let waiting = waiting::of(&subject, d.input.spec, job, pods, findable, d.now());
    if !job.suspended {
        let seconds = d.input.spec.pre_running_deadline_seconds;
        let due = job.started_at.unwrap_or(job.created_at) + Duration::seconds(seconds);
        if due <= d.now() {
            let message = format!("its pods did not all run within {seconds} s ({})", waiting.message);
            return end(d, &attempt, AttemptEnd::NeverStarted, &message, d.now(), pods);
        }
        d.look_again_at(due);
    }
    if let Some(until) = waiting.until {
        d.look_again_at(until);
    }
    d.report(waiting.phase, waiting.reason, waiting.message);
}

/// Keeps the Service by which ranks find each other.
fn service(d: &mut Draft<'_>, number: i32) -> bool {
    if let Some(service) = d.world().service(number) {
        return !service.deleting;
    }
    d.writes.push(Write::CreateService { attempt: number });
    false
}

/// Since when all pods that it takes run.
fn runs_since(d: &Draft<'_>, job: &ObservedJob, pods: &[&ObservedPod]) -> Option<DateTime<Utc>> {
    all_since(d, job.parallelism, pods.iter().filter(|pod| pod.phase != PodPhase::Pending))
}

/// Since when there are as many of these as the program can do with.
fn all_since<'p>(
    d: &Draft<'_>,
    most: i32,
    pods: impl Iterator<Item = &'p &'p ObservedPod>,
) -> Option<DateTime<Utc>> {
    let needed = d.input.spec.trainer.min_nodes.unwrap_or(most).min(most).max(1);
    let mut ranks: Vec<_> = pods.filter_map(|pod| Some((pod.index, pod.started_at?))).collect();
    ranks.sort_unstable();
    ranks.dedup_by_key(|(index, _)| *index);
    let enough = i32::try_from(ranks.len()).unwrap_or(i32::MAX) >= needed;
    let since = ranks.iter().map(|(_, since)| *since).max()?;
    enough.then(|| since.min(d.now()))
}

fn remember_images(attempt: &mut Attempt, pods: &[&ObservedPod]) {
    attempt.images.extend(pods.iter().filter_map(|pod| pod.image.clone()));
    attempt.images.sort_unstable();
    attempt.images.dedup();
}

fn put(d: &mut Draft<'_>, attempt: Attempt) {
    if let Some(place) = d.status.attempts.iter_mut().find(|a| a.number == attempt.number) {
        *place = attempt;
    }
}

/// The Job is complete: what counts is what index 0 left.
fn complete(
    d: &mut Draft<'_>,
    attempt: &Attempt,
    job: &ObservedJob,
    at: DateTime<Utc>,
    pods: &[&ObservedPod],
) {
    let left = pods.iter().filter(|pod| pod.index == 0 && pod.phase == PodPhase::Succeeded);
    let Some(word) = left.filter_map(|pod| pod.program.as_ref()).map(|end| &end.message).next() else {
        if !is_lagging(d, at, job, pods) {
            let message = "its pod was gone before its result was read";
            end(d, attempt, AttemptEnd::Disrupted, message, at, pods);
        }
        return;
    };
    match envelope::training(word, d.input.uid, attempt.number, &d.input.spec.output.uri) {
        Ok(result) => succeeded(d, attempt, at, pods, result),
        Err(why) => end(d, attempt, AttemptEnd::ResultInvalid, &why, at, pods),
    }
}

fn succeeded(
    d: &mut Draft<'_>,
    attempt: &Attempt,
    at: DateTime<Utc>,
    pods: &[&ObservedPod],
    result: TrainingResult,
) {
    let published = result.output;
    let output = RunOutput {
        model: ModelFiles {
            uri: published.uri,
            digest: serin_api::Digest(published.digest),
            layout: match published.layout {
                serin_wire::Layout::File => Layout::File,
                serin_wire::Layout::Directory => Layout::Directory,
            },
            size_bytes: i64::try_from(published.size_bytes).unwrap_or(i64::MAX),
            format: None,
        },
        attempt: attempt.number,
    };
    let mut attempt = attempt.clone();
    attempt.resumed_from = result.resumed_from;
    close(d, attempt, AttemptEnd::Succeeded, "", at, pods);
    d.status.output = Some(output.clone());
    judge::go_on(d, &output);
}

/// Records how an attempt ended. What follows from it is done when that is recorded.
fn end(
    d: &mut Draft<'_>,
    attempt: &Attempt,
    how: AttemptEnd,
    message: &str,
    at: DateTime<Utc>,
    pods: &[&ObservedPod],
) {
    close(d, attempt.clone(), how, message, at, pods);
    let number = attempt.number;
    let reason = reason(how);
    let note = if message.is_empty() {
        format!("attempt {number} ended: {reason}")
    } else {
        format!("attempt {number} ended: {reason}: {message}")
    };
    d.note(how != AttemptEnd::Suspended, reason, format!("End/{number}"), note);
    let spec = d.input.spec;
    match budget::after(how, number, &d.status.spent, &spec.retries, spec.deadline_seconds) {
        After::Nothing(reason) => {
            let message = match message {
                "" => format!("attempt {number} is the last that a run may have"),
                said => format!("attempt {number}: {said}"),
            };
            d.complete(RunResult::Failed, reason, message);
        }
        After::Another => {
            if let Some(last) = d.status.attempts.last().cloned() {
                between::go_on(d, &last);
            }
        }
    }
}

fn close(
    d: &mut Draft<'_>,
    mut attempt: Attempt,
    how: AttemptEnd,
    message: &str,
    at: DateTime<Utc>,
    pods: &[&ObservedPod],
) {
    let at = at.min(d.now());
    if attempt.running_at.is_none() {
        // It ran while nobody looked.
        attempt.running_at =
            all_since(d, d.input.spec.trainer.nodes, pods.iter()).filter(|since| *since <= at);
    }
    budget::charge(&mut d.status.spent, how, budget::stretch(&attempt, at));
    remember_images(&mut attempt, pods);
    attempt.ended_at = Some(at);
    attempt.end = Some(how);
    attempt.message = (!message.is_empty()).then(|| message.to_owned());
    put(d, attempt);
}

fn reason(end: AttemptEnd) -> Reason {
    match end {
        AttemptEnd::Succeeded => Reason::Training,
        AttemptEnd::Crashed => Reason::Crashed,
        AttemptEnd::Disrupted => Reason::Disrupted,
        AttemptEnd::Fatal => Reason::Fatal,
        AttemptEnd::InputsRefused => Reason::InputsRefused,
        AttemptEnd::NoOutput => Reason::NoOutput,
        AttemptEnd::DeadlineExceeded => Reason::DeadlineExceeded,
        AttemptEnd::NeverStarted => Reason::NeverStarted,
        AttemptEnd::Suspended => Reason::Suspended,
        AttemptEnd::ResultInvalid => Reason::ResultInvalid,
    }
}
