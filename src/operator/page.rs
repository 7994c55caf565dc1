//! The read-only page (`--page-listen`, off by default): it shows what the operator sees, and has no way to change it. It listens
//! on an address of its own, so that it can be kept to loopback and reached by `kubectl port-forward`, which Kubernetes
//! authorizes; it asks nobody for a name. Of several operators the one that decides has it; the others see nothing.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use chrono::Utc;
use kube::{Api, ResourceExt as _, api::ListParams};
use kube_runtime::reflector::ObjectRef;
use serin_api::{ModelDeployment, ModelVersion, TrainingRun};
use serin_engine::{
    explain::{Trial, explain},
    lineage::{self, Namespace},
    page,
};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};

use crate::{context::Context, leader::Rank, observe, owner::OwnerKey, samples};

/// Pages that may be made at the same time: each is a query to Prometheus, or three lists.
const AT_ONCE: usize = 2;
/// For one page.
const PATIENCE: Duration = Duration::from_secs(10);
/// Objects of each kind that a lineage looks at.
const LIST_MAX: u32 = 500;
/// Seconds after which a browser asks again.
const REFRESH: HeaderValue = HeaderValue::from_static("5");
/// Nothing is loaded and nothing runs; the style stands in the page.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

struct Page {
    ctx: Arc<Context>,
    turns: Semaphore,
}

/// What is shown instead of a page.
struct Trouble(StatusCode, String);

type Shown = Result<Html<String>, Trouble>;

/// Serves until `stop`.
pub async fn serve(
    listener: TcpListener,
    ctx: Arc<Context>,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let page = Arc::new(Page { ctx, turns: Semaphore::new(AT_ONCE) });
    let app = Router::new()
        .route("/", get(all))
        .route("/deployments/{namespace}/{name}", get(deployment))
        .route("/versions/{namespace}/{name}", get(version))
        .fallback(async || Trouble(StatusCode::NOT_FOUND, "there is no such page".to_owned()))
        .layer(middleware::from_fn_with_state(Arc::clone(&page), leading))
        .layer(middleware::from_fn(harmless))
        .with_state(page);
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "the page is served");
    }
    if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "the page's server ended");
    }
}

/// Who stands by has no caches: an empty page would be a wrong one.
async fn leading(State(page): State<Arc<Page>>, request: Request, next: Next) -> Response {
    match page.ctx.standing.rank() {
        Rank::Leads => next.run(request).await,
        Rank::Unknown | Rank::StandsBy => Trouble(
            StatusCode::SERVICE_UNAVAILABLE,
            "this operator stands by and sees nothing: the holder of the Lease has the page".to_owned(),
        )
        .into_response(),
    }
}

/// Headers that keep a browser from doing anything else with it.
async fn harmless(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFRESH, REFRESH);
    response
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let Self(code, why) = self;
        (code, Html(page::trouble(code.canonical_reason().unwrap_or("Error"), &why))).into_response()
    }
}

impl Page {
    /// Makes a page when it is its turn, within [`PATIENCE`].
    async fn in_turn(&self, make: impl Future<Output = Shown>) -> Shown {
        let turn = async {
            let _turn = self.turns.acquire().await;
            make.await
        };
        timeout(PATIENCE, turn).await.unwrap_or_else(|_| {
            Err(Trouble(
                StatusCode::GATEWAY_TIMEOUT,
                "this took too long; it is tried again in a moment".to_owned(),
            ))
        })
    }
}

async fn all(State(page): State<Arc<Page>>) -> Html<String> {
    let known = page.ctx.models.state();
    let mut readable: Vec<&ModelDeployment> = known.iter().filter_map(|md| md.0.as_ref().ok()).collect();
    readable.sort_by_key(|md| (md.namespace(), md.name_any()));
    Html(page::list(readable.into_iter()))
}

async fn deployment(State(page): State<Arc<Page>>, Path((namespace, name)): Path<(String, String)>) -> Shown {
    page.in_turn(trial(&page.ctx, &namespace, &name)).await
}

async fn trial(ctx: &Context, namespace: &str, name: &str) -> Shown {
    let known = ctx.models.get(&ObjectRef::new(name).within(namespace));
    let Some(md) = known.as_ref().and_then(|md| md.0.as_ref().ok()) else {
        return Err(not_found("ModelDeployment", namespace, name));
    };
    let status = md.status.clone().unwrap_or_default();
    let trial = match Trial::find(&status, None, Utc::now()) {
        Ok(trial) => trial,
        Err(why) => return Ok(Html(page::untried(namespace, name, &why))),
    };
    let m = trial.measurement(md);
    let started = OwnerKey::of(md).map(|owner| observe::started(ctx, &owner)).unwrap_or_default();
    match samples::read(&ctx.prometheus, namespace, &m, &started, trial.until).await {
        Ok(samples) => Ok(Html(page::trial(namespace, &explain(name, &md.spec, trial, &m, &samples)))),
        Err(error) => Err(Trouble(StatusCode::BAD_GATEWAY, error.to_string())),
    }
}

async fn version(State(page): State<Arc<Page>>, Path((namespace, name)): Path<(String, String)>) -> Shown {
    // What is asked for becomes part of a request only if it is the name of something that we know.
    if page.ctx.versions.get(&namespace, &name).is_none() {
        return Err(not_found("ModelVersion", &namespace, &name));
    }
    page.in_turn(lineage(&page.ctx, &namespace, &name)).await
}

async fn lineage(ctx: &Context, namespace: &str, name: &str) -> Shown {
    let client = || ctx.client.clone();
    let few = ListParams::default().limit(LIST_MAX);
    let versions: Api<ModelVersion> = Api::namespaced(client(), namespace);
    let runs: Api<TrainingRun> = Api::namespaced(client(), namespace);
    let deployments: Api<ModelDeployment> = Api::namespaced(client(), namespace);
    let read = async {
        let version = versions.get(name).await?;
        Ok((version, versions.list(&few).await?, runs.list(&few).await?, deployments.list(&few).await?))
    };
    let (version, versions, runs, deployments) = read.await.map_err(|error: kube::Error| {
        tracing::warn!(%error, namespace, name, "the page cannot show a version");
        Trouble(
            StatusCode::BAD_GATEWAY,
            "the apiserver did not answer; the operator's log says more".to_owned(),
        )
    })?;
    let namespace_of =
        Namespace { versions: &versions.items, runs: &runs.items, deployments: &deployments.items };
    Ok(Html(page::lineage(namespace, &lineage::tree(&version, namespace_of))))
}

fn not_found(kind: &str, namespace: &str, name: &str) -> Trouble {
    Trouble(StatusCode::NOT_FOUND, format!("the operator knows no {kind} {name} in {namespace}"))
}
