//! Channels: what people do about versions, and what follows from it.

use chrono::{DateTime, Utc};
use serde_json::json;
use serin_api::{Approval, ModelDeploymentStatus, ModelSource, ResolvedModel};
use serin_engine::ObservedVersion;

use super::Sim;

/// The model of every version.
pub const MODEL: &str = "wine";

/// Asks for the newest version.
pub fn channel(approval: Approval) -> ModelSource {
    serde_json::from_value(json!({ "channel": { "model": MODEL, "approval": approval } })).unwrap()
}

impl Sim {
    /// Changes a version, if it is there.
    pub(super) fn version(&mut self, name: &str, change: impl FnOnce(&mut ObservedVersion)) {
        if let Some(version) = self.cluster.versions.get_mut(name) {
            change(version);
        }
    }

    /// Everything that is owned goes with it, and it is another one; the versions stay.
    pub(super) fn made_again(&mut self) {
        self.cluster.deployments.clear();
        self.cluster.services.clear();
        self.cluster.route = None;
        self.cluster.budget = None;
        self.orders = [const { None }; 4];
        self.status = ModelDeploymentStatus::default();
        self.generation = 1;
        self.failed = None;
        self.recheck_at = None;
        self.seen = None;
        self.before = None;
    }

    pub(super) fn by_name(&self, name: &str) -> Option<ResolvedModel> {
        let version = self.cluster.versions.get(name)?;
        Some(ResolvedModel {
            artifact: version.artifact.clone(),
            version_ref: Some(name.to_owned()),
            version: None,
            storage: version.storage.clone(),
        })
    }

    /// The newest version that may be served, told once more and in other words than the engine's.
    pub fn newest(&self) -> Option<&'static str> {
        let channel = self.spec.model.channel.as_ref()?;
        let own = self.status.channel.iter().flat_map(|known| &known.bars).map(|bar| bar.digest.clone());
        let versions = self.cluster.versions.values();
        let on_versions = versions.filter(|v| v.bar.is_some()).map(|v| v.artifact.digest.clone());
        let barred: Vec<_> = own.chain(on_versions).collect();
        let mut best: Option<(DateTime<Utc>, &'static str)> = None;
        for name in ["v1", "v2", "v3", "v4"] {
            let Some(version) = self.cluster.versions.get(name) else { continue };
            let approved = version.approved || channel.approval == Approval::Auto;
            let good = version.evaluated && version.revoked.is_none() && approved;
            if good && !barred.contains(&version.artifact.digest) {
                best = best.max(Some((version.recorded_at, name)));
            }
        }
        best.map(|(_, name)| name)
    }

    /// The version that the channel leads to, by the status' own word.
    pub(super) fn asked_for(&self) -> Option<&str> {
        self.spec.model.channel.as_ref()?;
        self.status.channel.as_ref()?.version.as_deref()
    }
}
