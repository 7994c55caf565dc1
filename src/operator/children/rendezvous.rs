//! Headless Services of attempts: that they are there.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serin_api::labels;
use serin_engine::training::ObservedService;

use super::{Child, Ident, label, number};
use crate::owner::OwnerKind;

/// A Service: nothing but its metadata is of interest.
#[derive(kube::Resource, Serialize, Deserialize, Clone, Debug)]
#[resource(inherit = k8s_openapi::api::core::v1::Service)]
pub struct SlimRendezvous {
    pub metadata: ObjectMeta,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RendezvousView {
    pub ident: Ident,
    attempt: Option<i32>,
}

impl RendezvousView {
    /// For the engine; `None` for a Service that no run of ours made.
    pub fn observed(self) -> Option<ObservedService> {
        let Ident { name, uid, deleting, .. } = self.ident;
        Some(ObservedService { name, uid, attempt: self.attempt?, deleting })
    }
}

impl Child for SlimRendezvous {
    const OWNER: OwnerKind = OwnerKind::TrainingRun;
    type View = RendezvousView;
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn ident(view: &RendezvousView) -> &Ident {
        &view.ident
    }
    fn view(&self, ident: Ident) -> RendezvousView {
        RendezvousView { ident, attempt: number(label(&self.metadata, labels::ATTEMPT)) }
    }
}
