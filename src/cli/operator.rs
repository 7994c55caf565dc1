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
    /// Watch this namespace only; without it, all of them.
    #[arg(long, env = "SERIN_NAMESPACE")]
    namespace: Option<String>,
    /// Reconciles at the same time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// Gateways that copy requests (the filter RequestMirror, with a percentage): their GatewayClass is not asked.
    #[arg(long, env = "SERIN_MIRRORING_GATEWAYS", value_name = "NAMESPACE/NAME", value_delimiter = ',')]
    #[arg(value_parser = place)]
    mirroring_gateways: Vec<(String, String)>,
    /// Format of the log on standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Json,
    Text,
}

fn place(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err(format!("{text:?} is not NAMESPACE/NAME")),
    }
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
        namespace: args.namespace,
        concurrency: args.concurrency,
        mirroring_gateways: args.mirroring_gateways,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    Ok(runtime.block_on(serin_operator::run(settings))?)
}
