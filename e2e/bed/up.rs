//! Bringing a bed up: finding a healthy one, repairing a broken one, or making
//! a new one.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::control_plane as plane;
use crate::error::Error;
use crate::process::boot_id;
use crate::state::{External, Ports, State, Tokens};
use crate::tools::{Progress, Tools};
use crate::{
    Bed, Kind, cgroup, debian, dns, down, files, gateway, network, node, paths, prometheus, run, s3, wait,
};

/// Which bed to bring up.
#[derive(Debug, Clone)]
pub struct Options {
    /// The bed's name; beds of different names run side by side.
    pub name: String,
    /// How much of a cluster.
    pub kind: Kind,
    /// A cluster that is there already, to be used instead of making one.
    pub kubeconfig: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { name: "serin".into(), kind: Kind::Whole, kubeconfig: None }
    }
}

impl Bed {
    /// Brings a bed up and returns when all of it is ready. Returns at once if
    /// it is up already; what has broken is repaired or made anew.
    pub fn up(options: &Options, progress: &mut dyn FnMut(&str)) -> Result<Self, Error> {
        paths::check_name(&options.name)?;
        if options.kind == Kind::Whole && options.kubeconfig.is_none() {
            require_root("a whole bed")?;
        }
        let _lock = files::lock(&paths::bed_lock(&options.name), || {
            progress("waiting for another process that is bringing this bed up or down");
        })?;
        let earlier = State::load(&options.name);
        if let Some(kubeconfig) = &options.kubeconfig {
            return external(&options.name, kubeconfig, earlier);
        }
        if options.kind == Kind::External {
            return Err(Error::NoKubeconfig);
        }
        if let Some(state) = &earlier
            && state.kind != options.kind
        {
            return Err(Error::OtherKind { name: state.name.clone(), kind: state.kind });
        }

        if options.kind == Kind::Whole {
            debian::install(progress)?;
        }
        let tools = Tools::prepare(options.kind, progress)?;
        if let Some(state) = earlier {
            let same = state.ready && state.is_from_this_boot();
            if same && state.tools.as_ref() == Some(&tools) {
                let bed = Self::of(state.clone());
                if bed.health().is_ok() {
                    return Ok(bed);
                }
                progress("the bed is broken: repairing it");
                match start(&state, &tools, progress) {
                    Ok(()) => return Ok(bed),
                    Err(error) => progress(&format!("could not be repaired: {error}")),
                }
            }
            progress("taking the old bed down to make a new one");
        }
        down::clear(&options.name)?;
        create(options, &tools, progress)
    }
}

/// What needs root says so before it starts anything.
pub fn require_root(what: &'static str) -> Result<(), Error> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Error::NotRoot(what)) }
}

fn create(options: &Options, tools: &Tools, progress: Progress) -> Result<Bed, Error> {
    let dir = paths::bed(&options.name);
    let mut state = State {
        name: options.name.clone(),
        kind: options.kind,
        kubeconfig: dir.join("kubeconfig"),
        dir,
        boot_id: boot_id(),
        ready: false,
        ports: Ports::fixed(),
        range: None,
        tokens: plane::tokens()?,
        tools: Some(tools.clone()),
        external: None,
    };
    if state.kind == Kind::Whole {
        // Held until the choice is written down.
        let _lock = files::lock(&paths::range_lock(), || {})?;
        state.range = Some(network::choose()?);
        state.save()?;
    } else {
        state.ports = Ports::free()?;
        state.save()?;
    }
    plane::configure(&state, tools)?;
    start(&state, tools, progress)?;
    state.ready = true;
    state.save()?;
    Ok(Bed::of(state))
}

