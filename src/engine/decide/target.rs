//! What the spec asks for, once its references are followed; and what happens while they lead nowhere.

use serin_api::{Candidate, ModelSource, Phase, Reason, ResolvedModel, Stable};

use super::{Draft, Input, channel, retreat};
use crate::{Plan, Revision, world::ObservedVersion};

/// Why the spec's model cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Why.
    pub reason: Reason,
    /// In words.
    pub message: String,
}

impl Input<'_> {
    /// The revision that the spec asks for.
    pub fn target(&self) -> Result<Revision, Unusable> {
        match &self.spec.model.channel {
            Some(channel) => self.by_channel(channel),
            None => self.resolved().map(|model| Revision::of(self.spec, model)),
        }
    }

    fn resolved(&self) -> Result<ResolvedModel, Unusable> {
        let source = &self.spec.model;
        let Some(name) = &source.version_ref else {
            let message = || "model must have exactly one of artifact, versionRef and channel".to_owned();
            return source
                .resolved()
                .ok_or_else(|| Unusable { reason: Reason::InvalidSpec, message: message() });
        };
        let Some(version) = self.world.versions.get(name) else {
            let message = format!("model.versionRef: there is no ModelVersion {name} in this namespace");
            return Err(Unusable { reason: Reason::VersionNotFound, message });
        };
        if self.serves(name) {
            // What serves goes on serving, whatever became of the version; `report` says what did.
            return Ok(of(name, version, source));
        }
        if let Some(why) = &version.revoked {
            let message = format!("model.versionRef: {name} was revoked ({why}); name another version");
            return Err(Unusable { reason: Reason::VersionRevoked, message });
        }
        if version.refused {
            let message =
                format!("model.versionRef: {name} did not pass its evaluation; name another version");
            return Err(Unusable { reason: Reason::VersionUnfit, message });
        }
        Ok(of(name, version, source))
    }

    /// Whether this version is in use already.
    fn serves(&self, name: &str) -> bool {
        let of = |spec: &serin_api::RevisionSpec| spec.model.version_ref.as_deref() == Some(name);
        self.status.stable.as_ref().is_some_and(|s| of(&s.spec))
            || self.status.candidate.as_ref().is_some_and(|c| of(&c.spec))
    }

    /// Why the candidate's version must not be served any more.
    pub(super) fn revoked(&self, c: &Candidate) -> Option<&str> {
        let name = c.spec.model.version_ref.as_ref()?;
        self.world.versions.get(name)?.revoked.as_deref()
    }
}

/// A version as it is served.
pub(super) fn of(name: &str, version: &ObservedVersion, source: &ModelSource) -> ResolvedModel {
    let storage = if source.storage.is_empty() { &version.storage } else { &source.storage };
    ResolvedModel {
        artifact: version.artifact.clone(),
        version_ref: Some(name.to_owned()),
        version: None,
        storage: storage.clone(),
    }
}

/// Nothing is begun and nothing that serves is touched; what was decided already is finished.
pub(super) fn without(mut d: Draft<'_>, unusable: Unusable) -> Plan {
    d.keep_stable();
    d.keep_budget();
    if let (Some(s), Some(c)) = (d.status.stable.clone(), d.status.candidate.clone())
        && c.phase == Phase::Retreating
    {
        d.aim(&Revision { id: s.revision.clone(), spec: s.spec.clone() });
        retreat::go_on(&mut d, &s, &c);
    }
    channel::keep_records(&mut d);
    d.remove_leftovers();
    d.report(unusable.reason, unusable.message);
    d.done(None)
}

/// The candidate's version was revoked while it was being tried.
pub(super) fn revoked(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) {
    let why = d.input.revoked(c).unwrap_or_default();
    retreat::begin(d, stable, c, Reason::VersionRevoked, format!("{} was revoked: {why}", c.version), true);
}
