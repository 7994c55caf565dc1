//! What keeps a candidate's pods from starting: since when, how long that is borne, and in which words it is told.
//!
//! Each cause has a deadline of its own. The wait for a node is not the candidate's fault, nor the time of its server: it
//! stops the clock of `progressDeadlineSeconds`, and goes on where that stood.

use std::time::Duration;

use chrono::{DateTime, Duration as Span, Utc};
use serin_api::{Candidate, Reason, Rollout, Stable, Waiting, WaitingReason, conditions};

use super::{Draft, pods};
use crate::{
    objects,
    world::{Crashed, PodTrouble},
};

/// When a candidate that is not available is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// From then on.
    pub at: DateTime<Utc>,
    /// By which limit.
    pub limit: Limit,
}

/// Which of the limits of the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `rollout.progressDeadlineSeconds`.
    Progress,
    /// `rollout.deadlines.unschedulableSeconds`.
    Unschedulable,
    /// `rollout.deadlines.imagePullSeconds`.
    ImagePull,
}

impl Limit {
    /// The field that says how long.
    const fn field(self) -> &'static str {
        match self {
            Self::Progress => "rollout.progressDeadlineSeconds",
            Self::Unschedulable => "rollout.deadlines.unschedulableSeconds",
            Self::ImagePull => "rollout.deadlines.imagePullSeconds",
        }
    }

    /// How long, in seconds.
    const fn seconds(self, rollout: &Rollout) -> i32 {
        match self {
            Self::Progress => rollout.progress_deadline_seconds,
            Self::Unschedulable => rollout.deadlines.unschedulable_seconds,
            Self::ImagePull => rollout.deadlines.image_pull_seconds,
        }
    }

    /// What was missing then.
    const fn missing(self) -> &'static str {
        match self {
            Self::Progress => "not available",
            Self::Unschedulable => "no place on a node",
            Self::ImagePull => "no image",
        }
    }
}

/// The deadline of a candidate that is not available, by what its status says that it waits for.
pub fn deadline(rollout: &Rollout, c: &Candidate) -> Deadline {
    let after = |since: DateTime<Utc>, limit: Limit| {
        let at = since + Span::seconds(i64::from(limit.seconds(rollout)));
        Deadline { at, limit }
    };
    let progress = after(c.started_at + Span::seconds(i64::from(c.waited_seconds)), Limit::Progress);
    let Some(Waiting { reason, since }) = c.waiting else { return progress };
    match reason {
        WaitingReason::Unschedulable => {
            let Deadline { at, limit } = after(since, Limit::Unschedulable);
            // Pods that went for it take their time to end, and hold their place until then.
            let grace = c.fits.map_or(0, |_| objects::grace_seconds(c.spec.drain_seconds));
            Deadline { at: at + Span::seconds(i64::from(grace)), limit }
        }
        WaitingReason::ImagePull => {
            let image = after(since, Limit::ImagePull);
            if image.at <= progress.at { image } else { progress }
        }
    }
}

/// How long it is until then; zero once it is past.
pub(super) fn until(then: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (then - now).to_std().unwrap_or(Duration::ZERO)
}

/// Its time to become available begins here.
pub(super) fn begin_anew(candidate: &mut Candidate, now: DateTime<Utc>) {
    candidate.started_at = now;
    candidate.waited_seconds = 0;
    candidate.waiting = None;
}

/// Records what the candidate waits for, if that is another thing than before. Gives the candidate as it is recorded then.
pub(super) fn follow(d: &mut Draft<'_>, c: &Candidate) -> Candidate {
    let reason = match obstacle(d, &c.revision) {
        Some(Obstacle::Pods(PodTrouble::Unschedulable { .. })) => Some(WaitingReason::Unschedulable),
        Some(Obstacle::Pods(PodTrouble::ImagePull { .. })) => Some(WaitingReason::ImagePull),
        Some(Obstacle::CrashLoop(_) | Obstacle::Pods(PodTrouble::Model { .. })) | None => None,
    };
    record(d, reason);
    d.status.candidate.clone().unwrap_or_else(|| c.clone())
}

/// The same for one that has traffic, which waits for nothing but a node.
pub(super) fn follow_node(d: &mut Draft<'_>, c: &Candidate) -> Candidate {
    let node = matches!(obstacle(d, &c.revision), Some(Obstacle::Pods(PodTrouble::Unschedulable { .. })));
    record(d, node.then_some(WaitingReason::Unschedulable));
    d.status.candidate.clone().unwrap_or_else(|| c.clone())
}

/// It waits for nothing any more.
pub(super) fn over(d: &mut Draft<'_>) {
    record(d, None);
}

fn record(d: &mut Draft<'_>, reason: Option<WaitingReason>) {
    let now = d.now();
    let Some(candidate) = &mut d.status.candidate else { return };
    if candidate.waiting.map(|before| before.reason) == reason {
        return;
    }
    if let Some(Waiting { reason: WaitingReason::Unschedulable, since }) = candidate.waiting {
        let waited = i32::try_from((now - since).num_seconds().max(0)).unwrap_or(i32::MAX);
        candidate.waited_seconds = candidate.waited_seconds.saturating_add(waited);
    }
    candidate.waiting = reason.map(|reason| Waiting { reason, since: now });
}

impl<'a> Draft<'a> {
    /// Whether the stable version has nothing available and says itself that it will not have it soon. A drained node
    /// is not enough for this.
    pub(super) fn is_broken(&self, stable: &Stable) -> bool {
        let trouble = self.world().of(&stable.revision).and_then(|d| d.trouble.as_ref());
        self.world().available(&stable.revision) == 0
            && (self.crash_loop(&stable.revision).is_some()
                || matches!(trouble, Some(PodTrouble::ImagePull { .. })))
    }