/// Starts whatever does not run, and waits until all is ready.
fn start(state: &State, tools: &Tools, progress: Progress) -> Result<(), Error> {
    let place = state.place();
    if let Some(range) = state.range {
        progress("making the network and cgroups");
        network::create(&state.name, range)?;
        cgroup::create(&state.name)?;
        node::start_containerd(state)?;
    }
    progress("starting the control plane");
    place.start(&plane::etcd(state, tools))?;
    place.start(&plane::apiserver(state, tools))?;
    let needs = ["etcd", "kube-apiserver"];
    let socket = state.socket(state.ports.apiserver);
    wait::until("the apiserver ready", Duration::from_secs(90), &place, &needs, || {
        wait::listens(socket) && answers(state, "/readyz")
    })?;
    place.start(&plane::controller_manager(state, tools))?;
    if state.kind == Kind::Whole {
        place.start(&plane::scheduler(state, tools))?;
        progress("starting the node");
        node::start(state, tools)?;
    }
    apply_path(state, &tools.crds)?;
    let needs = ["etcd", "kube-apiserver", "kube-controller-manager"];
    // Without it no pod can be made in the namespace `default`.
    wait::until("a service account", Duration::from_mins(1), &place, &needs, || {
        run::output(state.kubectl().args(["get", "serviceaccount", "default"])).is_ok()
    })?;
    run::output(state.kubectl().args([
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "crd",
        "--all",
    ]))?;
    if state.kind == Kind::Whole {
        progress("starting DNS, gateway, Prometheus and S3");
        dns::start(state, tools)?;
        gateway::start(state, tools)?;
        prometheus::start(state)?;
        s3::start(state)?;
        node::wait_ready(state)?;
        dns::wait_ready(state)?;
        gateway::wait_ready(state)?;
        prometheus::wait_ready(state)?;
        s3::wait_ready(state)?;
    }
    Ok(())
}

/// Whether the apiserver answers a path with 200.
pub fn answers(state: &State, path: &str) -> bool {
    run::output(state.kubectl().args(["get", "--raw", path])).is_ok()
}

/// Applies manifests. Server-side, as the definitions are too large for the
/// annotation that the client-side way would write.
pub fn apply(state: &State, manifests: &str) -> Result<(), Error> {
    let mut command = state.kubectl();
    command.args(["apply", "--server-side", "--force-conflicts", "-f", "-"]);
    run::feed(&mut command, manifests).map(drop)
}

/// The same with what is in a file or a folder.
pub fn apply_path(state: &State, path: &Path) -> Result<(), Error> {
    let mut command = state.kubectl();
    command.args(["apply", "--server-side", "--force-conflicts", "-f"]);
    run::output(command.arg(path)).map(drop)
}

/// Notes down a cluster that someone else runs. Its Prometheus, gateway and
/// object store, if any, are told by environment variables.
fn external(name: &str, kubeconfig: &Path, earlier: Option<State>) -> Result<Bed, Error> {
    if let Some(state) = earlier
        && state.kind != Kind::External
    {
        return Err(Error::OtherKind { name: state.name, kind: state.kind });
    }
    let kubectl = run::which("kubectl").ok_or_else(|| Error::Missing {
        what: "kubectl, to use a given cluster,".into(),
        install: "https://kubernetes.io/docs/tasks/tools/".into(),
    })?;
    let kubeconfig = std::path::absolute(kubeconfig).unwrap_or_else(|_| kubeconfig.to_owned());
    let ask = |args: &[&str]| run::output(Command::new(&kubectl).env("KUBECONFIG", &kubeconfig).args(args));
    let server = "jsonpath={.clusters[0].cluster.server}";
    let url = ask(&["config", "view", "--minify", "-o", server])?;
    ask(&["get", "--raw", "/readyz"])?;
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let state = State {
        name: name.to_owned(),
        kind: Kind::External,
        dir: paths::bed(name),
        kubeconfig,
        boot_id: boot_id(),
        ready: true,
        ports: Ports::default(),
        range: None,
        tokens: Tokens::default(),
        tools: None,
        external: Some(External {
            apiserver_url: url.trim().to_owned(),
            prometheus_url: variable("SERIN_PROMETHEUS_URL"),
            gateway_port: variable("SERIN_GATEWAY_PORT").and_then(|port| port.parse().ok()),
            gateway_metrics_url: variable("SERIN_GATEWAY_METRICS_URL"),
            s3: s3::VARIABLES
                .map(variable)
                .into_iter()
                .collect::<Option<Vec<_>>>()
                .and_then(|all| all.try_into().ok()),
        }),
    };
    state.save()?;
    Ok(Bed::of(state))
}
