//! `serin operator`.

use std::net::SocketAddr;

use clap::ValueEnum;
use serin_operator::{Election, Settings};
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
    /// Watch this namespace only; without it, all of them.
    #[arg(long, env = "SERIN_NAMESPACE")]
    namespace: Option<String>,
    /// Reconciles at the same time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// One of several operators decides, the others stand by; by a Lease. Leave it out where there is only one.
    #[arg(long)]
    leader_elect: bool,
    /// Namespace of the Lease; the operator's own, or that of the kubeconfig, if absent.
    #[arg(long, requires = "leader_elect")]
    lease_namespace: Option<String>,
    /// Name of the Lease. Operators that share it are replicas of each other.
    #[arg(long, requires = "leader_elect", default_value = "serin")]
    lease_name: String,
    /// Duration of the Lease. A leader that is gone without a word is missed for so long; all other times follow.
    #[arg(long, requires = "leader_elect", default_value_t = 15, value_parser = clap::value_parser!(u16).range(2..=300))]
    lease_seconds: u16,
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
    let election = args.leader_elect.then_some(Election {
        namespace: args.lease_namespace,
        name: args.lease_name,
        seconds: args.lease_seconds,
    });
    let settings = Settings {
        prometheus_url: args.prometheus_url,
        agent_image: args.agent_image,
        listen: args.listen,
        namespace: args.namespace,
        concurrency: args.concurrency,
        election,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    Ok(runtime.block_on(serin_operator::run(settings))?)
}
