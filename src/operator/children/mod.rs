//! What we keep of other kinds. A decoded Deployment of `k8s-openapi` holds 38 kB (docs/adr/0004-slim-children.md);
//! these structs are decoded from the watch directly, and of them only the views stay in memory.
//!
//! One file a kind: the slim object, its view, and how one becomes the other.

mod deployment;
mod pod;
mod route;
mod service;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serin_api::{Slot, labels};
use serin_engine::Journal;

pub use deployment::SlimDeployment;
pub use pod::{PodView, SlimPod};
pub use route::{HttpRoute, attached_as_wanted};
pub use service::{ServiceView, SlimService};

/// What every view has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident {
    pub name: String,
    pub uid: String,
    /// 0 if the server's version is no number; then freshness cannot be told and is assumed.
    pub version: u64,
    pub deleting: bool,
}

/// The owner a child names, and whether it is one of ours at all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerKey {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

/// A kind we index: how it becomes a small view under its owner.
pub trait Child: Clone + std::fmt::Debug {
    type View: Clone + PartialEq + Send + Sync + std::fmt::Debug + 'static;
    fn meta(&self) -> &ObjectMeta;
    fn view(&self, ident: Ident) -> Self::View;
    fn ident(view: &Self::View) -> &Ident;
    /// By owner reference; pods, which a ReplicaSet owns, by label.
    fn owner(&self) -> Option<OwnerKey> {
        let meta = self.meta();
        let owner = meta.owner_references.iter().flatten().find(|o| is_ours(o))?;
        Some(OwnerKey {
            namespace: meta.namespace.clone()?,
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        })
    }
}

fn is_ours(o: &OwnerReference) -> bool {
    o.kind == "ModelDeployment" && o.api_version.starts_with("serin.dev/") && o.controller == Some(true)
}

pub fn ident(meta: &ObjectMeta) -> Ident {
    Ident {
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        version: meta.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0),
        deleting: meta.deletion_timestamp.is_some(),
    }
}

fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

fn slot(text: Option<&str>) -> Option<Slot> {
    match text {
        Some("a") => Some(Slot::A),
        Some("b") => Some(Slot::B),
        _ => None,
    }
}

fn journal(meta: &ObjectMeta) -> Option<Journal> {
    meta.annotations.as_ref()?.get(labels::JOURNAL).and_then(|t| Journal::parse(t))
}
