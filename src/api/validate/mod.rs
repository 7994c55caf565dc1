//! The schema's rules once more, in code: a CRD may be older than the operator, and a rule that only the apiserver
//! knows is one `kubectl replace` away from being gone. The first broken rule wins; each is one line that says what
//! to change.
//!
//! - `deployment`: ModelDeployment
//! - `training`: TrainingRun; `evaluation`: how its model is judged
//! - `retrain`: RetrainPolicy
//! - `version`: ModelVersion
//! - `common`: rules that several of them have

mod common;
mod deployment;
mod evaluation;
mod metric;
mod retrain;
mod training;
mod version;

pub(crate) use common::dns_label;
pub use deployment::{name, spec};
pub use retrain::retrain_policy;
pub use training::training_run;
pub use version::model_version;
