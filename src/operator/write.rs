//! How every write is made safe, whatever the kind: POST, or a UID or `resourceVersion` as precondition; and what was
//! written is remembered until the caches show it.

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Resource,
    api::{DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams, Preconditions},
    core::{ApiResource, PartialObjectMeta},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use serin_api::labels;

use crate::{
    children::ident,
    context::Context,
    error::Error,
    fresh::{Expect, Kind},
    owner::OwnerKey,
};

/// How far a plan got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Everything was written.
    Whole,
    /// Somebody else wrote first; the caches will tell, and the decision is taken again.
    Outrun,
}

/// A kind that is written.
pub struct Target {
    kind: Kind,
    resource: ApiResource,
}

impl Target {
    pub fn of<K: Resource<DynamicType = ()>>(kind: Kind) -> Self {
        Self { kind, resource: ApiResource::erase::<K>(&()) }
    }
    fn name(&self) -> &str {
        &self.resource.kind
    }
}

/// What came of a POST.
pub enum Created {
    /// It is there.
    New,
    /// Something of that name was there before.
    Exists(Box<DynamicObject>),
    /// It was there, and is gone.
    Gone,
}

/// Writes on behalf of one object.
pub struct Writer<'a> {
    ctx: &'a Context,
    owner: &'a OwnerKey,
}

impl<'a> Writer<'a> {
    pub fn new(ctx: &'a Context, owner: &'a OwnerKey) -> Self {
        Self { ctx, owner }
    }

    /// The quorum read before a decision: the spec and status that it rests on must still be the latest.
    #[tracing::instrument(level = "debug", skip_all, err(level = "debug"))]
    pub async fn confirmed<K>(&self, seen: &ObjectMeta) -> Result<bool, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        let api: Api<PartialObjectMeta<K>> = Api::namespaced(self.ctx.client.clone(), &self.owner.namespace);
        let found = api.get_metadata_opt(&self.owner.name).await;
        let found = found.map_err(|e| failed("get", &K::kind(&()), &self.owner.name, e))?;
        Ok(found.is_some_and(|f| f.metadata.resource_version == seen.resource_version))
    }

    /// Reads the latest of an object.
    #[tracing::instrument(level = "debug", skip_all, fields(kind = target.name(), name), err(level = "debug"))]
    pub async fn read(&self, target: &Target, name: &str) -> Result<Option<DynamicObject>, Error> {
        self.api(target).get_opt(name).await.map_err(|e| failed("get", target.name(), name, e))
    }

    /// POST of a child: what exists already is either ours (made before a restart; the cache lags) or a stranger's, and
    /// a stranger's is never adopted.
    pub async fn create(&self, target: &Target, name: &str, body: Value) -> Result<Applied, Error> {
        match self.post(target, name, body).await? {
            Created::New => Ok(Applied::Whole),
            Created::Gone => Ok(Applied::Outrun),
            Created::Exists(found) => {
                let owners = found.metadata.owner_references.as_deref().unwrap_or_default();
                if owners.iter().any(|o| o.uid == self.owner.uid) {
                    self.remember(target.kind, &found.metadata);
                } else {
                    self.is_taken(target, name);
                }
                Ok(Applied::Outrun)
            }
        }
    }

    /// POST; what is in the way is read and given back.
    #[tracing::instrument(level = "debug", skip_all, fields(kind = target.name(), name), err(level = "debug"))]
    pub async fn post(&self, target: &Target, name: &str, body: Value) -> Result<Created, Error> {
        let body: DynamicObject = serde_json::from_value(body)
            .map_err(|e| Error::Build { object: format!("{} {name}", target.name()), why: e.to_string() })?;
        let params = PostParams { field_manager: Some(labels::MANAGER.to_owned()), ..PostParams::default() };
        self.ctx.telemetry.wrote();
        match self.api(target).create(&params, &body).await {
            Ok(made) => {
                self.remember(target.kind, &made.metadata);
                Ok(Created::New)
            }
            Err(kube::Error::Api(s)) if s.is_already_exists() => {
                Ok(self.read(target, name).await?.map_or(Created::Gone, |f| Created::Exists(Box::new(f))))
            }
            Err(e) => Err(failed("create", target.name(), name, e)),
        }
    }

    /// A name that we need is a stranger's.
    pub fn is_taken(&self, target: &Target, name: &str) {
        self.ctx.taken.remember(self.owner, format!("{} {name}", target.name()));
    }

    #[tracing::instrument(level = "debug", skip_all, fields(kind = target.name(), name), err(level = "debug"))]
    pub async fn patch(
        &self,
        target: &Target,
        name: &str,
        params: &PatchParams,
        body: &Patch<Value>,
    ) -> Result<Applied, Error> {
        self.ctx.telemetry.wrote();
        match self.api(target).patch(name, params, body).await {
            Ok(written) => {
                self.remember(target.kind, &written.metadata);
                Ok(Applied::Whole)
            }
            // Gone, or another one of that name: the watch will tell.
            Err(kube::Error::Api(s)) if s.is_not_found() || s.is_conflict() => Ok(Applied::Outrun),
            Err(e) => Err(failed("patch", target.name(), name, e)),
        }
    }

    /// A JSON patch, guarded by tests of its own. One that fails means that the object has changed.
    pub async fn json_patch(&self, target: &Target, name: &str, operations: Value) -> Result<Applied, Error> {
        let operations = serde_json::from_value(operations)
            .map_err(|e| Error::Build { object: format!("patch of {name}"), why: e.to_string() })?;
        let params =
            PatchParams { field_manager: Some(labels::MANAGER.to_owned()), ..PatchParams::default() };
        match self.patch(target, name, &params, &Patch::Json(operations)).await {
            Err(Error::Api { source, .. }) if is_failed_test(&source) => Ok(Applied::Outrun),
            done => done,
        }
    }

    /// DELETE of this incarnation; `how` says when its dependents go.
    #[tracing::instrument(level = "debug", skip_all, fields(kind = target.name(), name), err(level = "debug"))]
    pub async fn delete(
        &self,
        target: &Target,
        name: &str,
        uid: &str,
        how: DeleteParams,
    ) -> Result<Applied, Error> {
        let preconditions = Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let params = DeleteParams { preconditions, ..how };
        self.ctx.telemetry.wrote();
        match self.api(target).delete(name, &params).await {
            Ok(_) => {
                let leaving = Expect::Leaving { uid: uid.to_owned() };
                self.ctx.own_writes.expect(self.owner, target.kind, name, leaving);
                Ok(Applied::Whole)
            }
            Err(kube::Error::Api(s)) if s.is_not_found() || s.is_conflict() => Ok(Applied::Whole),
            Err(e) => Err(failed("delete", target.name(), name, e)),
        }
    }

    /// The status, if it differs: a merge patch of the difference, valid only for the version that was seen.
    #[tracing::instrument(level = "debug", skip_all, fields(kind = target.name()), err(level = "debug"))]
    pub async fn status<S: Serialize>(
        &self,
        target: &Target,
        seen: &ObjectMeta,
        old: &S,
        new: &S,
    ) -> Result<Applied, Error> {
        let name = seen.name.as_deref().unwrap_or_default();
        let to_json = |s: &S| {
            serde_json::to_value(s)
                .map_err(|e| Error::Build { object: format!("status of {name}"), why: e.to_string() })
        };
        let Some(change) = merge_patch(&to_json(old)?, &to_json(new)?) else { return Ok(Applied::Whole) };
        let body = json!({
            "metadata": {"uid": seen.uid, "resourceVersion": seen.resource_version},
            "status": change,
        });
        self.ctx.telemetry.wrote();
        match self.api(target).patch_status(name, &status_params(), &Patch::Merge(body)).await {
            Ok(written) => {
                self.remember(target.kind, &written.metadata);
                Ok(Applied::Whole)
            }
            Err(kube::Error::Api(s)) if s.is_not_found() || s.is_conflict() => Ok(Applied::Outrun),
            Err(e) => Err(failed("patch status of", target.name(), name, e)),
        }
    }

    fn api(&self, target: &Target) -> Api<DynamicObject> {
        Api::namespaced_with(self.ctx.client.clone(), &self.owner.namespace, &target.resource)
    }

    fn remember(&self, kind: Kind, meta: &ObjectMeta) {
        let i = ident(meta);
        if i.version > 0 {
            self.ctx.own_writes.expect(self.owner, kind, &i.name, Expect::AtLeast(i.version));
        }
    }
}

