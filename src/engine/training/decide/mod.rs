//! The state machine of a run.

use chrono::{DateTime, Utc};
use serin_api::{TrainingRunSpec, TrainingRunStatus};

use super::world::World;

/// Everything that a decision depends on.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// Name of the `TrainingRun`.
    pub name: &'a str,
    /// Its UID.
    pub uid: &'a str,
    /// Its generation.
    pub generation: Option<i64>,
    /// What is wanted.
    pub spec: &'a TrainingRunSpec,
    /// What was recorded.
    pub status: &'a TrainingRunStatus,
    /// What is.
    pub world: &'a World,
    /// 32 fresh hexadecimal digits, others at each look.
    pub nonce: &'a str,
    /// Now, in whole seconds.
    pub now: DateTime<Utc>,
}
