//! `serin operator`.

use std::net::SocketAddr;

use clap::ValueEnum;
use serin_operator::Settings;
use tracing_subscriber::EnvFilter;

use crate::Failure;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Prometheus that scrapes the model servers, such as http://prometheus.monitoring:9090.
    #[arg(long, env = "SERIN_PROMETHEUS_URL")]
    prometheus_url: String,
    /// Image of the agent that fetches and verifies models inside the pods.
    #[arg(long, env = "SERIN_AGENT_IMAGE")]
    agent_image: String,
    /// Address of /livez, /readyz and /metrics.
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Serve a read-only page there, such as 127.0.0.1:8081 for `kubectl port-forward`; it asks nobody who they are.
    #[arg(long, value_name = "ADDRESS")]
    page_listen: Option<SocketAddr>,
    /// Watch this namespace only; without it, all of them.
    #[arg(long, env = "SERIN_NAMESPACE")]
    namespace: Option<String>,
    /// Reconciles at the same time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// Format of the log on standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Json,
    Text,
}

/// Runs until it is told to end.
pub fn run(args: Args) -> Result<(), Failure> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Json => log.json().flatten_event(true).init(),
        LogFormat::Text => log.init(),
    }
    // reqwest and kube share one TLS implementation; without a default, building a client panics.
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider was installed twice")?;
    let settings = Settings {
        prometheus_url: args.prometheus_url,
        agent_image: args.agent_image,
        listen: args.listen,
        page: args.page_listen,
        namespace: args.namespace,
        concurrency: args.concurrency,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    Ok(runtime.block_on(serin_operator::run(settings))?)
}
