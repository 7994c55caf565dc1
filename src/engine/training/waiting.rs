//! Why an attempt does not run yet: the first thing that is in the way, in one sentence. Nothing in it counts pods or
//! seconds, or a thousand ranks would write a status a thousand times.

use chrono::{DateTime, Duration, Utc};
use serin_api::{Reason, RunPhase, TrainingRunSpec};

use super::{
    classify::line,
    world::{ObservedJob, ObservedPod, Wait},
};

/// A pod whose volumes and network take longer than this is told about.
const SANDBOX_SECONDS: i64 = 60;

/// Why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// In one word, for the printer column.
    pub phase: RunPhase,
    /// In one word, for the condition.
    pub reason: Reason,
    /// In words.
    pub message: String,
    /// When it will have to be said differently, if nothing changes.
    pub until: Option<DateTime<Utc>>,
}

/// Why an attempt's pods do not all run. `subject` is what waits: `attempt 2`.
pub fn of(
    subject: &str,
    spec: &TrainingRunSpec,
    job: &ObservedJob,
    pods: &[&ObservedPod],
    findable: bool,
    now: DateTime<Utc>,
) -> Waiting {
    if job.suspended {
        let message = match &spec.queue_name {
            Some(queue) => format!("{subject} waits until the queue {queue} admits it"),
            None => {
                format!("{subject} was suspended by another controller and waits until that lets it go on")
            }
        };
        return Waiting { phase: RunPhase::Waiting, reason: Reason::Queued, message, until: None };
    }
    let blocked = pods.iter().filter_map(|pod| obstacle(pod, now)).max_by_key(|o| (o.rank_of_kind, -o.index));
    if let Some(obstacle) = blocked {
        let gang = if pods.len() > 1 { "; the other ranks wait for it" } else { "" };
        let who = format!("{subject}, rank {}", obstacle.index);
        let message = line(&format!("{who}: {}", obstacle.message)) + gang;
        return Waiting { phase: RunPhase::Waiting, reason: obstacle.reason, message, until: None };
    }
    if !findable {
        let message =
            format!("{subject}: its Service {} is not there, and its ranks find each other by it", job.name);
        return Waiting { phase: RunPhase::Waiting, reason: Reason::WaitingForPods, message, until: None };
    }
    let told_at = pods.iter().filter_map(|pod| match pod.waits {
        Some(Wait::Sandbox(since)) => Some(since + Duration::seconds(SANDBOX_SECONDS)),
        _ => None,
    });
    Waiting {
        phase: RunPhase::Starting,
        reason: Reason::WaitingForPods,
        message: format!("{subject}: its pods start and fetch their inputs"),
        until: told_at.min(),
    }
}

struct Obstacle {
    /// The gravest kind is told first.
    rank_of_kind: u8,
    index: i32,
    reason: Reason,
    message: String,
}

fn obstacle(pod: &ObservedPod, now: DateTime<Utc>) -> Option<Obstacle> {
    let (rank_of_kind, reason, message) = match pod.waits.as_ref()? {
        Wait::Config(why) => (5, Reason::WaitingForPods, format!("its container cannot be made: {why}")),
        Wait::Image(why) => (4, Reason::ImagePull, format!("its image cannot be pulled: {why}")),
        Wait::Node(why) if why.to_ascii_lowercase().contains("persistentvolumeclaim") => {
            (3, Reason::WaitingForPods, format!("its volume is not there: {why}"))
        }
        Wait::Node(why) => (2, Reason::Unschedulable, format!("no node takes it: {why}")),
        Wait::Gate(gate) => (1, Reason::WaitingForPods, format!("the scheduling gate {gate} holds it")),
        Wait::Sandbox(since) if now - *since >= Duration::seconds(SANDBOX_SECONDS) => {
            let why = format!("its volumes and network are not ready after {SANDBOX_SECONDS} s");
            (1, Reason::WaitingForPods, why)
        }
        Wait::Sandbox(_) | Wait::Inputs => return None,
    };
    Some(Obstacle { rank_of_kind, index: pod.index, reason, message })
}

/// The message to write: the one that stands there, if the new one differs only in numbers (a scheduler counts nodes), or
/// in how the kubelet words an image that it cannot pull (it has two texts, and takes turns).
pub fn steady(reason: Reason, message: String, recorded: Option<(&str, &str)>) -> String {
    let Some((old_reason, old)) = recorded.filter(|(old_reason, _)| *old_reason == reason.as_str()) else {
        return message;
    };
    let bare = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let same = match reason {
        Reason::ImagePull => {
            let who = |text: &str| text.split_once("its image").map(|(who, _)| who.to_owned());
            old_reason == reason.as_str() && who(old) == who(&message)
        }
        Reason::Unschedulable | Reason::WaitingForPods => {
            let who = |text: &str| text.split_once(": ").map(|(who, _)| who.to_owned());
            who(old) == who(&message) && bare(old) == bare(&message)
        }
        _ => false,
    };
    if same { old.to_owned() } else { message }
}
