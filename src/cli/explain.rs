//! `serin explain`: a decision, judged again.

use std::{collections::HashMap, time::SystemTime};

use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::Pod;
use serin_api::{ModelDeployment, labels};
use serin_engine::explain::{Explanation, Trial, explain, html, text};
use serin_operator::{Prometheus, read_samples};

use crate::{Failure, cluster, output};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the ModelDeployment.
    name: String,
    /// Revision of which the trial is explained; without it the present one, else the last.
    #[arg(long)]
    revision: Option<String>,
    /// Prometheus that the operator asks, as it is reached from here: behind `kubectl port-forward`, for example.
    #[arg(long, env = "SERIN_PROMETHEUS_URL", default_value = "http://localhost:9090")]
    prometheus_url: String,
    #[command(flatten)]
    cluster: cluster::Flags,
    /// Form of the answer; html is one page with the curves.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Who reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Format {
    /// People at a terminal.
    Text,
    /// Programs.
    Json,
    /// People with a browser.
    Html,
}

/// Finds the trial, reads its samples and prints what they say.
pub fn run(args: &Args) -> Result<(), Failure> {
    let now = DateTime::<Utc>::from(SystemTime::now());
    let explained = cluster::block_on(ask(args, now))?;
    match args.output {
        Format::Text => output::print(&text::render(&explained, output::paint())),
        Format::Json => output::json(&serde_json::to_value(&explained)?),
        Format::Html => output::print(&html::render(&explained, "")),
    }
}

async fn ask(args: &Args, now: DateTime<Utc>) -> Result<Explanation, Failure> {
    let cluster = args.cluster.connect().await?;
    let deployment: ModelDeployment = cluster.get(&args.name).await?;
    let status = deployment.status.clone().unwrap_or_default();
    let trial = Trial::find(&status, args.revision.as_deref(), now)?;
    let m = trial.measurement(&deployment);
    let prometheus = Prometheus::new(&args.prometheus_url)?;
    let started = starts(&cluster, &args.name).await?;
    let read = read_samples(&prometheus, &cluster.namespace, &m, &started, trial.until).await;
    let samples = read.map_err(|error| {
        format!(
            "{}: {error}; say where it is with --prometheus-url (SERIN_PROMETHEUS_URL)",
            args.prometheus_url
        )
    })?;
    Ok(explain(&args.name, &deployment.spec, trial, &m, &samples))
}

/// When the servers of the pods that are still there started, in milliseconds: a young pod's first sample counts.
async fn starts(cluster: &cluster::Cluster, name: &str) -> Result<HashMap<String, i64>, Failure> {
    let pods: Vec<Pod> = cluster.labelled(&format!("{}={name}", labels::DEPLOYMENT)).await?;
    let start = |pod: Pod| {
        let servers = pod.status?.container_statuses?;
        let server = servers.into_iter().find(|c| c.name == "server")?;
        Some((pod.metadata.name?, server.state?.running?.started_at?.0.as_millisecond()))
    };
    Ok(pods.into_iter().filter_map(start).collect())
}
