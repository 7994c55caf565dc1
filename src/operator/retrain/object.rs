//! A policy and its key.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use kube::{ResourceExt, core::DeserializeGuard};
use serin_api::{RetrainPolicy, RetrainPolicyStatus, labels};
use serin_engine::retrain::{Input, Share, World, run};

use crate::owner::{Main, OwnerKey, OwnerKind};

/// A policy as it is kept.
pub type PolicyObject = DeserializeGuard<RetrainPolicy>;

impl Main for PolicyObject {
    const KIND: OwnerKind = OwnerKind::RetrainPolicy;
}

impl Main for RetrainPolicy {
    const KIND: OwnerKind = OwnerKind::RetrainPolicy;
}

/// The deployments that a policy names.
pub fn named(policy: &RetrainPolicy) -> BTreeSet<String> {
    policy.spec.deployment_ref.iter().cloned().collect()
}

/// A policy and its key.
pub struct Object<'a> {
    pub policy: &'a RetrainPolicy,
    pub owner: OwnerKey,
    pub status: RetrainPolicyStatus,
    pub now: DateTime<Utc>,
}

impl<'a> Object<'a> {
    /// `None` for an object without name, namespace or UID, which no apiserver sends.
    pub fn of(policy: &'a RetrainPolicy, now: DateTime<Utc>) -> Option<Self> {
        let status = policy.status.clone().unwrap_or_default();
        Some(Self { policy, owner: OwnerKey::of(policy)?, status, now })
    }

    /// The owner of what is built.
    pub fn owned(&self) -> run::Policy<'_> {
        run::Policy {
            name: &self.owner.name,
            namespace: &self.owner.namespace,
            uid: &self.owner.uid,
            spec: &self.policy.spec,
        }
    }

    pub fn input<'b>(
        &'b self,
        world: &'b World,
        shares: &'b std::collections::BTreeMap<String, Share>,
    ) -> Input<'b> {
        Input {
            name: &self.owner.name,
            uid: &self.owner.uid,
            generation: self.policy.metadata.generation,
            by_hand: self.policy.annotations().get(labels::RETRAIN_NOW).map(String::as_str),
            spec: &self.policy.spec,
            status: &self.status,
            world,
            shares,
            now: self.now,
        }
    }
}
