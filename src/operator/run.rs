//! Start and end of the process.

use std::{future::ready, net::SocketAddr, sync::Arc, time::Duration};

use futures::StreamExt;
use kube::{Api, Client, ResourceExt, api::ListParams, client::ClientBuilder, core::DeserializeGuard};
use kube_runtime::{Controller, WatchStreamExt, controller, reflector, watcher};
use serin_api::ModelDeployment;
use tokio::{net::TcpListener, sync::watch};

use crate::{
    context::Context,
    error::StartError,
    prometheus::Prometheus,
    reconcile::{failed, reconcile},
    server,
    telemetry::Telemetry,
    watches,
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
    /// Only this namespace; every one if absent.
    pub namespace: Option<String>,
    /// Reconciles at the same time.
    pub concurrency: u16,
}

/// Longer than the server's watch timeout, so that only a dead connection runs into it.
const READ_TIMEOUT: Duration = Duration::from_secs(310);

/// Runs until SIGTERM or SIGINT.
pub async fn run(settings: Settings) -> Result<(), StartError> {
    let prometheus = Prometheus::new(&settings.prometheus_url)?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|source| StartError::Listen { address: settings.listen, source })?;
    let client = client().await?;
    let ctx = Arc::new(Context::new(client.clone(), prometheus, settings.agent_image, Telemetry::default()));
    let namespace = settings.namespace.as_deref();
    let api: Api<DeserializeGuard<ModelDeployment>> = watches::api(&client, namespace);
    let probe = api.list_metadata(&ListParams::default().limit(1)).await;
    probe.map_err(|e| StartError::Api { what: "ModelDeployments", source: Box::new(e) })?;

    let (stop, stopped) = watch::channel(false);
    let stopping = |mut stopped: watch::Receiver<bool>| async move {
        // An error means that the sender is gone, which is the end, too.
        let _ = stopped.wait_for(|s| *s).await;
    };
    let address = listener.local_addr().unwrap_or(settings.listen);
    let health = tokio::spawn(server::serve(listener, Arc::clone(&ctx), stopping(stopped.clone())));
    tracing::info!(%address, namespace = namespace.unwrap_or("*"), "serin is running");

    let (store, writer) = reflector::store();
    let objects = watcher(api, watcher::Config::default().page_size(watches::PAGE))
        .default_backoff()
        .modify(|md: &mut DeserializeGuard<ModelDeployment>| md.managed_fields_mut().clear())
        .reflect(writer)
        .touched_objects();
    let controller = Controller::for_stream(objects, store)
        .with_config(controller::Config::default().concurrency(settings.concurrency))
        .reconcile_on(watches::wakes(&ctx, namespace))
        .graceful_shutdown_on(stopping(stopped))
        .run(reconcile, failed, Arc::clone(&ctx))
        .for_each(|result| {
            match result {
                Ok((object, action)) => tracing::debug!(%object, ?action, "reconciled"),
                Err(controller::Error::ObjectNotFound(object)) => {
                    let namespace = object.namespace.clone().unwrap_or_default();
                    ctx.own_writes.forget(&namespace, &object.name);
                    ctx.backoff.reset(&namespace, &object.name);
                    ctx.unreadable.forget(&namespace, &object.name);
                }
                Err(controller::Error::ReconcilerFailed(..)) => {}
                Err(error) => tracing::warn!(%error, "controller"),
            }
            ready(())
        });
    tokio::spawn(async move {
        signal().await;
        tracing::info!("stopping: no new work, what has begun is finished");
        let _ = stop.send(true);
    });
    controller.await;
    // The server stops by the same word; its panic, if any, was its own.
    let _ = health.await;
    Ok(())
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
