//! Conditions, so that `kubectl wait`, Helm, Flux and Argo CD read the truth (kstatus: Stalled is Failed, Reconciling is
//! InProgress). A run that waits in a queue is in progress.

use serin_api::{
    Reason, RunPhase, RunResult, TrainingRunStatus,
    conditions::{self, State, Type},
};

use super::Input;

/// What there is to say of a run, in the end of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headline {
    /// For the printer column.
    pub phase: RunPhase,
    /// Why.
    pub reason: Reason,
    /// In words.
    pub message: String,
    /// Whether only a person can go on from here.
    pub held: bool,
}

/// The headline that stands in a status: reason and message.
pub fn recorded(status: &TrainingRunStatus) -> Option<(&str, &str)> {
    conditions::get(&status.conditions, Type::Succeeded).map(|c| (c.reason.as_str(), c.message.as_str()))
}

/// Sets everything that follows from the headline and the rest of the status.
pub fn finish(status: &mut TrainingRunStatus, input: &Input<'_>, headline: &Headline) {
    let Headline { phase, reason, message, held } = headline;
    status.phase = Some(*phase);
    let over = status.completion.as_ref().map(|c| c.result);
    let (ready, succeeded) = match over {
        Some(RunResult::Succeeded | RunResult::Reused) => (State::True, State::True),
        Some(RunResult::Failed) => (State::False, State::False),
        None => (State::False, State::Unknown),
    };
    let failed = over == Some(RunResult::Failed);
    let stalled = failed || *held;
    let reconciling = over.is_none() && !held;
    let mut set = |ty, state, reason: Reason, text: &str| {
        let all = &mut status.conditions;
        conditions::set(all, ty, state, reason, text, input.generation, input.now);
    };
    set(Type::Ready, ready, *reason, message);
    set(Type::Succeeded, succeeded, *reason, message);
    // The message stands where it is true; elsewhere it would read as its opposite.
    set(Type::Stalled, stalled.into(), *reason, if stalled { message } else { "" });
    set(Type::Reconciling, reconciling.into(), *reason, if reconciling { message } else { "" });
    running(status, input, *reason);
    evaluated(status, input);
    for condition in &mut status.conditions {
        condition.observed_generation = input.generation;
    }
    status.observed_generation = input.generation;
}

fn running(status: &mut TrainingRunStatus, input: &Input<'_>, reason: Reason) {
    let runs = status.attempts.last().is_some_and(|a| a.running_at.is_some() && a.end.is_none());
    let reason = if runs { Reason::Training } else { reason };
    let all = &mut status.conditions;
    conditions::set(all, Type::Running, runs.into(), reason, "", input.generation, input.now);
}

fn evaluated(status: &mut TrainingRunStatus, input: &Input<'_>) {
    let reused = status.completion.as_ref().is_some_and(|c| c.result == RunResult::Reused);
    let result = status.evaluation.as_ref().and_then(|e| e.result.as_ref());
    let (state, reason, message) = match (result, &input.spec.evaluation) {
        (Some(result), _) if result.passed => (State::True, Reason::GatePassed, result.message.clone()),
        (Some(result), _) => (State::False, Reason::GateFailed, result.message.clone()),
        (None, None) => (State::Unknown, Reason::NotEvaluated, "the run asks for no evaluation".to_owned()),
        (None, Some(_)) if reused => (State::True, Reason::Reused, String::new()),
        (None, Some(_)) if status.evaluation.is_some() => (State::Unknown, Reason::Evaluating, String::new()),
        (None, Some(_)) => (State::Unknown, Reason::NotEvaluated, String::new()),
    };
    let all = &mut status.conditions;
    conditions::set(all, Type::Evaluated, state, reason, message, input.generation, input.now);
}
