//! The node: containerd, kubelet, kube-proxy, and the images on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::control_plane::{NODE, kubeconfig_name};
use crate::error::{At as _, Error};
use crate::image::{File, Image};
use crate::process::Process;
use crate::state::State;
use crate::tools::Tools;
use crate::{cgroup, debian, files, network, run, wait};

/// How long a part may take to become ready.
pub const PATIENCE: Duration = Duration::from_secs(90);

const PAUSE: &str = "serin.test/pause:1";

fn socket(state: &State) -> PathBuf {
    state.path("run/containerd.sock")
}

/// Starts containerd.
pub fn start_containerd(state: &State) -> Result<(), Error> {
    let place = state.place();
    if place.running("containerd").is_some() {
        return Ok(());
    }
    let Some(plugins) = debian::plugins() else {
        return Err(Error::Missing {
            what: "containernetworking-plugins".into(),
            install: "apt-get install -y containernetworking-plugins".into(),
        });
    };
    let snapshotter = snapshotter(state);
    files::write(&state.path("snapshotter"), snapshotter)?;
    let config = state.path("containerd.toml");
    files::write(&config, containerd_config(state, snapshotter, &plugins))?;
    files::write(&state.path("cni/10-bed.conflist"), network_config(state))?;
    let program = run::which("containerd").unwrap_or_else(|| "containerd".into());
    place.start(&Process {
        name: "containerd",
        argv: vec![program.to_string_lossy().into_owned(), format!("--config={}", config.to_string_lossy())],
        env: Vec::new(),
    })
}

/// overlayfs where the bed's folder can hold one (not on another overlay),
/// else plain copies.
fn snapshotter(state: &State) -> &'static str {
    let trial = || -> Result<(), Error> {
        let dir = state.path("overlay-trial");
        for name in ["lower", "upper", "work", "merged"] {
            files::make_dir(&dir.join(name))?;
        }
        let base = dir.to_string_lossy();
        let options = format!("lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work");
        let merged = dir.join("merged");
        let options = std::ffi::CString::new(options).map_err(|_| Error::Name(base.to_string()))?;
        mount("overlay", &merged, "overlay", MountFlags::empty(), &*options)
            .map_err(std::io::Error::from)
            .at(&merged)?;
        unmount(&merged, UnmountFlags::DETACH).map_err(std::io::Error::from).at(&merged)?;
        fs::remove_dir_all(&dir).at(&dir)
    };
    if trial().is_ok() { "overlayfs" } else { "native" }
}

/// Everything in the bed's folder, nothing of what a containerd of the
/// machine's own would use.
fn containerd_config(state: &State, snapshotter: &str, plugins: &Path) -> String {
    format!(
        r#"version = 2
root = "{dir}/containerd"
state = "{dir}/run/containerd"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing",
]
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{dir}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  netns_mounts_under_state_dir = true
  enable_unprivileged_ports = true
  # Pods must not be harder to end than we are: not every root may do that.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = "{dir}/run/runc"
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{dir}/cni"
"#,
        dir = state.dir.to_string_lossy(),
        socket = socket(state).to_string_lossy(),
        plugins = plugins.to_string_lossy(),
    )
}

/// A link of its own to the node for every pod, rather than a bridge: then all
/// traffic is routed and passes iptables, also between two pods of this node,
/// and no kernel module for bridges is needed.
fn network_config(state: &State) -> String {
    let pods = state.range.map(network::Range::pods).unwrap_or_default();
    format!(
        r#"{{
  "cniVersion": "0.4.0",
  "name": "{name}",
  "plugins": [{{
    "type": "ptp",
    "ipMasq": false,
    "ipam": {{
      "type": "host-local",
      "dataDir": "{dir}/run/ipam",
      "ranges": [[{{"subnet": "{pods}"}}]],
      "routes": [{{"dst": "0.0.0.0/0"}}]
    }}
  }}]
}}
"#,
        name = network::namespace(&state.name),
        dir = state.dir.to_string_lossy(),
    )
}

