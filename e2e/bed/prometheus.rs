//! Prometheus, as a process on the node, with the usual job for annotated pods.

use std::time::Duration;

use crate::error::{At as _, Error};
use crate::process::Process;
use crate::state::State;
use crate::{files, gateway, node, wait};

const PORT: u16 = 9090;

/// Reachable from the host and from pods.
pub fn url(state: &State) -> String {
    format!("http://{}", state.socket(PORT))
}

/// Namespaces whose pods' histograms are kept in the native form.
const NATIVE: &str = ".+-native";

/// A pod with this annotation is scraped once more, by a job of its own: a mistake that many clusters have.
pub const TWICE: &str = "serin.test/scraped-twice";

/// The jobs: pods that ask for it by annotation, and the gateway.
fn config(state: &State) -> String {
    let native = "    scrape_native_histograms: true\n    convert_classic_histograms_to_nhcb: true\n";
    let namespace = |action| relabel("__meta_kubernetes_namespace", action, NATIVE);
    let twice = format!(
        "__meta_kubernetes_pod_annotation_{}",
        TWICE.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
    );
    format!(
        "\
global:
  scrape_interval: 2s
  scrape_timeout: 2s
  evaluation_interval: 2s
scrape_configs:
  - job_name: gateway
    static_configs:
      - targets: ['{gateway}']
{pods}{native_pods}{pods_again}",
        gateway = gateway::metrics_url(state).trim_start_matches("http://").trim_end_matches("/metrics"),
        pods = pods(state, "kubernetes-pods", &namespace("drop"), ""),
        native_pods = pods(state, "kubernetes-pods-native", &namespace("keep"), native),
        pods_again = pods(state, "kubernetes-pods-again", &relabel(&twice, "keep", "true"), ""),
    )
}

/// Keeps or drops targets by one of their labels.
fn relabel(label: &str, action: &str, regex: &str) -> String {
    format!("      - source_labels: [{label}]\n        action: {action}\n        regex: '{regex}'\n")
}

/// The usual job for pods, of those that `which` leaves.
fn pods(state: &State, job: &str, which: &str, more: &str) -> String {
    format!(
        "  - job_name: {job}
{more}    kubernetes_sd_configs:
      - role: pod
        api_server: https://127.0.0.1:{api}
        authorization:
          credentials: {token}
        tls_config:
          ca_file: {ca}
    relabel_configs:
{which}      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape]
        action: keep
        regex: 'true'
      - source_labels: [__meta_kubernetes_pod_phase]
        action: drop
        regex: Pending|Succeeded|Failed|Completed
      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scheme]
        action: replace
        target_label: __scheme__
        regex: (https?)
      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path]
        action: replace
        target_label: __metrics_path__
        regex: (.+)
      - source_labels: [__meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_prometheus_io_port]
        action: replace
        separator: ':'
        target_label: __address__
        regex: (.+:\\d+)
      - action: labelmap
        regex: __meta_kubernetes_pod_label_(.+)
      - source_labels: [__meta_kubernetes_namespace]
        action: replace
        target_label: namespace
      - source_labels: [__meta_kubernetes_pod_name]
        action: replace
        target_label: pod
",
        api = state.ports.apiserver,
        token = state.tokens.prometheus,
        ca = state.text("certs/ca.crt"),
    )
}

/// Starts Prometheus.
pub fn start(state: &State) -> Result<(), Error> {
    let path = state.path("prometheus.yaml");
    files::write_secret(&path, config(state))?;
    let Some(program) = state.tools.as_ref().and_then(|tools| tools.prometheus.as_ref()) else {
        return Ok(());
    };
    state.place().start(&Process {
        name: "prometheus",
        argv: vec![
            program.to_string_lossy().into_owned(),
            format!("--config.file={}", path.to_string_lossy()),
            format!("--storage.tsdb.path={}", state.text("prometheus")),
            "--storage.tsdb.retention.time=1d".into(),
            format!("--web.listen-address=0.0.0.0:{PORT}"),
            format!("--web.external-url={}", url(state)),
        ],
        env: Vec::new(),
    })
}

/// Ends Prometheus in the orderly way, so that nothing scraped is lost.
pub fn stop(state: &State) {
    state.place().stop("prometheus", Duration::from_secs(15));
}

/// Removes its data; only while it does not run.
pub fn forget(state: &State) -> Result<(), Error> {
    let data = state.path("prometheus");
    std::fs::remove_dir_all(&data).at(&data)
}

/// Waits until it answers queries.
pub fn wait_ready(state: &State) -> Result<(), Error> {
    let place = state.place();
    let socket = state.socket(PORT);
    wait::until("Prometheus ready", node::PATIENCE, &place, &["prometheus"], || {
        wait::http_ok(socket, "/-/ready")
    })
}
