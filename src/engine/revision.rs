//! A revision is everything that needs new pods when it changes, named by a hash of its canonical JSON.

use serin_api::{ModelDeploymentSpec, ResolvedModel, RevisionSpec};

use crate::canonical::{self, short};

/// Prefix of a revision's name: the version of the hash's input. A new operator that hashes differently must take a
/// new prefix and keep computing the old one, or its start would roll every pod.
const PREFIX: &str = "r1-";

/// A revision: its content and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Name, such as `r1-5f3a9c21d0`: a label value.
    pub id: String,
    /// Content.
    pub spec: RevisionSpec,
}

impl Revision {
    /// The revision that a spec asks for, with this model.
    pub fn of(spec: &ModelDeploymentSpec, model: ResolvedModel) -> Self {
        let content = RevisionSpec {
            model,
            server: spec.server.clone(),
            min_ready_seconds: spec.availability.min_ready_seconds,
            drain_seconds: spec.availability.drain_seconds,
        };
        let mut hashed = content.clone();
        // A word for people; renaming a version must not restart GPU pods.
        hashed.model.version = None;
        hashed.server.name_ports();
        let id = format!("{PREFIX}{}", short(&[text(&hashed).as_bytes()]));
        Self { id, spec: content }
    }

    /// What people call it: `model.version`, the name of the ModelVersion, or the beginning of the digest.
    pub fn version(&self) -> String {
        version_of(&self.spec)
    }
}

/// See [`Revision::version`].
pub fn version_of(spec: &RevisionSpec) -> String {
    let model = &spec.model;
    let word = model.version.as_ref().or(model.version_ref.as_ref());
    word.cloned().unwrap_or_else(|| model.artifact.digest.short().to_owned())
}

/// Name of the Deployment of a revision. Hashed from the owner's UID too, so that a namesake created again never
/// meets the children of the one before it.
pub fn child_name(name: &str, uid: &str, revision: &str) -> String {
    format!("{name}-{}", short(&[uid.as_bytes(), b"/", revision.as_bytes()]))
}

/// Value of the instance label: unique to one incarnation.
pub fn instance(uid: &str) -> String {
    short(&[uid.as_bytes()])
}

/// JSON of a revision: a field added in a later version hashes like its absence.
fn text(spec: &RevisionSpec) -> String {
    serde_json::to_value(spec).map(canonical::text).unwrap_or_default()
}