/// Loads the pause image and starts kubelet and kube-proxy.
pub fn start(state: &State, tools: &Tools) -> Result<(), Error> {
    let place = state.place();
    wait::until("containerd ready", PATIENCE, &place, &["containerd"], || {
        run::output(ctr(state).arg("version")).is_ok()
    })?;
    if place.running("kubelet").is_none() {
        let tar = state.path("pause.tar");
        let pause = File::from_host("/pause", &tools.pause, 0o755);
        Image::new(PAUSE, ["/pause"], vec![pause]).write_tar(&tar)?;
        load_image(state, &tar)?;
    }
    files::write(&state.path("kubelet.yaml"), kubelet_config(state))?;
    // Names outside the cluster are nobody's here.
    files::write(&state.path("resolv.conf"), "")?;
    place.start(&tools.process(
        "kubelet",
        [
            format!("--config={}", state.text("kubelet.yaml")),
            format!("--kubeconfig={}", state.text(&kubeconfig_name("kubelet"))),
            format!("--root-dir={}", state.text("kubelet")),
            format!("--cert-dir={}", state.text("kubelet/pki")),
            format!("--hostname-override={NODE}"),
            format!("--node-ip={}", state.address()),
        ],
    ))?;
    files::write(&state.path("kube-proxy.yaml"), proxy_config(state))?;
    place.start(&tools.process("kube-proxy", [format!("--config={}", state.text("kube-proxy.yaml"))]))
}

fn kubelet_config(state: &State) -> String {
    format!(
        "\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {dir}/certs/ca.crt}}
authorization: {{mode: Webhook}}
containerRuntimeEndpoint: unix://{socket}
cgroupDriver: cgroupfs
cgroupRoot: {cgroup}
cgroupsPerQOS: true
enforceNodeAllocatable: []
failSwapOn: false
failCgroupV1: false
clusterDNS: [{dns}]
clusterDomain: cluster.local
resolvConf: {dir}/resolv.conf
podLogsDir: {dir}/pod-logs
volumePluginDir: {dir}/kubelet/volume-plugins
# A bed never cleans up images or pods for want of space.
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard:
  imagefs.available: 0%
  imagefs.inodesFree: 0%
  memory.available: 0%
  nodefs.available: 0%
  nodefs.inodesFree: 0%
maxPods: 250
kubeAPIQPS: 500
kubeAPIBurst: 1000
eventRecordQPS: 0
makeIPTablesUtilChains: false
",
        dir = state.dir.to_string_lossy(),
        socket = socket(state).to_string_lossy(),
        cgroup = cgroup::root(&state.name),
        dns = state.range.map(|range| range.dns().to_string()).unwrap_or_default(),
    )
}

fn proxy_config(state: &State) -> String {
    format!(
        "\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection:
  kubeconfig: {kubeconfig}
  qps: 500
  burst: 1000
mode: iptables
iptables: {{minSyncPeriod: 100ms}}
clusterCIDR: {pods}
hostnameOverride: {NODE}
# These are limits of the whole machine, not of this namespace.
conntrack: {{maxPerCore: 0}}
",
        kubeconfig = state.text(&kubeconfig_name("kube-proxy")),
        pods = state.range.map(network::Range::pods).unwrap_or_default(),
    )
}

/// Waits until the node takes pods.
pub fn wait_ready(state: &State) -> Result<(), Error> {
    let place = state.place();
    let needs = ["containerd", "kubelet", "kube-proxy"];
    let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    wait::until("the node ready", PATIENCE, &place, &needs, || {
        let mut command = state.kubectl();
        command.args(["get", "node", NODE, "-o", path]);
        run::output(&mut command).is_ok_and(|status| status.trim() == "True")
    })
}

fn ctr(state: &State) -> Command {
    let mut command = Command::new(run::which("ctr").unwrap_or_else(|| "ctr".into()));
    command.arg("--address").arg(socket(state)).args(["--namespace", "k8s.io"]);
    command
}

/// Imports an image, and waits until the kubelet's side of containerd has
/// noticed: it would try to pull one it does not know yet.
pub fn load_image(state: &State, tar: &Path) -> Result<(), Error> {
    fs::metadata(tar).at(tar)?;
    let snapshotter = files::read(&state.path("snapshotter"))?;
    run::output(ctr(state).args(["images", "import", "--snapshotter", snapshotter.trim()]).arg(tar))?;
    let place = state.place();
    wait::until("the image known", PATIENCE, &place, &["containerd"], || {
        let list = run::output(ctr(state).args(["images", "ls"]));
        list.is_ok_and(|list| {
            let mut images = list.lines().skip(1);
            images.all(|line| line.contains("io.cri-containerd.image=managed"))
        })
    })
}
