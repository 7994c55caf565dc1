//! A plan for a policy: effects as values, in an order in which every prefix is safe.

use std::time::Duration;

use serin_api::{RetrainPolicyStatus, TrainingRunSpec};

use crate::Note;

/// What a reconcile will do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Writes, to be done one after the other. One that is outrun ends the reconcile: nothing after it is done.
    pub writes: Vec<Write>,
    /// The whole status; written after `writes`, if it differs from the present one, by compare-and-swap.
    pub status: RetrainPolicyStatus,
    /// Events, published after the status was written.
    pub notes: Vec<Note>,
    /// When to look again without being told.
    pub recheck: Option<Duration>,
    /// Whether the present spec and status must be confirmed by a quorum read first: it starts something.
    pub decisive: bool,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// POST of a TrainingRun. Its name says what it was started for, so that the same occasion never makes two; a name
    /// that is taken is found out here and never adopted.
    CreateRun(Box<NewRun>),
    /// POST of the Job of a look.
    CreateLook {
        /// Its number.
        number: i32,
    },
    /// DELETE, foreground, with the UID as precondition.
    DeleteLook {
        /// Name of the Job.
        name: String,
        /// Its UID.
        uid: String,
    },
}

/// A run to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRun {
    /// Its name.
    pub name: String,
    /// Its number among those of the policy.
    pub number: i32,
    /// The trigger.
    pub trigger: String,
    /// Hash of what it is made from.
    pub inputs: String,
    /// Its content.
    pub spec: TrainingRunSpec,
}
