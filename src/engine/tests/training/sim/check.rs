//! What must be true at each effect, whatever happens around it.

use serin_api::TrainingRunStatus;
use serin_engine::training::{Child, Write, inputs};

use super::Sim;

macro_rules! must {
    ($sim:expr, $what:expr, $($text:tt)+) => {
        assert!($what, "{}\n{}", format!($($text)+), $sim.log())
    };
}

/// Each write, before it is done.
pub fn write(sim: &Sim, write: &Write, stale: bool) {
    let status = &sim.status;
    let over = status.completion.is_some();
    match write {
        Write::CreateService { .. } => must!(sim, !over, "a Service after the end"),
        Write::CreateAttempt { attempt, .. } => {
            must!(sim, !over, "an attempt after the end");
            must!(sim, !sim.spec.suspend, "an attempt while suspended");
            must!(sim, status.output.is_none(), "an attempt after a success");
            must!(sim, *attempt == status.attempt + 1, "attempt {attempt} after {}", status.attempt);
            must!(sim, *attempt <= 99, "a hundredth attempt");
            let alive = sim.cluster.alive();
            must!(sim, stale || alive.is_empty(), "attempt {attempt} beside {alive:?}");
            let name = Child::Attempt(*attempt).name(super::NAME);
            let made = sim.cluster.made.get(&name).copied().unwrap_or_default();
            must!(sim, stale || made == 0 || status.run_hash.is_none(), "{name} is made twice");
            must!(sim, sim.spec.managed_by.is_none(), "somebody else's run");
        }
        Write::CreateEvaluation(job) => {
            must!(sim, !over, "an evaluation after the end");
            let recorded = status.evaluation.as_ref();
            must!(
                sim,
                recorded.is_some_and(|e| e.number == job.number),
                "an evaluation that is not recorded"
            );
            must!(sim, recorded.is_some_and(|e| e.nonce == job.nonce), "a nonce that is not recorded");
            must!(sim, recorded.is_some_and(|e| e.result.is_none()), "an evaluation after a result");
            must!(sim, status.output.is_some(), "an evaluation of nothing");
        }
        Write::DeleteJob { uid, .. } => {
            let Some(job) = sim.cluster.jobs.iter().find(|j| j.uid == *uid) else { return };
            let ended = match job.child {
                Child::Attempt(n) => status.attempts.iter().any(|a| a.number == n && a.end.is_some()),
                Child::Evaluation(n) => status.evaluation.as_ref().is_some_and(|e| e.number > n),
            };
            let stray = job.run_hash != inputs::run_hash(&sim.spec);
            must!(sim, ended || over || stray, "{} deleted before its end is recorded", job.name);
        }
        Write::CreateVersion { .. } => {
            must!(sim, status.output.is_some(), "a version of nothing");
            let passed = status.evaluation.as_ref().and_then(|e| e.result.as_ref()).is_some_and(|r| r.passed);
            must!(sim, passed || sim.spec.evaluation.is_none(), "a version that did not pass");
            must!(sim, sim.spec.replay_of.is_none(), "a version of a replay");
        }
        Write::ConfirmAbsent { .. }
        | Write::ConfirmPods { .. }
        | Write::DeleteService { .. }
        | Write::VersionStatus { .. } => {}
    }
}

/// Each status, before it is written.
pub fn status(sim: &Sim, next: &TrainingRunStatus) {
    let old = &sim.status;
    must!(sim, sim.spec.managed_by.is_none(), "somebody else's status");
    must!(sim, old.completion.is_none() || old.completion == next.completion, "the end has changed");
    must!(sim, old.attempt <= next.attempt, "an attempt is forgotten");
    must!(sim, next.attempts.len() <= 20, "attempts grow");
    let (a, b) = (&old.spent, &next.spent);
    let grows = a.crashes <= b.crashes
        && a.disruptions <= b.disruptions
        && a.starts <= b.starts
        && a.running_seconds <= b.running_seconds;
    must!(sim, grows, "a budget is given back");
    for attempt in old.attempts.iter().filter(|a| a.end.is_some()) {
        let same = next.attempts.iter().find(|b| b.number == attempt.number).is_none_or(|b| b == attempt);
        must!(sim, same, "the end of attempt {} has changed", attempt.number);
    }
    if let (Some(a), Some(b)) = (&old.output, &next.output) {
        must!(sim, a == b, "the output has changed");
    }
    if let Some(a) = old.evaluation.as_ref().filter(|e| e.result.is_some()) {
        must!(sim, next.evaluation.as_ref() == Some(a), "a frozen result has changed");
    }
}
