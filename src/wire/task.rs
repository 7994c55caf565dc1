//! What a pod is to do. The operator puts it into [`crate::places::TASK`]; nothing in it is a secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Environment variable with the pod's index in its Job, set by Kubernetes. Only index 0 publishes.
pub const INDEX: &str = "JOB_COMPLETION_INDEX";

/// A pod's task.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub enum Task {
    /// One attempt of a training.
    Train(Train),
    /// One evaluation.
    Evaluate(Evaluate),
    /// One look at data.
    Look(Look),
}

/// One attempt of a training. The pod's index comes from [`INDEX`].
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Train {
    /// UID of the run.
    pub run_uid: String,
    /// Number of the attempt, from 1. What it writes beside the output carries it.
    pub attempt: i32,
    /// Data sets, each one object.
    #[serde(default)]
    pub datasets: Vec<Object>,
    /// The model to start from.
    #[serde(default)]
    pub base: Option<Model>,
    /// For the program.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// For the program.
    #[serde(default)]
    pub seed: Option<String>,
    /// Folder to publish under.
    pub output: String,
    /// Folder for checkpoints; attempt K writes to `CHECKPOINTS/RUN-UID/aK/` and reads of lower ones.
    #[serde(default)]
    pub checkpoints: Option<String>,
    /// Where the stores are.
    #[serde(default)]
    pub storage: Storage,
}

/// One evaluation: candidate and champion on the same data.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evaluate {
    /// UID of the run.
    pub run_uid: String,
    /// Number of the evaluation, from 1.
    pub number: i32,
    /// 32 hexadecimal digits that nobody could know before; the result repeats them.
    pub nonce: String,
    /// What is evaluated.
    pub candidate: Model,
    /// What it is compared with.
    #[serde(default)]
    pub champion: Option<Model>,
    /// On what.
    pub dataset: Object,
    /// Folder to publish the report under.
    pub reports: String,
    /// Where the stores are.
    #[serde(default)]
    pub storage: Storage,
}

/// A look at what lies at some addresses now.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Look {
    /// UID of the policy.
    pub policy_uid: String,
    /// Number of the look, from 1.
    pub number: i32,
    /// What to look at.
    pub objects: Vec<Place>,
    /// Where the stores are.
    #[serde(default)]
    pub storage: Storage,
}

/// An object named by address.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Place {
    /// What it is called.
    pub name: String,
    /// As in [`Object::uri`].
    pub uri: String,
}

/// An object named by content.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Object {
    /// Folder name under `DATA_DIR`.
    pub name: String,
    /// `http(s)://`, `s3://BUCKET/KEY`, `gs://`, `az://CONTAINER/KEY` or `pvc://CLAIM/PATH`.
    pub uri: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
}

/// A model named by content.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Model {
    /// The file, or the manifest of a folder.
    pub uri: String,
    /// SHA-256 of what `uri` names.
    pub digest: String,
    /// Which of the two.
    #[serde(default)]
    pub layout: Layout,
}

/// What a model is made of.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// One file.
    #[default]
    File,
    /// The files of a [`crate::Manifest`], which lie beside it.
    Directory,
}

/// Where the object stores are. Credentials are not in here: they come as environment from a Secret that the user named,
/// or from the pod's identity.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Storage {
    /// Address of an S3 server other than Amazon's; `http://` is allowed here and nowhere else.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Region of the buckets.
    #[serde(default)]
    pub region: Option<String>,
}
