//! One watch a kind, into its cache; what changed wakes whoever it matters to.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt, core::DeserializeGuard};
use kube_runtime::{
    WatchStreamExt,
    reflector::{ObjectRef, store::Writer},
    watcher::{self, Event, watcher},
};
use serde::de::DeserializeOwned;
use serin_api::{ModelDeployment, labels};

use crate::{
    children::{
        Child, HttpRoute, SlimBudget, SlimDeployment, SlimJob, SlimPod, SlimRank, SlimRendezvous, SlimService,
    },
    context::Context,
    index::Index,
    mentions::{Mentions, Place},
    owner::{OwnerKey, OwnerKind},
    retrain::{self, PolicyObject},
    training::{self, RunObject},
    versions::{self, Moved, VersionObject},
};

/// Page size of the first list: small pages keep the peak of memory down (kube-rs 0.92 notes).
pub const PAGE: u32 = 100;

/// ModelDeployments; versions that one names, or named before, are looked at again, as who serves them may have changed,
/// and so are policies that name it.
pub fn models(
    ctx: &Arc<Context>,
    namespace: Option<&str>,
    writer: Writer<DeserializeGuard<ModelDeployment>>,
) -> impl Stream<Item = watcher::Result<DeserializeGuard<ModelDeployment>>> + Send + use<> {
    let ctx = Arc::clone(ctx);
    let api = api(&ctx.client, namespace);
    main(api, writer, move |event| {
        let named = |md: &DeserializeGuard<ModelDeployment>| md.0.as_ref().ok().map(versions::named);
        let channel = |md: &DeserializeGuard<ModelDeployment>| md.0.as_ref().ok().map(versions::channel);
        mention(&ctx.channels, event, channel);
        for version in mention(&ctx.model_mentions, event, named) {
            ctx.wake(OwnerKind::ModelVersion, version);
        }
        let route = |md: &DeserializeGuard<ModelDeployment>| {
            let md = md.0.as_ref().ok()?;
            Some(md.spec.traffic.http_route.iter().map(|route| route.name.clone()).collect())
        };
        // Who names another route is looked at anyway.
        mention(&ctx.route_mentions, event, route);
        if let Event::Apply(md) | Event::InitApply(md) | Event::Delete(md) = event
            && let Some(namespace) = md.namespace()
        {
            for policy in ctx.policy_mentions.of(&namespace, &md.name_any()) {
                ctx.wake(OwnerKind::RetrainPolicy, (namespace.clone(), policy));
            }
        }
    })
}

/// TrainingRuns; the pods of one that is over are let go, and the policy that started it is looked at again.
pub fn runs(
    ctx: &Arc<Context>,
    namespace: Option<&str>,
    writer: Writer<RunObject>,
) -> impl Stream<Item = watcher::Result<RunObject>> + Send + use<> {
    let ctx = Arc::clone(ctx);
    let api = api(&ctx.client, namespace);
    main(api, writer, move |event| {
        let named = |run: &RunObject| match run {
            RunObject::Live(run) => Some(training::named(run)),
            RunObject::Stub(..) => Some(BTreeSet::new()),
        };
        mention(&ctx.run_mentions, event, named);
        if let Event::Apply(run) | Event::InitApply(run) | Event::Delete(run) = event
            && let Some(run) = run.of_policy()
        {
            ctx.wake(OwnerKind::RetrainPolicy, (run.policy.namespace, run.policy.name));
        }
        if let Event::Apply(run) | Event::InitApply(run) = event
            && run.needs_no_pods()
            && let Some(owner) = OwnerKey::of(run)
        {
            ctx.ranks.forget(&owner);
        }
    })
}

/// ModelVersions; who names one that comes, goes, or changes in what matters is looked at again, and so is whose channel it
/// is in.
pub fn versions(
    ctx: &Arc<Context>,
    namespace: Option<&str>,
    writer: Writer<VersionObject>,
) -> impl Stream<Item = watcher::Result<VersionObject>> + Send + use<> {
    let ctx = Arc::clone(ctx);
    let api = api(&ctx.client, namespace);
    main(api, writer, move |event| {
        for Moved { place: (namespace, version), models } in ctx.versions.take(event) {
            let in_channels = models.iter().flat_map(|model| ctx.channels.of(&namespace, model));
            let named = ctx.model_mentions.of(&namespace, &version).into_iter();
            for name in named.chain(in_channels).collect::<BTreeSet<_>>() {
                ctx.wake(OwnerKind::ModelDeployment, (namespace.clone(), name));
            }
            for name in ctx.run_mentions.of(&namespace, &version) {
                ctx.wake(OwnerKind::TrainingRun, (namespace.clone(), name));
            }
        }
    })
}

