//! What we keep of other kinds. A decoded Deployment of `k8s-openapi` holds 38 kB (docs/adr/0004-slim-children.md);
//! these structs are decoded from the watch directly, and of them only the views stay in memory.
//!
//! One file a kind: the slim object, its view, and how one becomes the other.

mod budget;
mod deployment;
mod job;
mod pod;
mod rank;
mod rendezvous;
mod route;
mod service;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serin_api::{Slot, labels};
use serin_engine::Journal;

use crate::owner::{OwnerKey, OwnerKind};

pub use budget::SlimBudget;
pub use deployment::SlimDeployment;
pub use job::{JobView, SlimJob};
pub use pod::{PodView, SlimPod};
pub use rank::{RankView, SlimRank};
pub use rendezvous::{RendezvousView, SlimRendezvous};
pub use route::{HttpRoute, RouteBackend, attached_as_wanted, route_state, unresolved};
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

/// A kind we index: how it becomes a small view under its owner.
pub trait Child: Clone + std::fmt::Debug {
    /// Kind of the owners.
    const OWNER: OwnerKind;
    type View: Clone + PartialEq + Send + Sync + std::fmt::Debug + 'static;
    fn meta(&self) -> &ObjectMeta;
    fn view(&self, ident: Ident) -> Self::View;
    fn ident(view: &Self::View) -> &Ident;
    /// By owner reference; pods, which another controller owns, by label.
    fn owner(&self) -> Option<OwnerKey> {
        OwnerKey::by_reference(Self::OWNER, self.meta())
    }
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

/// A number from 1, as our labels have them (from 0 for a completion index).
fn number(text: Option<&str>) -> Option<i32> {
    text?.parse().ok().filter(|n| *n >= 0)
}

/// One bounded line: what a container says ends up in a status, and control characters in a terminal.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
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
