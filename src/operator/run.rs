//! Start and end of the process.

use std::{
    fmt::Debug,
    future::{Future, ready},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use kube::{Client, api::ListParams, client::ClientBuilder};
use kube_runtime::{
    Controller,
    controller::{self, Action},
    reflector::{ObjectRef, Store},
    watcher,
};
use serde::de::DeserializeOwned;
use serin_api::{ModelDeployment, ModelVersion, RetrainPolicy, TrainingRun};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    context::{Context, Feeds},
    error::{Error, StartError},
    gateways::Gateways,
    guard::failed,
    mentions::Place,
    owner::{Main, Name},
    page, place,
    prometheus::Prometheus,
    reconcile, retrain, server,
    telemetry::Telemetry,
    training, versions, watches,
};

/// Flags of the operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where Prometheus is; the only one that is ever asked.
    pub prometheus_url: String,
    /// Image of the agent that fetches and verifies models.
    pub agent_image: String,
    /// Where health and metrics are served.
    pub listen: SocketAddr,
    /// Where the read-only page is served; nowhere if absent.
    pub page: Option<SocketAddr>,
    /// Only this namespace; every one if absent.
    pub namespace: Option<String>,
    /// Reconciles at the same time.
    pub concurrency: u16,
    /// Gateways, as namespace and name, that copy requests whatever their class says or does not say.
    pub mirroring_gateways: Vec<(String, String)>,
}

/// Longer than the server's watch timeout, so that only a dead connection runs into it.
const READ_TIMEOUT: Duration = Duration::from_secs(310);

/// Versions looked at at the same time; nearly all looks end in memory.
const VERSIONS_AT_ONCE: u16 = 8;
/// Policies, each of which may wait for Prometheus.
const POLICIES_AT_ONCE: u16 = 4;