/// RetrainPolicies.
pub fn policies(
    ctx: &Arc<Context>,
    namespace: Option<&str>,
    writer: Writer<PolicyObject>,
) -> impl Stream<Item = watcher::Result<PolicyObject>> + Send + use<> {
    let ctx = Arc::clone(ctx);
    let api = api(&ctx.client, namespace);
    main(api, writer, move |event| {
        mention(&ctx.policy_mentions, event, |policy: &PolicyObject| {
            policy.0.as_ref().ok().map(retrain::named)
        });
    })
}

/// Children of ModelDeployments: whose to look at again.
pub fn of_models(ctx: &Arc<Context>, namespace: Option<&str>) -> impl Stream<Item = Place> + Send + use<> {
    let all: Vec<stream::BoxStream<'static, Place>> = vec![
        children::<SlimDeployment>(ctx, namespace, "", |c| &c.deployments, |_, _| true).boxed(),
        children::<SlimService>(ctx, namespace, NOT_OF_RUNS, |c| &c.services, |_, _| true).boxed(),
        children::<SlimBudget>(ctx, namespace, "", |c| &c.budgets, |_, _| true).boxed(),
        children::<SlimPod>(ctx, namespace, NOT_OF_RUNS, |c| &c.pods, |_, _| true).boxed(),
        routes(ctx, namespace).boxed(),
    ];
    stream::select_all(all)
}

/// Children of TrainingRuns: whose to look at again.
pub fn of_runs(ctx: &Arc<Context>, namespace: Option<&str>) -> impl Stream<Item = Place> + Send + use<> {
    let all: Vec<stream::BoxStream<'static, Place>> = vec![
        children::<SlimJob>(ctx, namespace, OF_RUNS, |c| &c.jobs, |_, _| true).boxed(),
        children::<SlimRendezvous>(ctx, namespace, OF_RUNS, |c| &c.rendezvous, |_, _| true).boxed(),
        children::<SlimRank>(ctx, namespace, OF_RUNS, |c| &c.ranks, needs_pods).boxed(),
    ];
    stream::select_all(all)
}

/// Looks of RetrainPolicies: whose to look at again. Their runs are told of where runs are watched.
pub fn of_policies(ctx: &Arc<Context>, namespace: Option<&str>) -> impl Stream<Item = Place> + Send + use<> {
    let all: Vec<stream::BoxStream<'static, Place>> = vec![
        children::<SlimJob>(ctx, namespace, OF_POLICIES, |c| &c.look_jobs, |_, _| true).boxed(),
        children::<SlimRank>(ctx, namespace, OF_POLICIES, |c| &c.look_pods, |_, _| true).boxed(),
    ];
    stream::select_all(all)
}

/// Selects, beside [`labels::MANAGED_BY`], what policies have made.
const OF_POLICIES: &str = ",serin.dev/retrain-uid";
/// Selects, beside [`labels::MANAGED_BY`], what runs have made.
const OF_RUNS: &str = ",serin.dev/run-uid";
/// The opposite.
const NOT_OF_RUNS: &str = ",!serin.dev/run-uid,!serin.dev/retrain-uid";

/// The pods of a run that is over, with all their last words, are nobody's concern.
fn needs_pods(ctx: &Context, owner: &OwnerKey) -> bool {
    let run = ctx.runs.get(&ObjectRef::new(&owner.name).within(&owner.namespace));
    run.is_none_or(|run| !run.needs_no_pods() || run.meta().uid.as_ref() != Some(&owner.uid))
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

/// The objects that a controller is about; `tap` sees each event once the store has it.
fn main<K>(
    api: Api<K>,
    writer: Writer<K>,
    tap: impl Fn(&Event<K>) + Send + 'static,
) -> impl Stream<Item = watcher::Result<K>> + Send
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    watcher(api, watcher::Config::default().page_size(PAGE))
        .default_backoff()
        .modify(forget_writers)
        .reflect(writer)
        .map(move |event| {
            if let Ok(event) = &event {
                tap(event);
            }
            event
        })
        .touched_objects()
}

