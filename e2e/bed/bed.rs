//! A bed that is up, and what tests ask of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::s3::{self, S3};
use crate::state::{Kind, State};
use crate::up::answers;
use crate::{control_plane, gateway, network, node, paths, prometheus, run};

/// A bed that is up.
#[derive(Debug, Clone)]
pub struct Bed {
    state: State,
}

/// What of a bed is running.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Every process of the bed, and whether it runs.
    pub processes: Vec<(&'static str, bool)>,
    /// Whether the apiserver says it is ready.
    pub apiserver: bool,
}

impl Health {
    /// Whether all is well.
    pub fn is_ok(&self) -> bool {
        self.apiserver && self.processes.iter().all(|(_, runs)| *runs)
    }
}

impl Bed {
    pub(crate) fn of(state: State) -> Self {
        Self { state }
    }

    /// The bed of that name, if it was brought up since the machine started; a
    /// given cluster, whenever it was.
    pub fn find(name: &str) -> Option<Self> {
        paths::check_name(name).ok()?;
        let state = State::load(name)?;
        let lives = state.kind == Kind::External || state.is_from_this_boot();
        (state.ready && lives).then_some(Self { state })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// How much of a cluster it is.
    pub fn kind(&self) -> Kind {
        self.state.kind
    }

    /// Whether someone else runs this cluster.
    pub fn is_external(&self) -> bool {
        self.state.kind == Kind::External
    }

    /// Its folder: logs in `logs/`, the apiserver's audit log in `audit.log`.
    pub fn dir(&self) -> &Path {
        &self.state.dir
    }

    /// One line of JSON per call to the apiserver. Not for a given cluster.
    pub fn audit_log(&self) -> PathBuf {
        self.state.path("audit.log")
    }

    /// An administrator's kubeconfig, for use on the host.
    pub fn kubeconfig(&self) -> &Path {
        &self.state.kubeconfig
    }

    /// An administrator's bearer token. Not for a given cluster.
    pub fn admin_token(&self) -> Option<&str> {
        (!self.is_external()).then_some(&self.state.tokens.admin)
    }

    /// The apiserver, as the host and pods reach it.
    pub fn apiserver_url(&self) -> String {
        match &self.state.external {
            Some(external) => external.apiserver_url.clone(),
            None => self.state.apiserver_url(),
        }
    }

    /// The CA that signed the apiserver's certificate. Not for a given cluster.
    pub fn ca_file(&self) -> Option<PathBuf> {
        (!self.is_external()).then(|| self.state.path("certs/ca.crt"))
    }

    /// Prometheus, as the host and pods reach it.
    pub fn prometheus_url(&self) -> Option<String> {
        match &self.state.external {
            Some(external) => external.prometheus_url.clone(),
            None => self.whole(prometheus::url(&self.state)),
        }
    }

    /// The port of the gateway's HTTP listener: at 127.0.0.1 for what
    /// [`Bed::command_inside`] runs, at [`Bed::node_ip`] for all others.
    pub fn gateway_port(&self) -> Option<u16> {
        match &self.state.external {
            Some(external) => external.gateway_port,
            None => self.whole(gateway::PORT),
        }
    }

    /// The gateway's own metrics.
    pub fn gateway_metrics_url(&self) -> Option<String> {
        match &self.state.external {
            Some(external) => external.gateway_metrics_url.clone(),
            None => self.whole(gateway::metrics_url(&self.state)),
        }
    }

    /// The address of the bed's one node, from the host and from pods.
    pub fn node_ip(&self) -> Option<String> {
        self.state.range.map(|range| range.node().to_string())
    }

    /// The host's address as pods reach it.
    pub fn host_ip(&self) -> Option<String> {
        self.state.range.map(|range| range.host().to_string())
    }

    /// kubectl, as an administrator of this bed.
    pub fn kubectl(&self) -> Command {
        self.state.kubectl()
    }

    /// A command in the bed's network namespace, where 127.0.0.1 is the bed's
    /// own. Without a network of its own, the same as a plain command.
    pub fn command_inside(&self, program: &str) -> Command {
        match self.state.kind {
            Kind::Whole => network::inside(&self.state.name, program),
            Kind::ControlPlane | Kind::External => Command::new(program),
        }
    }

    /// Loads every image of a docker-archive tar into the node, and returns
    /// when pods can use them.
    pub fn load_image(&self, tar: &Path) -> Result<(), Error> {
        self.need_whole("node to load images into")?;
        node::load_image(&self.state, tar)
    }

    /// Ends Prometheus, as an outage would. Its data is kept.
    pub fn prometheus_stop(&self) -> Result<(), Error> {
        self.need_whole("Prometheus")?;
        prometheus::stop(&self.state);
        Ok(())
    }

    /// Starts Prometheus again with the data it had, and returns when it
    /// answers.
    pub fn prometheus_start(&self) -> Result<(), Error> {
        self.need_whole("Prometheus")?;
        prometheus::start(&self.state)?;
        prometheus::wait_ready(&self.state)
    }

    /// The object store, with the buckets `data` and `models`.
    pub fn s3(&self) -> Option<S3> {
        match &self.state.external {
            Some(external) => external.s3.clone().map(|[endpoint, access_key_id, secret_access_key]| S3 {
                endpoint,
                region: s3::REGION.to_owned(),
                access_key_id,
                secret_access_key,
            }),
            None => self.whole(s3::access(&self.state)),
        }
    }

    /// Ends the object store, as an outage would. What was put stays.
    pub fn s3_stop(&self) -> Result<(), Error> {
        self.need_whole("object store")?;
        s3::stop(&self.state);
        Ok(())
    }

    /// Starts it again, and returns when it answers.
    pub fn s3_start(&self) -> Result<(), Error> {
        self.need_whole("object store")?;
        s3::start(&self.state)?;
        s3::wait_ready(&self.state)
    }

    /// What of it is running.
    pub fn health(&self) -> Health {
        if self.is_external() {
            return Health { processes: Vec::new(), apiserver: answers(&self.state, "/readyz") };
        }
        let place = self.state.place();
        let names = processes(self.state.kind).iter();
        Health {
            processes: names.map(|name| (*name, place.running(name).is_some())).collect(),
            apiserver: answers(&self.state, "/readyz"),
        }
    }

    fn whole<T>(&self, value: T) -> Option<T> {
        (self.state.kind == Kind::Whole).then_some(value)
    }

    fn need_whole(&self, what: &'static str) -> Result<(), Error> {
        self.whole_state(what).map(drop)
    }

    /// Its state, if it is a whole one.
    pub(crate) fn whole_state(&self, what: &'static str) -> Result<&State, Error> {
        self.whole(&self.state).ok_or_else(|| Error::NotWhole { bed: self.state.name.clone(), what })
    }
}

impl State {
    /// kubectl, as an administrator.
    pub(crate) fn kubectl(&self) -> Command {
        let mut command = match &self.tools {
            Some(tools) => tools.applet("kubectl"),
            None => Command::new(run::which("kubectl").unwrap_or_else(|| "kubectl".into())),
        };
        command
            .env("KUBECONFIG", &self.kubeconfig)
            // Beds reuse addresses; what one serves says nothing of the next.
            .env("KUBECACHEDIR", self.path("kubectl-cache"));
        command
    }
}

/// The processes of a bed.
fn processes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::ControlPlane => control_plane::ALONE,
        Kind::Whole => control_plane::ALL,
        Kind::External => &[],
    }
}
