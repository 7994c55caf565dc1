//! Whose a thing is: the kinds of objects that we reconcile, and keys by which caches and memories are kept apart.

use k8s_openapi::{
    NamespaceResourceScope,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Resource, ResourceExt, core::DeserializeGuard};
use serin_api::{GROUP, ModelDeployment};

/// A kind that we reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OwnerKind {
    ModelDeployment,
    TrainingRun,
    ModelVersion,
    RetrainPolicy,
}

impl OwnerKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModelDeployment => "ModelDeployment",
            Self::TrainingRun => "TrainingRun",
            Self::ModelVersion => "ModelVersion",
            Self::RetrainPolicy => "RetrainPolicy",
        }
    }

    /// Whether a reference says that an object of this kind is the controller.
    fn is_named_by(self, reference: &OwnerReference) -> bool {
        let group = reference.api_version.split_once('/').map(|(group, _)| group);
        reference.kind == self.as_str() && group == Some(GROUP) && reference.controller == Some(true)
    }
}

/// One incarnation of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerKey {
    pub kind: OwnerKind,
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

impl OwnerKey {
    /// `None` for an object without name, namespace or UID, which no apiserver sends.
    pub fn of<K: Main>(object: &K) -> Option<Self> {
        let meta = object.meta();
        Some(Self {
            kind: K::KIND,
            namespace: meta.namespace.clone()?,
            name: meta.name.clone()?,
            uid: meta.uid.clone()?,
        })
    }

    /// The owner of this kind that an object names as its controller.
    pub fn by_reference(kind: OwnerKind, meta: &ObjectMeta) -> Option<Self> {
        let owner = meta.owner_references.iter().flatten().find(|o| kind.is_named_by(o))?;
        Some(Self {
            kind,
            namespace: meta.namespace.clone()?,
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        })
    }
}

/// An object by name, whichever incarnation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    pub kind: OwnerKind,
    pub namespace: String,
    pub name: String,
}

impl Name {
    pub fn of<K: Main>(object: &K) -> Self {
        Self { kind: K::KIND, namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }
}

/// An object that a controller of ours is about.
pub trait Main: Resource<DynamicType = (), Scope = NamespaceResourceScope> {
    const KIND: OwnerKind;
}

impl Main for DeserializeGuard<ModelDeployment> {
    const KIND: OwnerKind = OwnerKind::ModelDeployment;
}

impl Main for ModelDeployment {
    const KIND: OwnerKind = OwnerKind::ModelDeployment;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_controller_of_our_group_is_an_owner() {
        let meta = |api: &str, kind: &str, controller: bool| -> ObjectMeta {
            serde_json::from_value(serde_json::json!({
                "name": "wine-a1", "namespace": "ns",
                "ownerReferences": [{
                    "apiVersion": api, "kind": kind, "name": "wine", "uid": "u", "controller": controller,
                }],
            }))
            .unwrap()
        };
        let of = |meta: &ObjectMeta| OwnerKey::by_reference(OwnerKind::TrainingRun, meta);
        let found = of(&meta("serin.dev/v1alpha1", "TrainingRun", true)).unwrap();
        assert_eq!((found.name.as_str(), found.uid.as_str()), ("wine", "u"));
        assert_eq!(of(&meta("serin.dev/v1alpha1", "ModelDeployment", true)), None);
        assert_eq!(of(&meta("serin.dev/v1alpha1", "TrainingRun", false)), None);
        assert_eq!(of(&meta("serin.developers/v1", "TrainingRun", true)), None);
        assert_eq!(of(&meta("serin.dev", "TrainingRun", true)), None);
    }
}