/// Who wrote which field, and what `kubectl apply` last sent: larger than the object itself, and nothing is decided by them.
fn forget_writers<K: Resource>(object: &mut K) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

/// Keeps account of who names which version; gives the versions to look at again. `named` has no answer for an object that
/// cannot be read: what it named before stands.
fn mention<K: Resource<DynamicType = ()>>(
    mentions: &Mentions,
    event: &Event<K>,
    named: impl Fn(&K) -> Option<BTreeSet<String>>,
) -> BTreeSet<Place> {
    let place = |object: &K| (object.namespace().unwrap_or_default(), object.name_any());
    match event {
        Event::Init => {
            mentions.relist();
            BTreeSet::new()
        }
        Event::InitDone => mentions.relisted(),
        Event::Apply(object) | Event::InitApply(object) => match named(object) {
            Some(versions) => mentions.set(&place(object), &versions),
            None => mentions.keep(&place(object)),
        },
        Event::Delete(object) => mentions.set(&place(object), &BTreeSet::new()),
    }
}

fn children<K>(
    ctx: &Arc<Context>,
    namespace: Option<&str>,
    also: &str,
    index: fn(&Context) -> &Index<K>,
    wanted: fn(&Context, &OwnerKey) -> bool,
) -> impl Stream<Item = Place> + Send + use<K>
where
    K: Child + Resource<Scope = NamespaceResourceScope, DynamicType = ()> + DeserializeOwned + Send + 'static,
{
    let ours = format!("{}={}{also}", labels::MANAGED_BY, labels::MANAGER);
    let config = watcher::Config::default().labels(&ours).page_size(PAGE);
    let ctx = Arc::clone(ctx);
    watcher(api::<K>(&ctx.client, namespace), config).default_backoff().flat_map(move |event| {
        let owners = match event {
            Ok(event) => index(&ctx).take(event, |owner| wanted(&ctx, owner)),
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), %error, "watch");
                Vec::new()
            }
        };
        stream::iter(owners.into_iter().map(|owner| (owner.namespace, owner.name)))
    })
}

/// HTTPRoutes, once the cluster serves them. Without the Gateway API everything but `traffic.gateway` works.
fn routes(ctx: &Arc<Context>, namespace: Option<&str>) -> impl Stream<Item = Place> + Send + use<> {
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
                        ctx.user_routes.nothing_to_list();
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
    stream::once(served).flat_map(move |()| {
        let ours = children::<HttpRoute>(&ctx, namespace.as_deref(), "", |c| &c.routes, |_, _| true);
        stream::select(ours, routes_of_users(&ctx, namespace.as_deref()))
    })
}

/// Everybody else's HTTPRoutes: who names one that changed is looked at again.
fn routes_of_users(ctx: &Arc<Context>, namespace: Option<&str>) -> impl Stream<Item = Place> + Send + use<> {
    let theirs = format!("{}!={}", labels::MANAGED_BY, labels::MANAGER);
    let config = watcher::Config::default().labels(&theirs).page_size(PAGE);
    let ctx = Arc::clone(ctx);
    watcher(api::<HttpRoute>(&ctx.client, namespace), config).default_backoff().flat_map(move |event| {
        let changed = match event {
            Ok(event) => ctx.user_routes.take(&event),
            Err(error) => {
                tracing::warn!(kind = "HTTPRoute", %error, "watch");
                Vec::new()
            }
        };
        let named = changed.into_iter().flat_map(|(namespace, route)| {
            let names = ctx.route_mentions.of(&namespace, &route).into_iter();
            names.map(move |name| (namespace.clone(), name)).collect::<Vec<_>>()
        });
        stream::iter(named.collect::<Vec<_>>())
    })
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

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    #[test]
    fn of_annotations_only_what_kubectl_sent_is_forgotten() {
        let mut object: ConfigMap = serde_json::from_value(json!({
            "metadata": {
                "managedFields": [{"manager": "kubectl"}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "serin.dev/hand": "v2"},
            },
        }))
        .unwrap();
        forget_writers(&mut object);
        assert_eq!(object.metadata.managed_fields, None);
        assert_eq!(
            object.metadata.annotations,
            Some([("serin.dev/hand".to_owned(), "v2".to_owned())].into())
        );
    }
}
