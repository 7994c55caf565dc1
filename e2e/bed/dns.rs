//! The cluster's DNS: CoreDNS as a process on the node, behind the usual
//! Service.

use crate::control_plane::kubeconfig_name;
use crate::error::Error;
use crate::process::Process;
use crate::state::State;
use crate::tools::Tools;
use crate::up::apply;
use crate::{files, node, wait};

const READY: u16 = 8181;

/// Starts CoreDNS and makes its Service, with the one endpoint that no
/// selector would find.
pub fn start(state: &State, tools: &Tools) -> Result<(), Error> {
    let Some((range, program)) = state.range.zip(tools.coredns.as_ref()) else {
        return Ok(());
    };
    let node = range.node();
    // Other names are nobody's here: NXDOMAIN says so at once, where no answer
    // would make clients try again.
    let config = state.path("Corefile");
    files::write(
        &config,
        format!(
            "\
cluster.local:53 in-addr.arpa:53 {{
    bind {node}
    errors
    ready {node}:{READY}
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
        ttl 2
    }}
    cache 2
    loadbalance
}}
.:53 {{
    bind {node}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
",
            kubeconfig = state.text(&kubeconfig_name("dns")),
        ),
    )?;
    apply(
        state,
        &format!(
            "\
apiVersion: v1
kind: Service
metadata:
  name: kube-dns
  namespace: kube-system
  labels: {{k8s-app: kube-dns, kubernetes.io/name: CoreDNS}}
spec:
  clusterIP: {address}
  ports:
    - {{name: dns, port: 53, protocol: UDP}}
    - {{name: dns-tcp, port: 53, protocol: TCP}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: kube-dns
  namespace: kube-system
  labels:
    kubernetes.io/service-name: kube-dns
    endpointslice.kubernetes.io/managed-by: serin-bed
addressType: IPv4
endpoints:
  - addresses: [{node}]
    conditions: {{ready: true}}
ports:
  - {{name: dns, port: 53, protocol: UDP}}
  - {{name: dns-tcp, port: 53, protocol: TCP}}
",
            address = range.dns(),
        ),
    )?;
    state.place().start(&Process {
        name: "coredns",
        argv: vec![
            program.to_string_lossy().into_owned(),
            "-conf".into(),
            config.to_string_lossy().into_owned(),
        ],
        env: Vec::new(),
    })
}

/// Waits until it knows the cluster's names.
pub fn wait_ready(state: &State) -> Result<(), Error> {
    let place = state.place();
    let socket = state.socket(READY);
    wait::until("DNS ready", node::PATIENCE, &place, &["coredns"], || wait::http_ok(socket, "/ready"))
}
