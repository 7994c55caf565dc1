//! The Jobs and Services of a run, as JSON. They are made once and never applied again: a queue writes to them, too.
//!
//! - [`job`] is an attempt, [`evaluation`] a judgement, [`service`] the names by which ranks find each other
//! - [`env`] is what a launcher reads
//! - `pod` is what both Jobs have in common: the agent, volumes, claims, rights

pub mod env;
pub mod evaluation;
pub mod job;
pub(crate) mod pod;
pub mod service;

use serde_json::{Value, json};
use serin_api::{TrainingRunSpec, labels};

pub use evaluation::evaluation;
pub use job::attempt;
pub use service::service;

use super::Child;

/// The `TrainingRun` that owns what is built.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Name.
    pub name: &'a str,
    /// Namespace; children never leave it.
    pub namespace: &'a str,
    /// UID.
    pub uid: &'a str,
    /// Its spec.
    pub spec: &'a TrainingRunSpec,
}

/// Port of the rendezvous, `MASTER_PORT`.
pub const PORT: i32 = 29500;
/// Container of an attempt with the user's program.
pub const TRAIN: &str = "train";
/// Container of an evaluation with the user's program.
pub const EVALUATE: &str = "evaluate";
/// Init container that fetches the inputs.
pub const PREPARE: &str = "prepare";

/// Rules of an attempt's `podFailurePolicy`, in their order. The Job's Failed condition names the index of the one that
/// matched, which is how the class of a failure is read back after the pods are gone.
pub mod rule {
    /// Evicted, preempted, node lost.
    pub const DISRUPTED: usize = 0;
    /// The program says that trying again is no use.
    pub const FATAL: usize = 1;
    /// Inputs are not what the run says they are.
    pub const INPUTS_REFUSED: usize = 2;
    /// The program left nothing to publish.
    pub const NO_OUTPUT: usize = 3;
}

impl Run<'_> {
    fn labels(&self, child: Child) -> Value {
        let (key, number) = match child {
            Child::Attempt(number) => (labels::ATTEMPT, number),
            Child::Evaluation(number) => (labels::EVALUATION, number),
        };
        json!({
            labels::MANAGED_BY: labels::MANAGER,
            labels::RUN: self.name,
            labels::RUN_UID: self.uid,
            key: number.to_string(),
        })
    }

    fn metadata(&self, child: Child) -> Value {
        json!({
            "name": child.name(self.name),
            "namespace": self.namespace,
            "labels": self.labels(child),
            "ownerReferences": [{
                "apiVersion": "serin.dev/v1alpha1",
                "kind": "TrainingRun",
                "name": self.name,
                "uid": self.uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        })
    }
}
