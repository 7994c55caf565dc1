//! PodDisruptionBudgets: how many pods may be missing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serin_api::IntOrString;

use super::{Child, Ident};
use crate::owner::OwnerKind;

/// A PodDisruptionBudget.
#[derive(kube::Resource, Serialize, Deserialize, Clone, Debug)]
#[resource(inherit = k8s_openapi::api::policy::v1::PodDisruptionBudget)]
pub struct SlimBudget {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: SlimBudgetSpec,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct SlimBudgetSpec {
    #[serde(default)]
    pub max_unavailable: Option<IntOrString>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetView {
    pub ident: Ident,
    pub max_unavailable: Option<IntOrString>,
}
impl Child for SlimBudget {
    const OWNER: OwnerKind = OwnerKind::ModelDeployment;
    type View = BudgetView;
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn ident(view: &BudgetView) -> &Ident {
        &view.ident
    }
    fn view(&self, ident: Ident) -> BudgetView {
        BudgetView { ident, max_unavailable: self.spec.max_unavailable.clone() }
    }
}
