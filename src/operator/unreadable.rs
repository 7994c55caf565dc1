//! Objects that do not fit our types: a loosened CRD, or one of another version. They must not blind us to the others
//! (CVE-2022-39272 was one that did), and they are told so.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::Utc;
use kube::{
    Api,
    api::{Patch, PatchParams},
    core::error_boundary::InvalidObject,
};
use kube_runtime::controller::Action;
use serde_json::json;
use serin_api::{ModelDeployment, Reason, conditions, labels};

use crate::{context::Context, error::Error, reconcile::whole_seconds};

/// Generations that were reported already, by namespace and name.
#[derive(Debug, Default)]
pub struct Unreadable(Mutex<HashMap<(String, String), Option<i64>>>);

impl Unreadable {
    fn is_new(&self, namespace: &str, name: &str, generation: Option<i64>) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&(namespace.to_owned(), name.to_owned())) != Some(&generation)
    }
    fn reported(&self, namespace: &str, name: &str, generation: Option<i64>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert((namespace.to_owned(), name.to_owned()), generation);
    }
    /// Forgets an object that is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(&(namespace.to_owned(), name.to_owned()));
    }
}

/// An object that does not fit our types: reported on it, once a generation, and nothing else is touched.
pub async fn report(ctx: &Context, invalid: &InvalidObject) -> Result<Action, Error> {
    let (Some(namespace), Some(name)) = (&invalid.metadata.namespace, &invalid.metadata.name) else {
        return Ok(Action::await_change());
    };
    let mut all = Vec::new();
    let message = format!("this object cannot be read: {}", invalid.error);
    let now = whole_seconds(Utc::now());
    let generation = invalid.metadata.generation;
    if !ctx.unreadable.is_new(namespace, name, generation) {
        return Ok(Action::await_change());
    }
    conditions::set(
        &mut all,
        conditions::Type::Stalled,
        conditions::State::True,
        Reason::InvalidSpec,
        message,
        generation,
        now,
    );
    let body = json!({"status": {"observedGeneration": generation, "conditions": all}});
    let api: Api<kube::api::DynamicObject> = Api::namespaced_with(
        ctx.client.clone(),
        namespace,
        &kube::core::ApiResource::erase::<ModelDeployment>(&()),
    );
    let params =
        PatchParams { field_manager: Some(labels::STATUS_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch_status(name, &params, &Patch::Merge(body)).await.map_err(|source| Error::Api {
        verb: "patch status of",
        object: format!("ModelDeployment {name}"),
        source: Box::new(source),
    })?;
    ctx.unreadable.reported(namespace, name, generation);
    Ok(Action::await_change())
}
