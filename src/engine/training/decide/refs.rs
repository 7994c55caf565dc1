//! What the spec's references lead to.

use std::sync::Arc;

use serin_api::{Artifact, BaseInput, Champion, Inputs, ModelFiles, Reason};

use super::Input;
use crate::training::{KnownVersion, inputs};

/// Why a reference cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    pub(super) reason: Reason,
    pub(super) message: String,
    /// Whether only a person can change that.
    pub(super) held: bool,
}

impl Unusable {
    /// It may appear by itself, as when a folder of files is applied in any order.
    fn missing(reason: Reason, message: String) -> Self {
        Self { reason, message, held: false }
    }
    fn unfit(reason: Reason, message: String) -> Self {
        Self { reason, message, held: true }
    }
}

/// A run's inputs, all references followed.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) inputs: Inputs,
    pub(super) digest: String,
    /// Files of the base model.
    pub(super) base: Option<ModelFiles>,
}

impl<'a> Input<'a> {
    /// Everything that the model is made of.
    pub(super) fn known(&self) -> Result<Known, Unusable> {
        let (base, files) = match self.base()? {
            None => (None, None),
            Some((base, files)) => (Some(base), Some(files)),
        };
        let inputs = inputs::of(self.spec, base.as_ref());
        let digest = inputs::digest(&inputs).0;
        if self.status.inputs_digest.as_ref().is_some_and(|recorded| *recorded != digest) {
            let message = "the base model is another one than when the run began: make another run";
            return Err(Unusable::unfit(Reason::SpecChanged, message.to_owned()));
        }
        Ok(Known { inputs, digest, base: files })
    }

    fn base(&self) -> Result<Option<(BaseInput, ModelFiles)>, Unusable> {
        let Some(base) = &self.spec.base_model else { return Ok(None) };
        if let Some(artifact) = &base.artifact {
            let input = BaseInput { version: None, digest: artifact.digest.clone() };
            return Ok(Some((input, files(artifact))));
        }
        let name = base.version_ref.as_deref().unwrap_or_default();
        let version = self.named("baseModel.versionRef", name)?;
        // A run that has begun goes on; it says itself what it was made of.
        if let (Some(why), 0) = (&version.revoked, self.status.attempt) {
            let message = format!("baseModel.versionRef: {name} was revoked ({why}); name another version");
            return Err(Unusable::unfit(Reason::VersionRevoked, message));
        }
        let input = BaseInput { version: Some(name.to_owned()), digest: version.files.digest.clone() };
        Ok(Some((input, version.files.clone())))
    }

    fn named(&self, field: &str, name: &str) -> Result<&'a Arc<KnownVersion>, Unusable> {
        self.world.version(name).ok_or_else(|| {
            let message = format!("{field}: there is no ModelVersion {name} in this namespace");
            Unusable::missing(Reason::VersionNotFound, message)
        })
    }

    /// The version that is trained again, if its inputs are those of this run.
    pub(super) fn replayed(&self, digest: &str) -> Result<Option<&'a Arc<KnownVersion>>, Unusable> {
        let Some(name) = &self.spec.replay_of else { return Ok(None) };
        let version = self.named("replayOf", name)?;
        let invalid = |message| Err(Unusable::unfit(Reason::InvalidSpec, message));
        match &version.inputs_digest {
            _ if version.model != self.spec.model => {
                invalid(format!("replayOf: {name} is of model {}, not of {}", version.model, self.spec.model))
            }
            None => invalid(format!("replayOf: {name} was imported; nobody knows what it was made of")),
            Some(recorded) if recorded.0 != digest => invalid(format!(
                "replayOf: the inputs of this run are not those of {name}; take them over from its spec.build.inputs"
            )),
            Some(_) => Ok(Some(version)),
        }
    }

    /// What a candidate is compared with: the version that the spec names, or the one that serves. Never `except`: a model
    /// is no better than itself.
    pub(super) fn champion(&self, except: Option<&str>) -> Result<Option<Champion>, Unusable> {
        let Some(evaluation) = &self.spec.evaluation else { return Ok(None) };
        if let Some(name) = &evaluation.champion {
            let Some(version) = self.world.version(name) else {
                let message =
                    format!("evaluation.champion: there is no ModelVersion {name} in this namespace");
                return Err(Unusable::missing(Reason::ChampionUnavailable, message));
            };
            if let Some(why) = &version.revoked {
                let message = format!("evaluation.champion: {name} was revoked ({why})");
                return Err(Unusable::unfit(Reason::ChampionUnavailable, message));
            }
            return Ok(Some(champion(version)));
        }
        let mut serving: Vec<_> = self
            .world
            .versions
            .iter()
            .filter(|v| v.model == self.spec.model && v.revoked.is_none() && v.serves_since.is_some())
            .filter(|v| except != Some(v.name.as_str()))
            .collect();
        serving.sort_by(|a, b| (a.serves_since, &a.name).cmp(&(b.serves_since, &b.name)));
        Ok(serving.last().map(|version| champion(version)))
    }
}

fn champion(version: &KnownVersion) -> Champion {
    Champion { version: version.name.clone(), model: version.files.clone() }
}

fn files(artifact: &Artifact) -> ModelFiles {
    ModelFiles {
        uri: artifact.uri.clone(),
        digest: artifact.digest.clone(),
        layout: artifact.layout,
        size_bytes: 0,
        format: None,
    }
}
