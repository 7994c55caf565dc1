//! What earlier test runs left for a look, removed once nobody looks any more.

use chrono::{TimeDelta, Utc};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, Resource};

use crate::gateway::gateway_class;
use crate::world::TEST_LABEL;

/// How long a failed test's world is kept.
const KEPT: TimeDelta = TimeDelta::hours(1);

/// Removes namespaces and nodes of tests that are older.
pub async fn sweep(client: &Client) {
    old::<Namespace>(client).await;
    old::<Node>(client).await;
    let classes: Api<DynamicObject> = Api::all_with(client.clone(), &gateway_class());
    remove_old(&classes).await;
}

async fn old<K>(client: &Client)
where
    K: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    remove_old(&Api::<K>::all(client.clone())).await;
}

async fn remove_old<K>(api: &Api<K>)
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let Ok(found) = api.list_metadata(&ListParams::default().labels(TEST_LABEL)).await else { return };
    let is_old = |object: &PartialObjectMeta<K>| {
        let made = object.metadata.creation_timestamp.clone().map_or(0, |time| time.0.as_second());
        Utc::now().timestamp() - made > KEPT.num_seconds()
    };
    for object in found.items.iter().filter(|object| is_old(object)) {
        // Another run may be faster.
        let _ = api
            .delete(object.metadata.name.as_deref().unwrap_or_default(), &DeleteParams::background())
            .await;
    }
}
