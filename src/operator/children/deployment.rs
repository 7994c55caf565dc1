//! Deployments: replicas and availability.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serin_api::{Slot, labels};

use super::{Child, Ident, label, slot};
use crate::owner::OwnerKind;

/// A Deployment: replicas and availability.
#[derive(kube::Resource, Serialize, Deserialize, Clone, Debug)]
#[resource(inherit = k8s_openapi::api::apps::v1::Deployment)]
pub struct SlimDeployment {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: SlimDeploymentSpec,
    #[serde(default)]
    pub status: SlimDeploymentStatus,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct SlimDeploymentSpec {
    #[serde(default)]
    pub replicas: Option<i32>,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimDeploymentStatus {
    #[serde(default)]
    pub available_replicas: i32,
    #[serde(default)]
    pub observed_generation: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentView {
    pub ident: Ident,
    pub revision: String,
    pub slot: Option<Slot>,
    pub replicas: i32,
    pub available: i32,
}
impl Child for SlimDeployment {
    const OWNER: OwnerKind = OwnerKind::ModelDeployment;
    type View = DeploymentView;
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn ident(view: &DeploymentView) -> &Ident {
        &view.ident
    }
    fn view(&self, ident: Ident) -> DeploymentView {
        let current = self.status.observed_generation >= self.metadata.generation.unwrap_or(0);
        DeploymentView {
            ident,
            revision: label(&self.metadata, labels::REVISION).unwrap_or_default().to_owned(),
            slot: slot(label(&self.metadata, labels::SLOT)),
            replicas: self.spec.replicas.unwrap_or(1),
            // A count of an older generation may speak of pods that were just scaled away; it can only be too high.
            available: if current {
                self.status.available_replicas
            } else {
                self.status.available_replicas.min(self.spec.replicas.unwrap_or(1))
            },
        }
    }
}
