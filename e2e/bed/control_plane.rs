//! etcd, apiserver, controller manager and scheduler.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::error::{At as _, Error};
use crate::network::Range;
use crate::process::Process;
use crate::state::{Kind, State, Tokens};
use crate::tools::Tools;
use crate::{digest, files, run};

/// The node's name.
pub const NODE: &str = "bed";

/// The processes of a control plane alone.
pub const ALONE: &[&str] = &["etcd", "kube-apiserver", "kube-controller-manager"];

/// The processes of a whole bed.
pub const ALL: &[&str] = &[
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
    "coredns",
    "traefik",
    "prometheus",
    "versitygw",
];

/// Only what was asked, by whom and with which answer: enough to count calls,
/// and cheap. One line per call, when it is complete.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
";

/// New tokens.
pub fn tokens() -> Result<Tokens, Error> {
    Ok(Tokens {
        admin: secret()?,
        controller_manager: secret()?,
        scheduler: secret()?,
        kubelet: secret()?,
        proxy: secret()?,
        dns: secret()?,
        gateway: secret()?,
        prometheus: secret()?,
        s3_key: secret()?,
        s3_secret: secret()?,
    })
}

fn secret() -> Result<String, Error> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    let mut file = File::open(source).at(source)?;
    file.read_exact(&mut bytes).at(source)?;
    Ok(digest::hex(&bytes))
}

/// Writes certificates, tokens, kubeconfigs and the audit policy.
pub fn configure(state: &State, tools: &Tools) -> Result<(), Error> {
    let mut names: Vec<String> = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
    ]
    .map(Into::into)
    .into();
    names.push(service_ip(state));
    if let Some(range) = state.range {
        names.push(range.node().to_string());
    }
    run::output(
        tools.applet("certs").arg("--dir").arg(state.path("certs")).args(["--names", &names.join(",")]),
    )?;

    let t = &state.tokens;
    let node = format!("system:node:{NODE}");
    let users = [
        (&t.admin, "serin-bed:admin", "system:masters"),
        (&t.controller_manager, "system:kube-controller-manager", ""),
        (&t.scheduler, "system:kube-scheduler", ""),
        (&t.kubelet, &node, "system:nodes"),
        (&t.proxy, "system:kube-proxy", ""),
        (&t.dns, "serin-bed:dns", "system:masters"),
        (&t.gateway, "serin-bed:gateway", "system:masters"),
        (&t.prometheus, "serin-bed:prometheus", "system:masters"),
    ];
    let mut table = String::new();
    for (token, user, group) in users {
        table.extend([token, ",", user, ",", user, ",", group, "\n"]);
    }
    files::write_secret(&state.path("tokens.csv"), table)?;
    files::write(&state.path("audit-policy.yaml"), AUDIT_POLICY)?;

    files::write_secret(&state.kubeconfig, kubeconfig(state, &t.admin))?;
    for (name, token) in [
        ("controller-manager", &t.controller_manager),
        ("scheduler", &t.scheduler),
        ("kubelet", &t.kubelet),
        ("kube-proxy", &t.proxy),
        ("dns", &t.dns),
    ] {
        files::write_secret(&state.path(&kubeconfig_name(name)), kubeconfig(state, token))?;
    }
    Ok(())
}

/// A component's kubeconfig in the bed's folder.
pub fn kubeconfig_name(component: &str) -> String {
    format!("kubeconfigs/{component}")
}

fn kubeconfig(state: &State, token: &str) -> String {
    format!(
        "\
apiVersion: v1
kind: Config
clusters:
  - name: bed
    cluster:
      server: {server}
      certificate-authority: {ca}
users:
  - name: bed
    user:
      token: {token}
contexts:
  - name: bed
    context: {{cluster: bed, user: bed}}
current-context: bed
",
        server = state.apiserver_url(),
        ca = state.text("certs/ca.crt"),
    )
}