    /// What a revision says whose containers crash again and again.
    pub(super) fn crash_loop(&self, revision: &str) -> Option<&'a Crashed> {
        self.world().crash_loop(revision, self.input.spec.rollout.deadlines.crash_loop_restarts)
    }

    /// How long the stable version, which has nothing available, may still take to come back while this candidate waits
    /// for it.
    pub(super) fn patience(&self, c: &Candidate) -> Duration {
        let ready = conditions::get(&self.input.status.conditions, conditions::Type::Ready);
        let gone = ready
            .filter(|r| r.status == "False")
            .and_then(|r| conditions::from_time(&r.last_transition_time));
        let since = gone.map_or(self.now(), |since| since.max(c.started_at));
        let seconds = i64::from(self.input.spec.rollout.progress_deadline_seconds);
        until(since + Span::seconds(seconds), self.now())
    }
}

/// Why pods do not start.
enum Obstacle<'a> {
    /// A container crashes again and again; its last words.
    CrashLoop(&'a str),
    /// Something that the pods wait for.
    Pods(&'a PodTrouble),
}

fn obstacle<'a>(d: &Draft<'a>, revision: &str) -> Option<Obstacle<'a>> {
    if let Some(crashed) = d.crash_loop(revision) {
        return Some(Obstacle::CrashLoop(&crashed.message));
    }
    let found = d.world().of(revision).filter(|found| !found.deleting)?;
    found.trouble.as_ref().map(Obstacle::Pods)
}

/// An obstacle in words.
pub(super) struct Words<'a> {
    pub(super) reason: Reason,
    /// What is seen.
    what: &'static str,
    /// What the cluster says about it.
    told: &'a str,
    /// What to do.
    todo: Option<&'static str>,
}

impl std::fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.told)?;
        self.todo.map_or(Ok(()), |todo| write!(f, "; {todo}"))
    }
}

/// What keeps a revision's pods from starting, if anything does that has a name.
pub(super) fn words<'a>(d: &Draft<'a>, revision: &str) -> Option<Words<'a>> {
    let words = match obstacle(d, revision)? {
        Obstacle::CrashLoop(told) => Words {
            reason: Reason::CrashLoop,
            // Without a number: each crash would be a write.
            what: "the container crashes again and again",
            told,
            todo: None,
        },
        Obstacle::Pods(PodTrouble::Model { message }) => Words {
            reason: Reason::ModelNotFetched,
            what: "the model is not there",
            told: message,
            todo: None,
        },
        Obstacle::Pods(PodTrouble::ImagePull { message }) => Words {
            reason: Reason::ImagePull,
            what: "the image cannot be pulled",
            told: message,
            todo: Some("check server.image, server.imagePullSecrets and the registry"),
        },
        Obstacle::Pods(PodTrouble::Unschedulable { message }) => Words {
            reason: Reason::Unschedulable,
            what: "no node takes its pods",
            told: message,
            todo: Some("add or free nodes, or ask for less in server.resources"),
        },
    };
    Some(words)
}

/// Why a candidate is not available, and until when that is borne.
pub(super) struct Delay<'a> {
    pub(super) reason: Reason,
    /// How long it may still last.
    pub(super) left: Duration,
    deadline: Deadline,
    words: Option<Words<'a>>,
    candidate: &'a Candidate,
    /// What follows then.
    then: &'static str,
}

impl<'a> Delay<'a> {
    /// Of a candidate as it is recorded; `otherwise` if nothing is known that keeps it.
    pub(super) fn of(d: &Draft<'a>, candidate: &'a Candidate, otherwise: Reason) -> Self {
        let deadline = deadline(&d.input.spec.rollout, candidate);
        let words = words(d, &candidate.revision);
        let reason = words.as_ref().map_or(otherwise, |words| words.reason);
        let makes_room = deadline.limit == Limit::Unschedulable && pods::room_to_make(d, candidate).is_some();
        let then = if makes_room { "room is made for it" } else { "given up" };
        Self { reason, left: until(deadline.at, d.now()), deadline, words, candidate, then }
    }

    /// The headline while it is borne. Without a number of seconds: it would grow.
    pub(super) fn headline(&self) -> String {
        let version = &self.candidate.version;
        let Some(words) = &self.words else { return starts(self.candidate) };
        match self.deadline.limit {
            Limit::Progress => format!("{version}: {words}"),
            limit => {
                let at = self.deadline.at.format("%FT%TZ");
                format!("{version}: {words}; {} at {at} ({})", self.then, limit.field())
            }
        }
    }

    /// The same where there is nothing to go back to.
    pub(super) fn stuck(&self, d: &Draft<'_>) -> (Reason, String) {
        let version = &self.candidate.version;
        let tried_on = "nothing served before it, so it is tried on, and the next version takes over at once";
        match &self.words {
            Some(words) if words.reason == Reason::CrashLoop => {
                (Reason::CrashLoop, format!("{version}: {words}; {tried_on}"))
            }
            _ => {
                let (reason, message) = self.given_up(d);
                (reason, format!("{version}: {message}; {tried_on}"))
            }
        }
    }

    /// Reason and words of the end, once it has lasted too long.
    pub(super) fn given_up(&self, d: &Draft<'_>) -> (Reason, String) {
        let limit = self.deadline.limit;
        let seconds = limit.seconds(&d.input.spec.rollout);
        let message = format!("{} within {seconds} s ({})", limit.missing(), limit.field());
        match &self.words {
            Some(words) => (words.reason, format!("{message}: {words}")),
            None => (Reason::ProgressDeadlineExceeded, format!("{message}: {}", starts(self.candidate))),
        }
    }
}

/// Nothing is known that keeps it.
pub(super) fn starts(c: &Candidate) -> String {
    format!("{} starts; no pod is available yet", c.version)
}
