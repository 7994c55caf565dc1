//! What the pods of a Job do, and what is seen of them.

use super::{
    super::{UID, at},
    *,
};

pub(super) fn train(job: &mut Job, program: Program, now: i64, bytes: char) {
    let starts = now + STARTUP;
    job.pods = (0..job.nodes).map(|index| Pod::new(index, starts)).collect();
    let last = job.pods.len() - 1;
    let failed = |reason: &str, message: String| Err((reason.to_owned(), message));
    let policy = |rule: i32| {
        let message = format!("Container train for pod ns/p failed matching FailJob rule at index {rule}");
        failed("PodFailurePolicy", message)
    };
    let backoff = || failed("BackoffLimitExceeded", "Job has reached the specified backoff limit".to_owned());
    let crash = starts + CRASHES_AFTER;
    let killed = crash + KILLING_TAKES;
    match program {
        Program::Good | Program::Says(_) | Program::Gone => {
            let done = starts + TRAINS;
            let words = match program {
                Program::Says(words) => words(job),
                _ => published(UID, job.number(), bytes),
            };
            for pod in &mut job.pods {
                let words = if pod.index == 0 { words.clone() } else { String::new() };
                pod.ends = Some((done, 0, words));
                pod.gone_at = matches!(program, Program::Gone).then_some(done);
            }
            job.end = Some((done, Ok(())));
        }
        Program::Exit(code) => {
            job.pods[last].ends = Some((crash, code, "first error".to_owned()));
            let end = match code {
                40..=49 => policy(1),
                50 => policy(2),
                51 => policy(3),
                _ => backoff(),
            };
            job.end = Some((killed, end));
        }
        Program::Prepare(code) => {
            for pod in &mut job.pods {
                pod.starts = None;
            }
            job.pods[0].prepare = Some((now + 2, code));
            job.end = Some((now + 2 + KILLING_TAKES, if code == 50 { policy(2) } else { backoff() }));
        }
        Program::Disrupted => {
            job.pods[0].disrupted = Some(crash);
            job.pods[0].ends = Some((crash, 143, String::new()));
            job.end = Some((killed, policy(0)));
        }
        Program::Blamed => {
            job.pods[0].disrupted = Some(crash + 1);
            job.pods[last].ends = Some((crash, 1, "connection reset by peer".to_owned()));
            job.end = Some((killed, backoff()));
        }
        Program::Hangs => {}
        Program::NoNode => {
            job.pods[last].starts = None;
            job.pods[last].waits = Some(Wait::Node("0/3 nodes are available: 3 Insufficient cpu".to_owned()));
        }
        Program::NoImage => {
            for pod in &mut job.pods {
                pod.starts = None;
                pod.waits = Some(Wait::Image("not found".to_owned()));
            }
        }
    }
}

pub(super) fn judge(job: &mut Job, task: &EvaluationJob, judge: Judge, now: i64) {
    let starts = now + STARTUP;
    let done = starts + JUDGES;
    let mut pod = Pod::new(0, starts);
    match judge {
        Judge::Scores(_) | Judge::Says(_) | Judge::Gone => {
            let words = match judge {
                Judge::Scores(accuracy) => measured(task, accuracy),
                Judge::Says(words) => words(task),
                _ => measured(task, 0.9),
            };
            pod.ends = Some((done, 0, words));
            pod.gone_at = matches!(judge, Judge::Gone).then_some(done);
            job.end = Some((done, Ok(())));
        }
        Judge::Exit(code) => {
            pod.ends = Some((done, code, "no such column".to_owned()));
            let message = "Job has reached the specified backoff limit".to_owned();
            job.end = Some((done + 1, Err(("BackoffLimitExceeded".to_owned(), message))));
        }
        Judge::Hangs => {
            pod.gone_at = Some(now + JUDGE_DEADLINE);
            let message = "Job was active longer than specified deadline".to_owned();
            job.end = Some((now + JUDGE_DEADLINE, Err(("DeadlineExceeded".to_owned(), message))));
        }
    }
    job.pods = vec![pod];
}

pub(super) fn observed(job: &Job, pod: &Pod, now: i64) -> Option<ObservedPod> {
    let past = |t: i64| t <= now;
    let admitted = job.admitted.is_some_and(past);
    let killed = job.is_over(now) && pod.ends.is_none() && pod.prepare.is_none();
    if !admitted || killed || pod.gone_at.is_some_and(past) {
        return None;
    }
    let end = |at_: i64, code: i32, message: &str| ContainerEnd {
        code,
        reason: if code == 0 { "Completed" } else { "Error" }.to_owned(),
        message: message.to_owned(),
        at: at(at_),
    };
    let program =
        pod.ends.as_ref().filter(|(t, ..)| past(*t)).map(|(t, code, message)| end(*t, *code, message));
    let prepare = pod.prepare.filter(|(t, _)| past(*t)).map(|(t, code)| end(t, code, "wrong digest"));
    let started = pod.starts.filter(|t| past(*t));
    let phase = match (&program, &prepare) {
        (Some(end), None) if end.code == 0 => PodPhase::Succeeded,
        (Some(_), _) | (_, Some(_)) => PodPhase::Failed,
        (None, None) if started.is_some() => PodPhase::Running,
        (None, None) => PodPhase::Pending,
    };
    let waits = (phase == PodPhase::Pending).then(|| pod.waits.clone().unwrap_or(Wait::Inputs));
    Some(ObservedPod {
        name: format!("{}-{}", job.name, pod.index),
        job_uid: job.uid.clone(),
        index: pod.index,
        phase,
        deleting: job.gone_at.is_some(),
        disrupted: pod.disrupted.filter(|t| past(*t)).map(|_| "node is gone".to_owned()),
        started_at: started.map(at),
        image: started.map(|_| format!("registry.example/wine@sha256:{}", hex('1'))),
        prepare,
        program,
        waits,
    })
}
