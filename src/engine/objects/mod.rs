//! The Kubernetes objects that a [`crate::Write`] stands for, as JSON: what is not written here is not ours.

mod budget;
mod deployment;
pub mod route;
pub mod service;
pub mod storage;
pub mod user_route;

use serde_json::{Value, json};
use serin_api::{ModelDeploymentSpec, Slot, labels};

pub use budget::budget;
pub use deployment::{deployment, grace_seconds};
pub use route::route;
pub use service::{ratio_service, slot_service};

use crate::revision;

/// The `ModelDeployment` that owns what is built.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// Name.
    pub name: &'a str,
    /// Namespace; children never leave it.
    pub namespace: &'a str,
    /// UID.
    pub uid: &'a str,
    /// Its spec.
    pub spec: &'a ModelDeploymentSpec,
}

/// Annotation with the nominal weights `a/b`; a Service cannot say them otherwise.
pub const WEIGHTS: &str = "serin.dev/weights";
/// Mount point of the model in the server's container.
pub const MODEL_DIR: &str = "/mnt/models";
/// The model file, also in `$SERIN_MODEL_PATH`.
pub const MODEL_PATH: &str = "/mnt/models/model";

impl Owner<'_> {
    /// Name of a slot's Service: predictable, so that a person's own route can name both.
    pub fn slot_service_name(&self, slot: Slot) -> String {
        format!("{}-{}", self.name, slot.as_str())
    }

    fn metadata(&self, name: &str, extra_labels: &[(&str, &str)], uid: Option<&str>) -> Value {
        let mut object_labels = json!({
            labels::MANAGED_BY: labels::MANAGER,
            "app.kubernetes.io/name": self.name,
            labels::DEPLOYMENT: self.name,
            labels::INSTANCE: revision::instance(self.uid),
        });
        for (k, v) in extra_labels {
            object_labels[*k] = json!(v);
        }
        let mut metadata = json!({
            "name": name,
            "namespace": self.namespace,
            "labels": object_labels,
            "ownerReferences": [{
                "apiVersion": "serin.dev/v1alpha1",
                "kind": "ModelDeployment",
                "name": self.name,
                "uid": self.uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        });
        // A UID in an apply is a precondition: a namesake of the object is never touched.
        if let Some(uid) = uid {
            metadata["uid"] = json!(uid);
        }
        metadata
    }
}
