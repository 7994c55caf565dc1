//! The gateway: Traefik as a process on the node, and the Gateway that routes
//! attach to.

use std::path::Path;

use crate::error::Error;
use crate::process::Process;
use crate::state::State;
use crate::tools::Tools;
use crate::up::apply;
use crate::{files, node, run, wait};

/// The HTTP listener.
pub const PORT: u16 = 8000;

const METRICS: u16 = 9101;

/// Where the counters per backend are.
pub fn metrics_url(state: &State) -> String {
    format!("http://{}/metrics", state.socket(METRICS))
}

/// A Gateway's listener must have the port of one of Traefik's entry points.
fn manifests() -> String {
    format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: traefik
spec:
  controllerName: traefik.io/gateway-controller
---
apiVersion: v1
kind: Namespace
metadata:
  name: serin-gateway
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: serin-gateway
  namespace: serin-gateway
spec:
  gatewayClassName: traefik
  listeners:
    - name: http
      port: {PORT}
      protocol: HTTP
      allowedRoutes:
        namespaces: {{from: All}}
"
    )
}

/// Starts Traefik and makes its Gateway.
pub fn start(state: &State, tools: &Tools) -> Result<(), Error> {
    let Some((range, program)) = state.range.zip(tools.traefik.as_ref()) else {
        return Ok(());
    };
    apply(state, &manifests())?;
    let config = state.path("traefik.yaml");
    files::write_secret(
        &config,
        format!(
            "\
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
log: {{level: INFO, noColor: true}}
entryPoints:
  web: {{address: ':{PORT}'}}
  metrics: {{address: ':{METRICS}'}}
ping: {{entryPoint: metrics}}
metrics:
  prometheus: {{entryPoint: metrics, addServicesLabels: true}}
providers:
  # Two seconds by default; tests wait for every change of a weight.
  providersThrottleDuration: 100ms
  kubernetesGateway:
    endpoint: https://127.0.0.1:{api}
    token: {token}
    certAuthFilePath: {ca}
    statusAddress: {{ip: {node}}}
",
            api = state.ports.apiserver,
            token = state.tokens.gateway,
            ca = state.text("certs/ca.crt"),
            node = range.node(),
        ),
    )?;
    state.place().start(&Process {
        name: "traefik",
        argv: vec![program.to_string_lossy().into_owned(), config_flag(&config)],
        env: Vec::new(),
    })
}

fn config_flag(config: &Path) -> String {
    format!("--configfile={}", config.to_string_lossy())
}

/// Waits until the Gateway is programmed.
pub fn wait_ready(state: &State) -> Result<(), Error> {
    let place = state.place();
    let socket = state.socket(METRICS);
    wait::until("the gateway ready", node::PATIENCE, &place, &["traefik"], || {
        wait::http_ok(socket, "/ping")
    })?;
    run::output(state.kubectl().args([
        "wait",
        "--for=condition=Programmed",
        "--timeout=60s",
        "-n=serin-gateway",
        "gateway/serin-gateway",
    ]))
    .map(drop)
}
