//! A plan for a run: effects as values, in an order in which every prefix is safe.

use std::time::Duration;

use serin_api::{Champion, EvaluationRecord, Level, ModelFiles, ModelVersionSpec, Replay, TrainingRunStatus};

use crate::Note;

/// What a reconcile will do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Writes, to be done one after the other. One that is outrun ends the reconcile: nothing after it is done.
    pub writes: Vec<Write>,
    /// The whole status; written after `writes`, if it differs from the present one, by compare-and-swap.
    pub status: TrainingRunStatus,
    /// Events, published after the status was written.
    pub notes: Vec<Note>,
    /// When to look again without being told.
    pub recheck: Option<Duration>,
    /// Whether the present spec and status must be confirmed by a quorum read first: it starts something, or ends the
    /// run.
    pub decisive: bool,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// POST of an attempt's headless Service.
    CreateService {
        /// Number of the attempt.
        attempt: i32,
    },
    /// POST of an attempt's Job. A name that is taken is found out here and never adopted.
    CreateAttempt {
        /// Its number.
        attempt: i32,
        /// The model to start from, references followed.
        base: Option<ModelFiles>,
        /// Seconds of running that the deadline leaves.
        remaining: Option<i64>,
    },
    /// POST of an evaluation's Job.
    CreateEvaluation(Box<EvaluationJob>),
    /// GET of a Job that the cache does not show, before that is taken as a fact. If it is there after all: outrun.
    ConfirmAbsent {
        /// Its name.
        job: String,
        /// Its UID; a namesake with another one counts as absent.
        uid: String,
    },
    /// LIST of a Job's pods, before it is taken as a fact that no more of them have ended than the cache shows. If more
    /// have: outrun. A cache may lag by any time, and what is at stake is a finished attempt.
    ConfirmPods {
        /// UID of the Job.
        job_uid: String,
        /// Names of the pods that have ended by the cache's word.
        ended: Vec<String>,
    },
    /// DELETE, foreground, with the UID as precondition.
    DeleteJob {
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
    },
    /// DELETE with the UID as precondition.
    DeleteService {
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
    },
    /// POST of a ModelVersion. One that is there with the same `artifact.digest` and `inputsDigest` is as good; any other
    /// of that name is a stranger's: remembered as taken (`ModelVersion NAME`), and outrun.
    CreateVersion {
        /// Its name.
        name: String,
        /// Its content.
        spec: Box<ModelVersionSpec>,
    },
    /// GET of a ModelVersion, `training::record` on its status, and a compare-and-swap of the status if that
    /// makes a difference.
    VersionStatus {
        /// Its name.
        name: String,
        /// What is to be recorded.
        news: Box<VersionNews>,
    },
}

/// What an evaluation's Job is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluationJob {
    /// Its number.
    pub number: i32,
    /// What its result must repeat.
    pub nonce: String,
    /// What is judged.
    pub candidate: ModelFiles,
    /// What it is compared with.
    pub champion: Option<Champion>,
}

/// What is new about a version.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionNews {
    /// Least level that it has from now on; levels only rise.
    pub level: Option<Level>,
    /// What happened.
    pub event: VersionEvent,
}

/// See [`VersionNews`].
#[derive(Clone, Debug, PartialEq)]
pub enum VersionEvent {
    /// It was made, and judged if there was anybody to judge it.
    Recorded(Option<EvaluationRecord>),
    /// It was judged again.
    Judged(EvaluationRecord),
    /// It was trained again.
    Replayed(Replay),
}
