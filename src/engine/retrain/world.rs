//! What was observed of a policy, in the terms that a decision needs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serin_api::{Live, RunResult};

/// The children of a policy as the caches show them, and what matters to it. Objects without our UID in their owner
/// reference are not in here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    /// Its runs.
    pub runs: Vec<ObservedRun>,
    /// Its looks at data.
    pub looks: Vec<ObservedLook>,
    /// Names that we need and that somebody else's object bears: `TrainingRun wine-1`.
    pub taken: Vec<String>,
    /// The deployment that the policy names; `None`: there is none.
    pub deployment: Option<Served>,
    /// When the newest version of the model was made.
    pub newest_version: Option<DateTime<Utc>>,
    /// What came of versions in that deployment.
    pub lives: BTreeMap<String, Live>,
}

/// One of our runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedRun {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Its number, by its label.
    pub number: i32,
    /// The trigger, by its label.
    pub trigger: String,
    /// Hash of what it was made from, by its label.
    pub inputs: String,
    /// `metadata.creationTimestamp`.
    pub created_at: DateTime<Utc>,
    /// How it ended.
    pub end: Option<RunEnd>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// In one word.
    pub result: RunResult,
    /// A [`serin_api::Reason`].
    pub reason: String,
    /// The version that it led to.
    pub version: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

/// One of our looks: a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedLook {
    /// Name.
    pub name: String,
    /// UID, the precondition of a deletion.
    pub uid: String,
    /// Its number, by its label.
    pub number: i32,
    /// Being deleted.
    pub deleting: bool,
    /// How it ended.
    pub end: Option<LookEnd>,
}

/// How a look ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookEnd {
    /// Well, with this last word, which may still be nonsense.
    Said(String),
    /// Otherwise, and why.
    Failed(String),
}

/// The deployment that a policy names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Revision of the version that serves; `None`: none does.
    pub revision: Option<String>,
    /// Name of its Deployment, the prefix of its pods' names.
    pub pods: Option<String>,
    /// Name of its ModelVersion, if it was named so.
    pub version: Option<String>,
    /// Whether a candidate is being tried.
    pub changing: bool,
    /// When the last one was promoted or sent back.
    pub changed_at: Option<DateTime<Utc>>,
}
