//! How a failed Job ended, read from its own condition: that outlives the pods and every restart of ours. The pods only
//! add words, and correct the one case that the Job cannot tell: when a node goes, another rank may notice first and
//! end with an error of its own.

use serin_api::AttemptEnd;
use serin_wire::places::exit;

use super::{
    objects::rule,
    world::{ContainerEnd, ObservedPod},
};

/// Longest message of an attempt, in characters.
const MESSAGE_MAX: usize = 600;

/// What is known beside the Job's condition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before<'a> {
    /// Whether all pods ran at some time.
    pub ran: bool,
    /// A disruption that was seen while the Job was still ending: a pod that is evicted is gone by the end.
    pub disruption: Option<&'a str>,
}

/// The class of a failure, and what the first failing rank said.
pub fn failure(
    reason: &str,
    message: &str,
    before: Before<'_>,
    pods: &[&ObservedPod],
) -> (AttemptEnd, String) {
    let end = match (reason, matched_rule(message)) {
        ("PodFailurePolicy", Some(rule::DISRUPTED)) => AttemptEnd::Disrupted,
        ("PodFailurePolicy", Some(rule::FATAL)) => AttemptEnd::Fatal,
        ("PodFailurePolicy", Some(rule::INPUTS_REFUSED)) => AttemptEnd::InputsRefused,
        ("PodFailurePolicy", Some(rule::NO_OUTPUT)) => AttemptEnd::NoOutput,
        ("DeadlineExceeded", _) if before.ran => AttemptEnd::DeadlineExceeded,
        ("DeadlineExceeded", _) => AttemptEnd::NeverStarted,
        _ if before.disruption.is_some() => AttemptEnd::Disrupted,
        _ => by_pods(pods),
    };
    match (end, before.disruption) {
        (AttemptEnd::Disrupted, Some(seen)) => (end, seen.to_owned()),
        _ => (end, words(end, message, pods)),
    }
}

/// The first disruption that pods tell of.
pub fn disruption(pods: &[&ObservedPod]) -> Option<String> {
    let (rank, why) = pods.iter().find_map(|pod| Some((pod.index, pod.disrupted.as_ref()?)))?;
    Some(line(&format!("rank {rank} was disrupted: {why}")))
}

/// `… matching FailJob rule at index 2`: as `pkg/controller/job/pod_failure_policy.go` of Kubernetes writes it.
fn matched_rule(message: &str) -> Option<usize> {
    message.trim_end().rsplit_once("rule at index ")?.1.parse().ok()
}

/// The same classes in the same order.
fn by_pods(pods: &[&ObservedPod]) -> AttemptEnd {
    let code = |of: fn(&ObservedPod) -> Option<&ContainerEnd>, wanted: &dyn Fn(i32) -> bool| {
        pods.iter().filter_map(|pod| of(pod)).any(|end| wanted(end.code))
    };
    let fatal = |code: i32| (exit::FATAL_FIRST..=exit::FATAL_LAST).contains(&code);
    if pods.iter().any(|pod| pod.disrupted.is_some()) {
        AttemptEnd::Disrupted
    } else if code(program, &fatal) {
        AttemptEnd::Fatal
    } else if code(first_end, &|code| code == exit::INPUTS_REFUSED) {
        AttemptEnd::InputsRefused
    } else if code(program, &|code| code == exit::NO_OUTPUT) {
        AttemptEnd::NoOutput
    } else {
        AttemptEnd::Crashed
    }
}

fn program(pod: &ObservedPod) -> Option<&ContainerEnd> {
    pod.program.as_ref()
}

fn first_end(pod: &ObservedPod) -> Option<&ContainerEnd> {
    pod.prepare.as_ref().or(pod.program.as_ref())
}

/// What there is to say about it.
fn words(end: AttemptEnd, message: &str, pods: &[&ObservedPod]) -> String {
    if let (AttemptEnd::Disrupted, Some(words)) = (end, disruption(pods)) {
        return words;
    }
    let explains = |code: i32| match end {
        AttemptEnd::Fatal => (exit::FATAL_FIRST..=exit::FATAL_LAST).contains(&code),
        AttemptEnd::InputsRefused => code == exit::INPUTS_REFUSED,
        AttemptEnd::NoOutput => code == exit::NO_OUTPUT,
        _ => code != 0,
    };
    let failed = pods.iter().filter_map(|pod| {
        let (container, end) = match (&pod.prepare, &pod.program) {
            (Some(end), _) => ("prepare", end),
            (None, Some(end)) => ("its program", end),
            (None, None) => return None,
        };
        explains(end.code).then_some((end.at, pod.index, container, end))
    });
    match failed.min_by_key(|(at, index, _, _)| (*at, *index)) {
        Some((_, rank, container, end)) => {
            let why = match end.reason.as_str() {
                "" | "Error" | "Completed" => String::new(),
                reason => format!(" ({reason})"),
            };
            let said = match end.message.trim() {
                "" => String::new(),
                said => format!(": {said}"),
            };
            line(&format!("rank {rank}: {container} exited with {}{why}{said}", end.code))
        }
        None => line(message),
    }
}

/// One bounded line: what a container says ends up in a status, and control characters in a terminal.
pub fn line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_MAX).collect();
    line.trim().to_owned()
}
