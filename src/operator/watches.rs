//! One watch a kind, into its index; what changed wakes the owner.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource, core::DeserializeGuard};
use kube_runtime::{WatchStreamExt, reflector::ObjectRef, watcher};
use serde::de::DeserializeOwned;
use serin_api::{ModelDeployment, labels};

use crate::{
    children::{Child, HttpRoute, OwnerKey, SlimDeployment, SlimPod, SlimService},
    context::Context,
    index::Index,
};

/// A reference to the object to look at again.
pub type Wake = ObjectRef<DeserializeGuard<ModelDeployment>>;

/// Page size of the first list: small pages keep the peak of memory down (kube-rs 0.92 notes).
pub const PAGE: u32 = 100;

/// Everything that may wake a reconcile besides the object itself.
pub fn wakes(ctx: &Arc<Context>, namespace: Option<&str>) -> impl Stream<Item = Wake> + Send + use<> {
    let all: Vec<stream::BoxStream<'static, Wake>> = vec![
        watch::<SlimDeployment>(ctx, namespace, |c| &c.deployments).boxed(),
        watch::<SlimService>(ctx, namespace, |c| &c.services).boxed(),
        watch::<SlimPod>(ctx, namespace, |c| &c.pods).boxed(),
        routes(ctx, namespace).boxed(),
    ];
    stream::select_all(all)
}

/// An API for the whole cluster or for one namespace.
pub fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(ns) => Api::namespaced(client.clone(), ns),
        None => Api::all(client.clone()),
    }
}

fn watch<K>(
    ctx: &Arc<Context>,
    namespace: Option<&str>,
    index: fn(&Context) -> &Index<K>,
) -> impl Stream<Item = Wake> + Send + use<K>
where
    K: Child + Resource<Scope = NamespaceResourceScope, DynamicType = ()> + DeserializeOwned + Send + 'static,
{
    let ours = format!("{}={}", labels::MANAGED_BY, labels::MANAGER);
    let config = watcher::Config::default().labels(&ours).page_size(PAGE);
    let ctx = Arc::clone(ctx);
    watcher(api::<K>(&ctx.client, namespace), config).default_backoff().flat_map(move |event| {
        let owners = match event {
            Ok(event) => index(&ctx).take(event),
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), %error, "watch");
                Vec::new()
            }
        };
        stream::iter(owners.into_iter().map(|owner| wake(&owner)))
    })
}

fn wake(owner: &OwnerKey) -> Wake {
    ObjectRef::new(&owner.name).within(&owner.namespace)
}

/// HTTPRoutes, once the cluster serves them. Without the Gateway API everything but `traffic.gateway` works.
fn routes(ctx: &Arc<Context>, namespace: Option<&str>) -> impl Stream<Item = Wake> + Send + use<> {
    let ctx = Arc::clone(ctx);
    let namespace = namespace.map(str::to_owned);
    let served = {
        let ctx = Arc::clone(&ctx);
        async move {
            loop {
                match serves_routes(&ctx.client).await {
                    Ok(true) => break,
                    Ok(false) => {
                        ctx.routes.nothing_to_list();
                        tokio::time::sleep(GATEWAY_API_RECHECK).await;
                    }
                    // Not knowing is not "no": nothing is decided until it is known.
                    Err(error) => {
                        tracing::warn!(%error, "cannot ask whether this cluster serves HTTPRoute");
                        tokio::time::sleep(Duration::from_secs(2)).await;
                    }
                }
            }
            ctx.gateway_api.store(true, Ordering::Release);
        }
    };
    stream::once(served).flat_map(move |()| watch::<HttpRoute>(&ctx, namespace.as_deref(), |c| &c.routes))
}

/// A Gateway API that is installed later is noticed after this long at most.
const GATEWAY_API_RECHECK: Duration = Duration::from_secs(30);

async fn serves_routes(client: &Client) -> kube::Result<bool> {
    match client.list_api_group_resources("gateway.networking.k8s.io/v1").await {
        Ok(list) => Ok(list.resources.iter().any(|r| r.kind == "HTTPRoute")),
        Err(kube::Error::Api(s)) if s.is_not_found() => {
            tracing::info!("this cluster serves no HTTPRoute; traffic.gateway cannot be used yet");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
