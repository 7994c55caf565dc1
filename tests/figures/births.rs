//! When objects appear, as a watch of their metadata shows it.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Instant;

use futures::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

/// The moments at which objects of a kind appear from now on.
pub async fn births<K>(client: &Client, namespace: &str) -> mpsc::UnboundedReceiver<Instant>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let api: Api<PartialObjectMeta<K>> = Api::namespaced(client.clone(), namespace);
    let version = api.list_metadata(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut seen = BTreeSet::new();
        let mut events = Box::pin(api.watch_metadata(&WatchParams::default(), &version).await.unwrap());
        while let Some(event) = events.next().await {
            if let Ok(WatchEvent::Added(object)) = event
                && seen.insert(object.uid())
                && sender.send(Instant::now()).is_err()
            {
                return;
            }
        }
    });
    receiver
}
