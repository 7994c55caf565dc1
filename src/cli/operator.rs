//! `serin operator`.

use std::net::SocketAddr;

use clap::ValueEnum;
use serin_operator::{Election, Settings};
use tracing::Dispatch;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt::MakeWriter, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{Failure, traces};

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
    /// Gateways that copy requests (the filter RequestMirror, with a percentage): their GatewayClass is not asked.
    #[arg(long, env = "SERIN_MIRRORING_GATEWAYS", value_name = "NAMESPACE/NAME", value_delimiter = ',')]
    #[arg(value_parser = place)]
    mirroring_gateways: Vec<(String, String)>,
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

/// The log, and beside it `more`. As JSON whatever an object or a server says is one line, and no sign of it reaches a
/// terminal as it is.
fn log<W, L>(format: LogFormat, filter: EnvFilter, to: W, more: Option<L>) -> Dispatch
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    L: Layer<Registry> + Send + Sync,
{
    let log = tracing_subscriber::fmt::layer().with_writer(to);
    let log = match format {
        LogFormat::Json => log.json().flatten_event(true).boxed(),
        LogFormat::Text => log.boxed(),
    };
    tracing_subscriber::registry().with(more).with(log.with_filter(filter)).into()
}

/// Whether somebody wants traces. The variables are those of the OpenTelemetry specification.
fn traces_wanted() -> bool {
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
        .into_iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
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
    // reqwest and kube share one TLS implementation; without a default, building a client panics.
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider was installed twice")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let wanted = traces_wanted();
    let (layer, _traces) = traces::start(wanted, runtime.handle())?;
    log(args.log_format, filter, std::io::stderr, layer).init();
    if wanted && !cfg!(feature = "otel") {
        tracing::warn!("no traces: this program was built without the feature otel");
    }
    let election = args.leader_elect.then_some(Election {
        namespace: args.lease_namespace,
        name: args.lease_name,
        seconds: args.lease_seconds,
    });
    let settings = Settings {
        prometheus_url: args.prometheus_url,
        agent_image: args.agent_image,
        listen: args.listen,
        page: args.page_listen,
        namespace: args.namespace,
        concurrency: args.concurrency,
        mirroring_gateways: args.mirroring_gateways,
        election,
    };
    Ok(runtime.block_on(serin_operator::run(settings))?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };
    use tracing_subscriber::layer::Identity;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whatever_is_said_is_one_line_of_the_log() {
        let kept = Kept::default();
        let writer = kept.clone();
        let log = log(LogFormat::Json, EnvFilter::new("info"), move || writer.clone(), None::<Identity>);
        let all: String =
            (0..32).map(char::from).chain(['\u{7f}', '\u{9b}', '"', '\\', '\u{2028}']).collect();
        let evil = format!("x\n{{\"level\":\"ERROR\"}}\r\n\u{1b}[2J{all}");
        tracing::dispatcher::with_default(&log, || {
            tracing::warn!(name = %evil, error = ?evil, "reconcile of {evil} failed");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let (line, rest) = text.split_once('\n').unwrap();
        assert_eq!(rest, "", "one line");
        assert!(!line.chars().any(|c| c.is_ascii_control() && c != '\u{7f}'), "{line:?}");
        let read: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((read["level"].as_str(), read["name"].as_str()), (Some("WARN"), Some(evil.as_str())));
    }
}
