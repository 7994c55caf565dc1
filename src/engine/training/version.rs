//! The record that a run leaves: its name, its content, and how well it can be made again.

use serin_api::{
    Attempt, Build, BuildRun, Digest, Inputs, Level, ModelFiles, ModelVersionSpec, Origin, Storage,
};

use super::inputs;
use crate::canonical;

/// SLSA `buildType`: what the fields of a build mean.
pub const BUILD_TYPE: &str = "https://serin.dev/training/v1";
/// Most resolved images that are kept; more than one is a moved tag already.
const IMAGES_MAX: usize = 16;

/// `MODEL-HASH`: the same bytes from the same inputs have one name, so that to record a version twice is to record it
/// once.
pub fn name(model: &str, artifact: &Digest, inputs: &Digest) -> String {
    format!("{model}-{}", canonical::short(&[artifact.0.as_bytes(), inputs.0.as_bytes()]))
}

/// What a version is recorded from.
#[derive(Clone, Debug)]
pub struct Trained<'a> {
    /// Name of the run.
    pub run: &'a str,
    /// Its UID.
    pub uid: &'a str,
    /// `spec.model` of the run.
    pub model: &'a str,
    /// `spec.storage` of the run.
    pub storage: &'a Storage,
    /// What it was made of.
    pub inputs: Inputs,
    /// What was published.
    pub artifact: ModelFiles,
    /// The attempt that published it, ended.
    pub attempt: &'a Attempt,
    /// Seconds of running, of all attempts together.
    pub running_seconds: i64,
    /// Operator and version, `https://serin.dev/operator@0.1.0`.
    pub builder: &'a str,
    /// The champion, if there was one.
    pub parent: Option<&'a str>,
}

/// The record's content.
pub fn spec(trained: Trained<'_>) -> ModelVersionSpec {
    let attempt = trained.attempt;
    let images = attempt.images.iter().take(IMAGES_MAX).cloned().collect();
    ModelVersionSpec {
        model: trained.model.to_owned(),
        origin: Origin::Trained,
        artifact: trained.artifact,
        storage: trained.storage.clone(),
        inputs_digest: Some(inputs::digest(&trained.inputs)),
        build: Some(Build {
            build_type: BUILD_TYPE.to_owned(),
            inputs: trained.inputs,
            run: BuildRun {
                name: trained.run.to_owned(),
                uid: trained.uid.to_owned(),
                attempt: attempt.number,
                started_at: attempt.running_at.unwrap_or(attempt.created_at),
                finished_at: attempt.ended_at.unwrap_or(attempt.created_at),
                images,
                resumed_from: attempt.resumed_from.clone(),
                running_seconds: trained.running_seconds,
            },
            builder: trained.builder.to_owned(),
        }),
        parent: trained.parent.map(str::to_owned),
    }
}

/// How well a version can be made again, as long as nobody has tried: `Pinned` if every input is named by content and no
/// two ranks ran different images, else `Traceable`. `images` are those that the kubelets resolved, of all ranks.
///
/// Secrets count as credentials, not as inputs; an environment from a ConfigMap is an input that is not named by content.
pub fn level(inputs: &Inputs, images: &[String]) -> Level {
    if can_be_pinned(inputs, images).is_ok() { Level::Pinned } else { Level::Traceable }
}

/// As [`level`]; the error says what is missing for `Pinned`.
pub fn can_be_pinned(inputs: &Inputs, images: &[String]) -> Result<(), String> {
    match &inputs.code {
        None => return Err("source is missing: the code is not named".to_owned()),
        Some(code) if code.dirty => {
            return Err("source.dirty: the code had changes that are in no commit".to_owned());
        }
        Some(_) => {}
    }
    if let Some(name) = inputs.env.iter().find(|(_, v)| v.starts_with(inputs::CONFIG_MAP)).map(|(k, _)| k) {
        return Err(format!("trainer.env {name} comes from a ConfigMap, which can change"));
    }
    let mut seen: Vec<&str> = images.iter().map(|image| content(image).unwrap_or_default()).collect();
    seen.sort_unstable();
    seen.dedup();
    match (content(&inputs.image), seen.as_slice()) {
        (Some(_), [] | [_]) => Ok(()),
        (None, [one]) if !one.is_empty() => Ok(()),
        (None, [] | [_]) => Err(format!("the image {} is not named by digest", inputs.image)),
        (_, more) => Err(format!("the ranks ran {} different images", more.len())),
    }
}

/// The digest in `REPOSITORY@sha256:…` or in a bare `sha256:…`.
pub fn content(image: &str) -> Option<&str> {
    let digest = image.rsplit_once('@').map_or(image, |(_, digest)| digest);
    Digest(digest.to_owned()).is_well_formed().then_some(digest)
}