/// Where services get their addresses from. A control plane alone has no
/// network; the range only has to be valid.
fn service_range(state: &State) -> String {
    state.range.map_or_else(|| "10.0.0.0/16".into(), Range::services)
}

fn service_ip(state: &State) -> String {
    state.range.map_or_else(|| "10.0.0.1".into(), |range| range.first_service().to_string())
}

/// etcd.
pub fn etcd(state: &State, tools: &Tools) -> Process {
    let ports = &state.ports;
    tools.process(
        "etcd",
        [
            format!("--data-dir={}", state.text("etcd")),
            format!("--client=127.0.0.1:{}", ports.etcd),
            format!("--peer=127.0.0.1:{}", ports.etcd_peer),
        ],
    )
}

/// The apiserver.
pub fn apiserver(state: &State, tools: &Tools) -> Process {
    let certs = |name: &str| state.text(&format!("certs/{name}"));
    let mut args = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", state.ports.etcd),
        format!("--secure-port={}", state.ports.apiserver),
        format!("--advertise-address={}", state.address()),
        format!("--service-cluster-ip-range={}", service_range(state)),
        format!("--tls-cert-file={}", certs("apiserver.crt")),
        format!("--tls-private-key-file={}", certs("apiserver.key")),
        format!("--client-ca-file={}", certs("ca.crt")),
        format!("--kubelet-client-certificate={}", certs("kubelet-client.crt")),
        format!("--kubelet-client-key={}", certs("kubelet-client.key")),
        "--kubelet-preferred-address-types=InternalIP".into(),
        format!("--token-auth-file={}", state.text("tokens.csv")),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged=true".into(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        format!("--service-account-key-file={}", certs("sa.pub")),
        format!("--service-account-signing-key-file={}", certs("sa.key")),
        format!("--audit-policy-file={}", state.text("audit-policy.yaml")),
        format!("--audit-log-path={}", state.text("audit.log")),
        // One file however long the test: whoever counts reads just one.
        "--audit-log-maxsize=4096".into(),
        "--shutdown-delay-duration=0s".into(),
    ];
    if state.kind == Kind::ControlPlane {
        args.push("--bind-address=127.0.0.1".into());
        // A loopback address cannot be an endpoint of a Service.
        args.push("--endpoint-reconciler-type=none".into());
    }
    tools.process("kube-apiserver", args)
}

/// The controller manager, let loose: a bed is small, and tests wait for it.
pub fn controller_manager(state: &State, tools: &Tools) -> Process {
    let certs = |name: &str| state.text(&format!("certs/{name}"));
    let kubeconfig = state.text(&kubeconfig_name("controller-manager"));
    let mut args = vec![
        format!("--kubeconfig={kubeconfig}"),
        "--leader-elect=false".into(),
        "--secure-port=0".into(),
        "--use-service-account-credentials=true".into(),
        format!("--root-ca-file={}", certs("ca.crt")),
        format!("--service-account-private-key-file={}", certs("sa.key")),
        format!("--cluster-signing-cert-file={}", certs("ca.crt")),
        format!("--cluster-signing-key-file={}", certs("ca.key")),
        "--kube-api-qps=1000".into(),
        "--kube-api-burst=2000".into(),
        "--endpointslice-updates-batch-period=50ms".into(),
    ];
    for what in ["deployment", "replicaset", "service-endpoint", "gc", "namespace", "job"] {
        args.push(format!("--concurrent-{what}-syncs=20"));
    }
    tools.process("kube-controller-manager", args)
}

/// The scheduler.
pub fn scheduler(state: &State, tools: &Tools) -> Process {
    let kubeconfig = state.text(&kubeconfig_name("scheduler"));
    tools.process(
        "kube-scheduler",
        [
            format!("--kubeconfig={kubeconfig}"),
            "--leader-elect=false".into(),
            "--secure-port=0".into(),
            "--kube-api-qps=1000".into(),
            "--kube-api-burst=2000".into(),
        ],
    )
}
