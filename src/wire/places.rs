//! Where things are in a pod of a run, and the environment that says so.

/// The task as JSON; see [`crate::Task`].
pub const TASK: &str = "SERIN_TASK";

/// The one volume of ours, an `emptyDir`.
pub const ROOT: &str = "/serin";
/// The agent, copied here by the init container `prepare`.
pub const AGENT: &str = "/serin/bin/serin-agent";
/// Folder of the data sets: `DATA_DIR/NAME/FILE`, the file named as in its URI. `$SERIN_DATA_DIR`.
pub const DATA_DIR: &str = "/serin/data";
/// Folder of the base model. `$SERIN_BASE_DIR`, only where there is one.
pub const BASE_DIR: &str = "/serin/base";
/// JSON object of all parameters, values as strings. `$SERIN_PARAMETERS`. Each is `$SERIN_PARAM_NAME`, too, the name in
/// capitals, and what is no letter or digit as `_`.
pub const PARAMETERS: &str = "/serin/parameters.json";
/// Folder that becomes the model. `$SERIN_OUTPUT_DIR`.
pub const OUTPUT_DIR: &str = "/serin/output";
/// Folder of checkpoints: each a folder of its own, complete once it holds a file [`COMPLETE`].
/// `$SERIN_CHECKPOINT_DIR`, only where `checkpoints` is set.
pub const CHECKPOINT_DIR: &str = "/serin/checkpoints";
/// The newest complete checkpoint of an earlier attempt. `$SERIN_RESUME_FROM`, only where there is one.
pub const RESUME_DIR: &str = "/serin/resume";
/// Completeness marker of a checkpoint.
pub const COMPLETE: &str = ".complete";
/// Evaluation: the candidate's files. `$SERIN_CANDIDATE_DIR`.
pub const CANDIDATE_DIR: &str = "/serin/candidate";
/// Evaluation: the champion's files. `$SERIN_CHAMPION_DIR`, only where there is a champion.
pub const CHAMPION_DIR: &str = "/serin/champion";
/// Evaluation: what the program measured, `{"metrics": [...]}` of [`crate::Metric`]. `$SERIN_RESULT`. Everything in its
/// folder is published as the report.
pub const RESULT: &str = "/serin/result/metrics.json";
/// Claims of the namespace: `pvc://CLAIM/PATH` is `CLAIMS_DIR/CLAIM/PATH`.
pub const CLAIMS_DIR: &str = "/mnt/claims";
/// From here Kubernetes copies a container's result into the pod's status.
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// Exit codes of the agent around a user's program, beside the program's own.
pub mod exit {
    /// From here to [`FATAL_LAST`]: the program says that trying again is no use.
    pub const FATAL_FIRST: i32 = 40;
    /// See [`FATAL_FIRST`].
    pub const FATAL_LAST: i32 = 49;
    /// Inputs are not what the run says they are, or must not be read: no use in trying again.
    pub const INPUTS_REFUSED: i32 = 50;
    /// The program ended well and left nothing that can be published (empty, too large, no result file).
    pub const NO_OUTPUT: i32 = 51;
    /// Inputs could not be fetched for now.
    pub const FETCH_FAILED: i32 = 60;
    /// The output could not be published for now.
    pub const PUBLISH_FAILED: i32 = 61;
    /// The agent was called in a wrong way; a defect of ours.
    pub const USAGE: i32 = 62;
}
