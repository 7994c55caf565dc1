//! What a pod leaves behind: JSON of at most 2 KiB in the termination message. Kubernetes cuts at 4096 bytes, and 12 KiB
//! for a whole pod; longer is refused, because it may have been cut.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Most bytes of a result.
pub const BYTES_MAX: usize = 2048;
/// Most values of an evaluation.
pub const METRICS_MAX: usize = 24;

/// Why a text is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResultError {
    /// Nothing was left.
    #[error("the container left no result")]
    Missing,
    /// May have been cut.
    #[error("the result has {0} bytes; at most {BYTES_MAX} are read")]
    TooLong(usize),
    /// No JSON of this form, or something after it.
    #[error("the result cannot be read: {0}")]
    Malformed(String),
    /// Another form.
    #[error("the result has schema {found:?}; {known} is known")]
    Schema {
        /// What it says.
        found: String,
        /// What we know.
        known: &'static str,
    },
}

/// What an attempt published.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrainingResult {
    /// [`TrainingResult::SCHEMA`].
    pub schema: String,
    /// UID of the run.
    pub run_uid: String,
    /// Number of the attempt.
    pub attempt: i32,
    /// The model.
    pub output: Published,
    /// Name of the checkpoint that it went on from: `a1/step-200`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<String>,
}

/// A published model.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Published {
    /// The file, or the manifest of a folder.
    pub uri: String,
    /// SHA-256 of what `uri` names.
    pub digest: String,
    /// Which of the two.
    pub layout: crate::Layout,
    /// Bytes of all files.
    pub size_bytes: u64,
    /// How many files.
    pub files: u32,
}

/// What an evaluation measured.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvaluationResult {
    /// [`EvaluationResult::SCHEMA`].
    pub schema: String,
    /// UID of the run.
    pub run_uid: String,
    /// Number of the evaluation.
    pub number: i32,
    /// As in the task.
    pub nonce: String,
    /// SHA-256 of the candidate, hashed again by the evaluating pod.
    pub model_digest: String,
    /// SHA-256 of the champion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion_digest: Option<String>,
    /// SHA-256 of the data.
    pub eval_set_digest: String,
    /// The values.
    pub metrics: Vec<Metric>,
    /// The full report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

/// One value.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metric {
    /// Name, as in the gate.
    pub name: String,
    /// Of which model.
    #[serde(default)]
    pub arm: Arm,
    /// Of which part of the data; absent: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<String>,
    /// The value.
    pub value: f64,
    /// Lower end of its confidence interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci_low: Option<f64>,
    /// Upper end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci_high: Option<f64>,
    /// Examples it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
}

/// Whose value.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub enum Arm {
    /// The new model.
    #[default]
    Candidate,
    /// The one that serves.
    Champion,
}

/// Where the full report is. The operator never opens it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Report {
    /// The file, or the manifest of a folder.
    pub uri: String,
    /// Its SHA-256.
    pub digest: String,
}

/// What lay at some addresses.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LookResult {
    /// [`LookResult::SCHEMA`].
    pub schema: String,
    /// UID of the policy.
    pub policy_uid: String,
    /// Number of the look.
    pub number: i32,
    /// What was seen, in the task's order.
    pub objects: Vec<Seen>,
}

/// An object as it was.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seen {
    /// What it is called.
    pub name: String,
    /// SHA-256 of its bytes.
    pub digest: String,
    /// How many.
    pub bytes: u64,
}

impl LookResult {
    /// Its one schema.
    pub const SCHEMA: &'static str = "serin.dev/look-result/v1";

    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, ResultError> {
        let result: Self = read(text)?;
        known(&result.schema, Self::SCHEMA)?;
        Ok(result)
    }
}

impl TrainingResult {
    /// Its one schema.
    pub const SCHEMA: &'static str = "serin.dev/training-result/v1";

    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, ResultError> {
        let result: Self = read(text)?;
        known(&result.schema, Self::SCHEMA)?;
        Ok(result)
    }
}

impl EvaluationResult {
    /// Its one schema.
    pub const SCHEMA: &'static str = "serin.dev/evaluation-result/v1";

    /// Reads one. JSON has no NaN and no infinity, and numbers beyond `f64` are malformed.
    pub fn parse(text: &str) -> Result<Self, ResultError> {
        let result: Self = read(text)?;
        known(&result.schema, Self::SCHEMA)?;
        Ok(result)
    }
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, ResultError> {
    if text.trim().is_empty() {
        return Err(ResultError::Missing);
    }
    if text.len() > BYTES_MAX {
        return Err(ResultError::TooLong(text.len()));
    }
    serde_json::from_str(text).map_err(|error| ResultError::Malformed(error.to_string()))
}

fn known(found: &str, known: &'static str) -> Result<(), ResultError> {
    if found == known { Ok(()) } else { Err(ResultError::Schema { found: found.to_owned(), known }) }
}
