//! Services: the selector, and in replica-ratio mode the weights.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serin_api::{Slot, labels};
use serin_engine::{Journal, Weights, objects};

use super::{Child, Ident, journal, label, slot};
use crate::owner::OwnerKind;

/// A Service: its selector.
#[derive(kube::Resource, Serialize, Deserialize, Clone, Debug)]
#[resource(inherit = k8s_openapi::api::core::v1::Service)]
pub struct SlimService {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: SlimServiceSpec,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct SlimServiceSpec {
    #[serde(default)]
    pub selector: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    pub ident: Ident,
    pub slot_label: Option<Slot>,
    pub selector: BTreeMap<String, String>,
    pub weights: Option<Weights>,
    pub journal: Option<Journal>,
}
impl Child for SlimService {
    const OWNER: OwnerKind = OwnerKind::ModelDeployment;
    type View = ServiceView;
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn ident(view: &ServiceView) -> &Ident {
        &view.ident
    }
    fn view(&self, ident: Ident) -> ServiceView {
        let weights =
            self.metadata.annotations.as_ref().and_then(|a| a.get(objects::WEIGHTS)).and_then(|t| {
                let (a, b) = t.split_once('/')?;
                Some(Weights { a: a.parse().ok()?, b: b.parse().ok()?, testers: None, mirror: None })
            });
        ServiceView {
            ident,
            slot_label: slot(label(&self.metadata, labels::SLOT)),
            selector: self.spec.selector.clone(),
            weights,
            journal: journal(&self.metadata),
        }
    }
}
