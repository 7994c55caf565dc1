//! What earlier test runs left for a look, removed once nobody looks any more.

use chrono::{TimeDelta, Utc};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::{DeleteParams, ListParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, Resource, ResourceExt as _};

use crate::world::TEST_LABEL;

/// How long a failed test's world is kept.
const KEPT: TimeDelta = TimeDelta::hours(1);

/// Removes namespaces and nodes of tests that are older.
pub async fn sweep(client: &Client) {
    old::<Namespace>(client).await;
    old::<Node>(client).await;
}

async fn old<K>(client: &Client)
where
    K: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::all(client.clone());
    let Ok(found) = api.list_metadata(&ListParams::default().labels(TEST_LABEL)).await else { return };
    let is_old = |object: &PartialObjectMeta<K>| {
        let made = object.creation_timestamp().map_or(0, |time| time.0.as_second());
        Utc::now().timestamp() - made > KEPT.num_seconds()
    };
    for object in found.items.iter().filter(|object| is_old(object)) {
        // Another run may be faster.
        let _ = api.delete(&object.name_any(), &DeleteParams::background()).await;
    }
}
