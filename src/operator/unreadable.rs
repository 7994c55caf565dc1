//! Objects that do not fit our types: a loosened CRD, or one of another version. They must not blind us to the others
//! (CVE-2022-39272 was one that did), and they are told so.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::Utc;
use kube::{
    Api,
    api::{DynamicObject, ObjectMeta, Patch},
    core::ApiResource,
};
use kube_runtime::controller::Action;
use serde_json::json;
use serin_api::{Reason, conditions};

use crate::{
    context::Context,
    error::Error,
    guard::whole_seconds,
    owner::{Main, Name},
    write::{failed, status_params},
};

/// Generations that were reported already.
#[derive(Debug, Default)]
pub struct Unreadable(Mutex<HashMap<Name, Option<i64>>>);

impl Unreadable {
    fn is_new(&self, name: &Name, generation: Option<i64>) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(name) != Some(&generation)
    }
    fn reported(&self, name: Name, generation: Option<i64>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(name, generation);
    }
    /// Forgets an object that is gone.
    pub fn forget(&self, name: &Name) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(name);
    }
}

/// An object that does not fit our types: reported on it, once a generation, and nothing else is touched.
pub async fn report<K: Main>(ctx: &Context, meta: &ObjectMeta, error: &str) -> Result<Action, Error> {
    let (Some(namespace), Some(name)) = (&meta.namespace, &meta.name) else {
        return Ok(Action::await_change());
    };
    let key = Name { kind: K::KIND, namespace: namespace.clone(), name: name.clone() };
    let generation = meta.generation;
    if !ctx.unreadable.is_new(&key, generation) {
        return Ok(Action::await_change());
    }
    let mut all = Vec::new();
    conditions::set(
        &mut all,
        conditions::Type::Stalled,
        conditions::State::True,
        Reason::InvalidSpec,
        format!("this object cannot be read: {error}"),
        generation,
        whole_seconds(Utc::now()),
    );
    let body = json!({"status": {"observedGeneration": generation, "conditions": all}});
    let api: Api<DynamicObject> =
        Api::namespaced_with(ctx.client.clone(), namespace, &ApiResource::erase::<K>(&()));
    let patched = api.patch_status(name, &status_params(), &Patch::Merge(body)).await;
    patched.map_err(|e| failed("patch status of", K::KIND.as_str(), name, e))?;
    ctx.unreadable.reported(key, generation);
    Ok(Action::await_change())
}
