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

/// When it appeared, and whose it is.
pub struct Birth {
    pub at: Instant,
    pub owner: String,
}

/// The moments at which objects of a kind appear from now on, and the names of their owners.
pub async fn births<K>(client: &Client, namespace: &str) -> mpsc::UnboundedReceiver<Birth>
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
        let (mut seen, mut version) = (BTreeSet::new(), version);
        // A watch ends after some minutes; the next one begins where it was.
        loop {
            let mut events = Box::pin(api.watch_metadata(&WatchParams::default(), &version).await.unwrap());
            while let Some(event) = events.next().await {
                let (object, is_new) = match event {
                    Ok(WatchEvent::Added(object)) => (object, true),
                    Ok(WatchEvent::Modified(object) | WatchEvent::Deleted(object)) => (object, false),
                    Ok(WatchEvent::Bookmark(bookmark)) => {
                        version = bookmark.metadata.resource_version;
                        continue;
                    }
                    Ok(WatchEvent::Error(_)) | Err(_) => break,
                };
                version = object.resource_version().unwrap();
                if is_new && seen.insert(object.uid()) {
                    let owner = object.owner_references().first().map(|owner| owner.name.clone());
                    let birth = Birth { at: Instant::now(), owner: owner.unwrap_or_default() };
                    if sender.send(birth).is_err() {
                        return;
                    }
                }
            }
        }
    });
    receiver
}
