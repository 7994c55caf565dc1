//! Start and end of the process.

use std::{fmt::Debug, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use kube::{Client, api::ListParams};
use serde::de::DeserializeOwned;
use serin_api::{ModelDeployment, ModelVersion, RetrainPolicy, TrainingRun};
use serin_lease::Timing;
use tokio::{net::TcpListener, sync::watch, time::sleep};

use crate::{
    client,
    context::{Context, Feeds},
    controllers::Controllers,
    error::StartError,
    gateways::Gateways,
    leader::{Campaign, Elected, Fence, Standing},
    owner::Main,
    page,
    prometheus::Prometheus,
    server,
    telemetry::Telemetry,
    training::nonce,
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
    /// Where the read-only page is served; nowhere if absent.
    pub page: Option<SocketAddr>,
    /// Only this namespace; every one if absent.
    pub namespace: Option<String>,
    /// Reconciles at the same time.
    pub concurrency: u16,
    /// Gateways, as namespace and name, that copy requests whatever their class says or does not say.
    pub mirroring_gateways: Vec<(String, String)>,
    /// How it is decided which of several operators works; without it, this one does.
    pub election: Option<Election>,
}

/// Of one among several.
#[derive(Clone, Debug)]
pub struct Election {
    /// Namespace of the lease; that of the pod, or of the kubeconfig, if absent.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its duration; all other times follow.
    pub seconds: u16,
}

/// A lease of Kubernetes' own controllers.
const LEASE_SECONDS: u16 = 15;
/// How long what has begun may take after the word to end.
const DRAIN: Duration = Duration::from_secs(5);
/// Until an apiserver that could not be reached is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT.
pub async fn run(settings: Settings) -> Result<(), StartError> {
    let prometheus = Prometheus::new(&settings.prometheus_url)?;
    let listener = bind(settings.listen).await?;
    let page_listener = match settings.page {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let holder = holder()?;
    let config = client::config(&format!("serin/{} ({holder})", env!("CARGO_PKG_VERSION"))).await?;
    let timing = Timing::of(settings.election.as_ref().map_or(LEASE_SECONDS, |e| e.seconds));
    let unfenced = client::client(&config, &Fence::open(timing))?;
    let telemetry = Telemetry::default();
    let (fence, standing) = match &settings.election {
        Some(_) => (Fence::closed(timing), Standing::candidate()),
        None => (Fence::open(timing), Standing::alone()),
    };
    telemetry.leads(settings.election.is_none());

    let worker = client::client(&config, &fence)?;
    let gateways = Gateways::new(settings.mirroring_gateways);
    let image = settings.agent_image;
    let (ctx, feeds) = Context::new(worker, prometheus, image, gateways, telemetry.clone(), standing.clone());
    let ctx = Arc::new(ctx);
    let address = listener.local_addr().unwrap_or(settings.listen);
    let (end, ended) = watch::channel(false);
    let ended = || {
        let mut ended = ended.clone();
        async move {
            // An error means that the sender is gone, which is the end, too.
            let _ = ended.wait_for(|ended| *ended).await;
        }
    };
    let health = tokio::spawn(server::serve(listener, Arc::clone(&ctx), timing, ended()));

    let mut told = pin!(signal());
    let namespace = settings.namespace.as_deref();
    tokio::select! {
        probed = probe_all(&unfenced, namespace) => probed?,
        () = &mut told => return Ok(()),
    }
    if let Some(listener) = page_listener {
        tokio::spawn(page::serve(listener, Arc::clone(&ctx), ended()));
    }
    tracing::info!(%address, namespace = namespace.unwrap_or("*"), "serin is running");

    let mut elected = settings.election.map(|election| {
        Elected::start(Campaign {
            namespace: election.namespace.unwrap_or_else(|| config.default_namespace.clone()),
            client: unfenced,
            name: election.name,
            holder,
            fence,
            standing,
            telemetry,
        })
    });
    let leads = async {
        if let Some(elected) = &mut elected {
            elected.leads().await;
        }
    };
    let result = tokio::select! {
        () = leads => work(&ctx, feeds, namespace, settings.concurrency, &mut told).await,
        () = &mut told => Ok(()),
    };
    ctx.stop();
    if let Some(elected) = elected {
        elected.leave().await;
    }
    let _ = end.send(true);
    // Its panic, if any, was its own.
    let _ = health.await;
    result
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// Decides until it is told to end.
async fn work(
    ctx: &Arc<Context>,
    feeds: Feeds,
    namespace: Option<&str>,
    concurrency: u16,
    told: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let mut controllers = Controllers::start(ctx, feeds, namespace, concurrency);
    let died = tokio::select! {
        () = controllers.died() => Err(StartError::Died),
        () = told => Ok(()),
    };
    tracing::info!("stopping: no new work, what has begun is finished");
    ctx.stop();
    controllers.finish(DRAIN).await.and(died)
}

/// A name that no other process has, nor ever had: a container that is started again is another one.
fn holder() -> Result<String, StartError> {
    let pod = std::env::var("HOSTNAME").unwrap_or_default();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let pod: String = pod.chars().filter(|c| word(*c)).take(253).collect();
    let pod = if pod.is_empty() { "serin" } else { &pod };
    let random = nonce::fresh().map_err(|e| StartError::Config(Box::new(e)))?;
    Ok(format!("{pod}_{}", &random[..10]))
}

/// Whether the kinds can be read at all. An apiserver that cannot be reached is waited for: the kubelet would do so by
/// starting us again, ever later.
async fn probe_all(client: &Client, namespace: Option<&str>) -> Result<(), StartError> {
    probe::<ModelDeployment>(client, namespace, "ModelDeployments").await?;
    probe::<TrainingRun>(client, namespace, "TrainingRuns").await?;
    probe::<ModelVersion>(client, namespace, "ModelVersions").await?;
    probe::<RetrainPolicy>(client, namespace, "RetrainPolicies").await
}

async fn probe<K: Main + Clone + DeserializeOwned + Debug>(
    client: &Client,
    namespace: Option<&str>,
    what: &'static str,
) -> Result<(), StartError> {
    let api = watches::api::<K>(client, namespace);
    loop {
        match api.list_metadata(&ListParams::default().limit(1)).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code < 500 && status.code != 429 => {
                return Err(StartError::Api { what, source: Box::new(kube::Error::Api(status)) });
            }
            Err(error) => tracing::warn!(%error, "cannot read {what}; trying again"),
        }
        sleep(AGAIN).await;
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
