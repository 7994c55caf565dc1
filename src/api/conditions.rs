//! Conditions as kstatus, `kubectl wait`, Helm and Argo CD read them.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use crate::Reason;

/// Type of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    /// The stable version serves with all its pods.
    Ready,
    /// A change is under way (also True while it is held).
    Progressing,
    /// Nothing more will happen by itself; the message says what to change. kstatus: Failed.
    Stalled,
    /// Work is left to do for this generation. kstatus: InProgress.
    Reconciling,
    /// The analysis can read what it needs.
    MetricsAvailable,
    /// Every available pod serves a file whose SHA-256 is the one in the spec.
    ArtifactVerified,
    /// A run has ended with a version (True) or without one (False).
    Succeeded,
    /// All pods of the present attempt run.
    Running,
    /// The model was judged and passed (True) or did not (False).
    Evaluated,
    /// A person said that this version must not be served any more. One way.
    Revoked,
    /// A deployment serves this version.
    InUse,
    /// The gateway can be asked to keep sessions, as the spec does. Absent where the spec does not.
    SessionsKept,
}

impl Type {
    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Progressing => "Progressing",
            Self::Stalled => "Stalled",
            Self::Reconciling => "Reconciling",
            Self::MetricsAvailable => "MetricsAvailable",
            Self::ArtifactVerified => "ArtifactVerified",
            Self::Succeeded => "Succeeded",
            Self::Running => "Running",
            Self::Evaluated => "Evaluated",
            Self::Revoked => "Revoked",
            Self::InUse => "InUse",
            Self::SessionsKept => "SessionsKept",
        }
    }
}

/// `True`, `False` or `Unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Holds.
    True,
    /// Does not hold.
    False,
    /// Cannot be said.
    Unknown,
}
impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}
impl From<bool> for State {
    fn from(b: bool) -> Self {
        if b { Self::True } else { Self::False }
    }
}

/// Sets a condition. `lastTransitionTime` is kept unless the status flips: a time that moved by itself would make
/// every status write the cause of the next one.
pub fn set(
    all: &mut Vec<Condition>,
    ty: Type,
    state: State,
    reason: Reason,
    message: impl Into<String>,
    generation: Option<i64>,
    now: DateTime<Utc>,
) {
    let old = all.iter().position(|c| c.type_ == ty.as_str()).map(|i| all.remove(i));
    let since =
        old.filter(|c| c.status == state.as_str()).map_or_else(|| to_time(now), |c| c.last_transition_time);
    let mut message = message.into();
    if message.len() > MESSAGE_MAX {
        let cut = (0..=MESSAGE_MAX).rev().find(|i| message.is_char_boundary(*i)).unwrap_or(0);
        message.truncate(cut);
    }
    all.push(Condition {
        type_: ty.as_str().to_owned(),
        status: state.as_str().to_owned(),
        reason: reason.as_str().to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: since,
    });
    all.sort_by(|a, b| a.type_.cmp(&b.type_));
}

/// Longest message kept, in bytes (the API allows 32,768).
const MESSAGE_MAX: usize = 1024;

/// Looks a condition up.
pub fn get(all: &[Condition], ty: Type) -> Option<&Condition> {
    all.iter().find(|c| c.type_ == ty.as_str())
}

/// Whether a condition is there and True.
pub fn is_true(all: &[Condition], ty: Type) -> bool {
    get(all, ty).is_some_and(|c| c.status == "True")
}

/// When the condition last flipped.
pub fn since(all: &[Condition], ty: Type) -> Option<DateTime<Utc>> {
    get(all, ty).and_then(|c| from_time(&c.last_transition_time))
}

/// chrono to the wire's time, in whole seconds (the wire drops the rest, and a compare must not see it).
pub fn to_time(t: DateTime<Utc>) -> Time {
    Time(Timestamp::from_second(t.timestamp()).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// The wire's time to chrono.
pub fn from_time(t: &Time) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(t.0.as_second(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(s, 0).unwrap()
    }

    #[test]
    fn time_is_kept_until_the_status_flips() {
        let mut all = Vec::new();
        set(&mut all, Type::Ready, State::True, Reason::Complete, "", Some(1), at(100));
        set(&mut all, Type::Ready, State::True, Reason::Draining, "", Some(2), at(200));
        assert_eq!(since(&all, Type::Ready), Some(at(100)));
        set(&mut all, Type::Ready, State::False, Reason::Unavailable, "", Some(2), at(300));
        assert_eq!(since(&all, Type::Ready), Some(at(300)));
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let mut all = Vec::new();
        set(&mut all, Type::Ready, State::True, Reason::Complete, "ü".repeat(2000), Some(1), at(1));
        assert!(all[0].message.len() <= MESSAGE_MAX);
    }
}
