//! A run made of the template and of what the data was when it was looked at.

use serde_json::{Value, json};
use serin_api::{DataUse, Dataset, RetrainPolicySpec, SeenData, TrainingRunSpec, labels};

use super::plan::NewRun;
use crate::{canonical, training::inputs};

/// The spec of a run. `seen` has every name of `spec.data`, once.
///
/// # Errors
/// One line, for data that was not seen.
pub fn spec(
    policy: &RetrainPolicySpec,
    seen: &[SeenData],
    rerun_token: Option<&str>,
) -> Result<TrainingRunSpec, String> {
    let mut run = policy.template.clone();
    for data in &policy.data {
        let found = seen.iter().find(|s| s.name == data.name);
        let found = found.ok_or_else(|| format!("data {} was not looked at", data.name))?;
        let set = Dataset { name: data.name.clone(), uri: data.uri.clone(), digest: found.digest.clone() };
        match (data.used, &mut run.evaluation) {
            (DataUse::Training, _) => run.datasets.push(set),
            (DataUse::Evaluation, Some(evaluation)) => evaluation.dataset = set,
            (DataUse::Evaluation, None) => return Err("template.evaluation is missing".to_owned()),
        }
    }
    run.rerun_token = rerun_token.map(str::to_owned);
    Ok(run)
}

/// Hash of everything that a run is made from, but for a word that makes it run again. A label value.
pub fn inputs_of(run: &TrainingRunSpec) -> String {
    let plain = TrainingRunSpec { rerun_token: None, ..run.clone() };
    inputs::run_hash(&plain)
}

/// Name of a run: the same for the same occasion and the same inputs, whoever computes it and how often.
pub fn name(policy: &str, uid: &str, trigger: &str, occasion: &str, inputs: &str) -> String {
    let parts = [uid, trigger, occasion, inputs].map(|part| format!("{}:{part}", part.len()));
    let bytes: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    format!("{policy}-{}", canonical::short(&bytes))
}

/// The policy that owns what is built.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// Name.
    pub name: &'a str,
    /// Namespace; children never leave it.
    pub namespace: &'a str,
    /// UID.
    pub uid: &'a str,
    /// Its spec.
    pub spec: &'a RetrainPolicySpec,
}

impl Policy<'_> {
    /// Of a run or a Job.
    pub(super) fn metadata(&self, name: &str, labels: &Value) -> Value {
        json!({
            "name": name,
            "namespace": self.namespace,
            "labels": labels,
            "ownerReferences": [{
                "apiVersion": "serin.dev/v1alpha1",
                "kind": "RetrainPolicy",
                "name": self.name,
                "uid": self.uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        })
    }
}

/// The TrainingRun as JSON.
pub fn object(policy: &Policy<'_>, run: &NewRun) -> Value {
    let labels = json!({
        labels::MANAGED_BY: labels::MANAGER,
        labels::MODEL: run.spec.model,
        labels::RETRAIN: policy.name,
        labels::RETRAIN_NUMBER: run.number.to_string(),
        labels::RETRAIN_INPUTS: run.inputs,
        labels::TRIGGER: run.trigger,
    });
    json!({
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": policy.metadata(&run.name, &labels),
        "spec": run.spec,
    })
}
