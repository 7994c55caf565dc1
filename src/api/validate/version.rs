//! A ModelVersion.

use super::common::{digest, label, object_name, range, storage};
use crate::{ModelVersionSpec, Origin, model::location};

/// Checks a version. One that breaks a rule is not served and not compared with.
pub fn model_version(name: &str, spec: &ModelVersionSpec) -> Result<(), String> {
    object_name("the name", name, 63)?;
    label("model", &spec.model, 40)?;
    location("artifact.uri", &spec.artifact.uri)?;
    digest("artifact.digest", &spec.artifact.digest)?;
    range("artifact.sizeBytes", spec.artifact.size_bytes, 0, 1 << 50)?;
    storage("storage", &spec.storage)?;
    if let Some(parent) = &spec.parent {
        object_name("parent", parent, 63)?;
    }
    match (spec.origin, &spec.inputs_digest, &spec.build) {
        (Origin::Trained, Some(inputs), Some(_)) => digest("inputsDigest", inputs),
        (Origin::Trained, _, _) => {
            Err("a version that was trained says how: build and inputsDigest are missing".to_owned())
        }
        (Origin::Imported, None, None) => Ok(()),
        (Origin::Imported, _, _) => {
            Err("an imported version has no build and no inputsDigest: Serin did not make it".to_owned())
        }
    }
}
