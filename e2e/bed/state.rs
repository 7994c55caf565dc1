//! What is written down about a bed, so that any later command can find, use
//! and end it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{At as _, Error};
use crate::network::Range;
use crate::process::{self, Place};
use crate::tools::Tools;
use crate::{cgroup, files, network, paths};

/// How much of a cluster a bed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// etcd, the apiserver and the controller manager: no pods run. Needs no
    /// privileges.
    ControlPlane,
    /// A cluster of one node with DNS, gateway, Prometheus and S3. Needs root.
    Whole,
    /// A cluster someone else runs, given by its kubeconfig.
    External,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ControlPlane => "a control plane only",
            Self::Whole => "a whole cluster",
            Self::External => "a cluster that was given",
        })
    }
}

/// `bed.json` in the bed's folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    pub name: String,
    pub kind: Kind,
    pub dir: PathBuf,
    pub kubeconfig: PathBuf,
    pub boot_id: String,
    /// Set once everything has been seen ready.
    pub ready: bool,
    pub ports: Ports,
    /// Only a whole bed has a network of its own.
    pub range: Option<Range>,
    pub tokens: Tokens,
    pub tools: Option<Tools>,
    pub external: Option<External>,
}

/// What is known of a cluster someone else runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct External {
    pub apiserver_url: String,
    pub prometheus_url: Option<String>,
    pub gateway_port: Option<u16>,
    pub gateway_metrics_url: Option<String>,
    /// Endpoint, key and secret.
    #[serde(default)]
    pub s3: Option<[String; 3]>,
}

/// Where the control plane listens.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ports {
    pub etcd: u16,
    pub etcd_peer: u16,
    pub apiserver: u16,
}

impl Ports {
    /// A whole bed has all ports to itself.
    pub fn fixed() -> Self {
        Self { etcd: 2379, etcd_peer: 2380, apiserver: 6443 }
    }

    /// Ports nobody listens on now. All three are held until all are known, so
    /// that they differ.
    pub fn free() -> Result<Self, Error> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let held = listen().and_then(|a| Ok((a, listen()?, listen()?)));
        let ports = held.and_then(|(a, b, c)| {
            Ok(Self {
                etcd: a.local_addr()?.port(),
                etcd_peer: b.local_addr()?.port(),
                apiserver: c.local_addr()?.port(),
            })
        });
        ports.at(Path::new("127.0.0.1:0"))
    }
}

/// Who may call the apiserver, each with a token of its own so that the audit
/// log tells them apart.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tokens {
    pub admin: String,
    pub controller_manager: String,
    pub scheduler: String,
    pub kubelet: String,
    pub proxy: String,
    pub dns: String,
    pub gateway: String,
    pub prometheus: String,
    /// Key and secret of the S3 server's one account. A state without them is an older one's, and still names a range
    /// that is taken.
    #[serde(default)]
    pub s3_key: String,
    /// See `s3_key`.
    #[serde(default)]
    pub s3_secret: String,
}

impl State {
    pub fn file(dir: &Path) -> PathBuf {
        dir.join("bed.json")
    }

    /// The bed's state, if there is one that can be read.
    pub fn load(name: &str) -> Option<Self> {
        let text = files::read(&Self::file(&paths::bed(name))).ok()?;
        serde_json::from_str(&text).ok()
    }

    pub fn save(&self) -> Result<(), Error> {
        let path = Self::file(&self.dir);
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::Command {
            what: "writing the bed's state".into(),
            detail: error.to_string(),
        })?;
        files::write_secret(&path, text)
    }

    /// Whether the machine was started anew since: then nothing of the bed is
    /// left but files.
    pub fn is_from_this_boot(&self) -> bool {
        self.boot_id == process::boot_id()
    }

    /// The address the bed's own processes are reached at, from the host and
    /// from pods.
    pub fn address(&self) -> Ipv4Addr {
        self.range.map_or(Ipv4Addr::LOCALHOST, Range::node)
    }

    pub fn socket(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.address(), port))
    }

    pub fn apiserver_url(&self) -> String {
        format!("https://{}", self.socket(self.ports.apiserver))
    }

    /// A path in the bed's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The same as text, for command lines and configuration files.
    pub fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    pub fn place(&self) -> Place {
        let whole = self.kind == Kind::Whole;
        Place {
            home: self.dir.clone(),
            logs: self.path("logs"),
            records: self.path("processes"),
            netns: whole.then(|| network::namespace(&self.name)),
            cgroup: whole.then(|| cgroup::daemons(&self.name)).flatten().map(|dir| dir.join("cgroup.procs")),
        }
    }
}