/// Runs until SIGTERM or SIGINT.
pub async fn run(settings: Settings) -> Result<(), StartError> {
    let prometheus = Prometheus::new(&settings.prometheus_url)?;
    let listener = bind(settings.listen).await?;
    let page_listener = match settings.page {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let client = client().await?;
    let gateways = Gateways::new(settings.mirroring_gateways);
    let (ctx, feeds) = Context::new(
        client.clone(),
        prometheus,
        settings.agent_image,
        gateways,
        settings.concurrency,
        Telemetry::default(),
    );
    let (ctx, Feeds { models, runs, versions, policies }) = (Arc::new(ctx), feeds);
    let namespace = settings.namespace.as_deref();
    probe::<ModelDeployment>(&client, namespace, "ModelDeployments").await?;
    probe::<TrainingRun>(&client, namespace, "TrainingRuns").await?;
    probe::<ModelVersion>(&client, namespace, "ModelVersions").await?;
    probe::<RetrainPolicy>(&client, namespace, "RetrainPolicies").await?;

    let (stop, stopped) = watch::channel(false);
    let stopping = || {
        let mut stopped = stopped.clone();
        async move {
            // An error means that the sender is gone, which is the end, too.
            let _ = stopped.wait_for(|s| *s).await;
        }
    };
    let address = listener.local_addr().unwrap_or(settings.listen);
    let health = tokio::spawn(server::serve(listener, Arc::clone(&ctx), stopping()));
    if let Some(listener) = page_listener {
        tokio::spawn(page::serve(listener, Arc::clone(&ctx), stopping()));
    }
    tracing::info!(%address, namespace = namespace.unwrap_or("*"), "serin is running");

    let deployments = Control {
        objects: watches::models(&ctx, namespace, models.writer),
        store: models.store,
        woken: stream::select(watches::of_models(&ctx, namespace), models.woken),
        concurrency: settings.concurrency + place::WAITING,
    };
    let trainings = Control {
        objects: watches::runs(&ctx, namespace, runs.writer),
        store: runs.store,
        woken: stream::select(watches::of_runs(&ctx, namespace), runs.woken),
        concurrency: settings.concurrency,
    };
    let records = Control {
        objects: watches::versions(&ctx, namespace, versions.writer),
        store: versions.store,
        woken: versions.woken,
        concurrency: VERSIONS_AT_ONCE,
    };
    let retraining = Control {
        objects: watches::policies(&ctx, namespace, policies.writer),
        store: policies.store,
        woken: stream::select(watches::of_policies(&ctx, namespace), policies.woken),
        concurrency: POLICIES_AT_ONCE,
    };
    // Tasks of their own: what keeps one kind busy does not hold up the others.
    let controllers = [
        tokio::spawn(deployments.run(Arc::clone(&ctx), stopping(), reconcile::reconcile)),
        tokio::spawn(trainings.run(Arc::clone(&ctx), stopping(), training::reconcile)),
        tokio::spawn(records.run(Arc::clone(&ctx), stopping(), versions::reconcile)),
        tokio::spawn(retraining.run(Arc::clone(&ctx), stopping(), retrain::reconcile)),
    ];
    tokio::spawn(async move {
        signal().await;
        tracing::info!("stopping: no new work, what has begun is finished");
        let _ = stop.send(true);
    });
    let (first, _, others) = futures::future::select_all(controllers).await;
    // A controller ends by the word to stop. One that panicked takes the process with it: without it the others would
    // only look healthy.
    first.map_err(|_| StartError::Died)?;
    for other in others {
        other.await.map_err(|_| StartError::Died)?;
    }
    // The server stops by the same word; its panic, if any, was its own.
    let _ = health.await;
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// Whether a kind can be read at all.
async fn probe<K: Main + Clone + DeserializeOwned + Debug>(
    client: &Client,
    namespace: Option<&str>,
    what: &'static str,
) -> Result<(), StartError> {
    let probe = watches::api::<K>(client, namespace).list_metadata(&ListParams::default().limit(1)).await;
    probe.map(|_| ()).map_err(|e| StartError::Api { what, source: Box::new(e) })
}

/// A controller in the making.
struct Control<K: Main + 'static, O, W> {
    /// Its objects as they change.
    objects: O,
    /// The same as they are.
    store: Store<K>,
    /// What else makes it look at one of them.
    woken: W,
    /// Reconciles at the same time.
    concurrency: u16,
}

impl<K, O, W> Control<K, O, W>
where
    K: Main + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    O: Stream<Item = watcher::Result<K>> + Send + 'static,
    W: Stream<Item = Place> + Send + 'static,
{
    /// Runs it until `stop`.
    async fn run<F>(
        self,
        ctx: Arc<Context>,
        stop: impl Future<Output = ()> + Send + Sync + 'static,
        reconcile: fn(Arc<K>, Arc<Context>) -> F,
    ) where
        F: Future<Output = Result<Action, Error>> + Send + 'static,
    {
        let wakes = self.woken.map(|(namespace, name)| ObjectRef::<K>::new(&name).within(&namespace));
        Controller::for_stream(self.objects, self.store)
            .with_config(controller::Config::default().concurrency(self.concurrency))
            .reconcile_on(wakes)
            .graceful_shutdown_on(stop)
            .run(reconcile, failed, Arc::clone(&ctx))
            .for_each(|result| {
                match result {
                    Ok((object, action)) => tracing::debug!(%object, ?action, "reconciled"),
                    Err(controller::Error::ObjectNotFound(gone)) => {
                        let namespace = gone.namespace.clone().unwrap_or_default();
                        ctx.forget(&Name { kind: K::KIND, namespace, name: gone.name });
                    }
                    Err(controller::Error::ReconcilerFailed(..)) => {}
                    Err(error) => tracing::warn!(kind = K::KIND.as_str(), %error, "controller"),
                }
                ready(())
            })
            .await;
    }
}

/// SIGTERM or SIGINT.
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut term), Ok(mut int)) => {
            tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
        }
        _ => std::future::pending().await,
    }
}

async fn client() -> Result<Client, StartError> {
    let mut config = kube::Config::infer().await.map_err(|e| StartError::Config(Box::new(e)))?;
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    // The default retries any verb, POST included, for up to 164 s; ours are planned again from a fresh look.
    config.default_retry = false;
    let builder = ClientBuilder::try_from(config).map_err(|e| StartError::Config(Box::new(e)))?;
    Ok(builder.build())
}
