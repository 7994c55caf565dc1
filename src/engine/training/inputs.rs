//! What a model is made of, and its digest. Two runs with the same digest would train the same model; the second one is
//! not trained.

use serin_api::{BaseInput, Digest, EnvVar, Inputs, TrainingRunSpec};

use crate::canonical;

/// First bytes of what is hashed: the version of the form. A new form takes another word, and the old one is computed
/// beside it, or every model would be trained again.
const INPUTS: &str = "serin.dev/inputs/v1\n";
/// The same for [`run_hash`].
const RUN: &str = "serin.dev/run/v1\n";
/// How an environment variable begins that is taken from a ConfigMap.
pub(super) const CONFIG_MAP: &str = "configmap/";
const SECRET: &str = "secret/";
const VALUE: &str = "value/";

/// Everything that the spec says about what the model is made of. `base` is the base model once its reference was
/// followed; an artifact in the spec needs no following.
pub fn of(spec: &TrainingRunSpec, base: Option<&BaseInput>) -> Inputs {
    let trainer = &spec.trainer;
    let artifact = spec.base_model.as_ref().and_then(|b| b.artifact.as_ref());
    // A set: their order says nothing.
    let mut datasets = spec.datasets.clone();
    datasets.sort_by(|a, b| a.name.cmp(&b.name));
    Inputs {
        code: spec.source.clone(),
        image: trainer.image.clone(),
        command: trainer.command.iter().chain(&trainer.args).cloned().collect(),
        env: trainer.env.iter().map(|e| (e.name.clone(), env(e))).collect(),
        datasets,
        base_model: base
            .cloned()
            .or_else(|| artifact.map(|a| BaseInput { version: None, digest: a.digest.clone() })),
        parameters: spec.parameters.clone(),
        seed: spec.seed.clone(),
        nodes: trainer.nodes,
        processes_per_node: trainer.processes_per_node,
        launcher: trainer.launcher,
    }
}

/// A reference by its name, a value as it is; one that looks like a reference is marked, so that the two never hash
/// alike.
fn env(e: &EnvVar) -> String {
    if let Some(r) = &e.secret_key_ref {
        return format!("{SECRET}{}/{}", r.name, r.key);
    }
    if let Some(r) = &e.config_map_key_ref {
        return format!("{CONFIG_MAP}{}/{}", r.name, r.key);
    }
    let value = e.value.as_deref().unwrap_or_default();
    let marked = [SECRET, CONFIG_MAP, VALUE].iter().any(|word| value.starts_with(word));
    if marked { format!("{VALUE}{value}") } else { value.to_owned() }
}

/// SHA-256 of [`INPUTS`] and the canonical JSON of the inputs. Anybody can check it:
/// `{ printf 'serin.dev/inputs/v1\n'; kubectl get mver NAME -o json | jq -cjS .spec.build.inputs; } | sha256sum`.
pub fn digest(inputs: &Inputs) -> Digest {
    let json = serde_json::to_value(inputs).map(canonical::text).unwrap_or_default();
    Digest(format!("sha256:{}", canonical::sha256(&[INPUTS.as_bytes(), json.as_bytes()])))
}

/// Hash of all of the spec but what may be changed while the run is there: `suspend` and `retention`.
///
/// A field added to the spec must be left out of the JSON while it has its default, or the next operator takes every run
/// for a changed one.
pub fn run_hash(spec: &TrainingRunSpec) -> String {
    let mut json = serde_json::to_value(spec).unwrap_or_default();
    if let Some(fields) = json.as_object_mut() {
        for field in ["suspend", "retention"] {
            fields.remove(field);
        }
    }
    let mut hash = canonical::sha256(&[RUN.as_bytes(), canonical::text(json).as_bytes()]);
    hash.truncate(32);
    format!("t1-{hash}")
}