/// How an apiserver says that a test in a JSON patch did not hold.
fn is_failed_test(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 422)
}

/// Of every status write.
pub fn status_params() -> PatchParams {
    PatchParams { field_manager: Some(labels::STATUS_MANAGER.to_owned()), ..PatchParams::default() }
}

/// RFC 7396: what turns `old` into `new`; `None` if nothing does.
fn merge_patch(old: &Value, new: &Value) -> Option<Value> {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let mut patch = serde_json::Map::new();
            for key in a.keys().filter(|k| !b.contains_key(*k)) {
                patch.insert(key.clone(), Value::Null);
            }
            for (key, value) in b {
                match a.get(key) {
                    None => {
                        patch.insert(key.clone(), value.clone());
                    }
                    Some(before) => {
                        if let Some(change) = merge_patch(before, value) {
                            patch.insert(key.clone(), change);
                        }
                    }
                }
            }
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        (a, b) if a == b => None,
        (_, b) => Some(b.clone()),
    }
}

/// A request that did not do what it was for.
pub fn failed(verb: &'static str, kind: &str, name: &str, source: kube::Error) -> Error {
    Error::Api { verb, object: format!("{kind} {name}"), source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_removes_adds_and_changes() {
        let old = json!({"a": 1, "b": {"c": 1, "d": 2}, "l": [1]});
        let new = json!({"b": {"c": 1, "d": 3}, "l": [1, 2], "n": true});
        let patch = merge_patch(&old, &new).unwrap();
        assert_eq!(patch, json!({"a": null, "b": {"d": 3}, "l": [1, 2], "n": true}));
        assert_eq!(merge_patch(&new, &new), None);
    }
}
