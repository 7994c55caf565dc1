//! Errors, one enum for the start and one for a reconcile.

/// Why the operator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No usable kubeconfig or service account.
    #[error("no Kubernetes configuration: {0}; set KUBECONFIG or run in a pod with a ServiceAccount")]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The address to listen on is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// As given by `--listen`.
        address: std::net::SocketAddr,
        /// From the system.
        source: std::io::Error,
    },
    /// `--prometheus-url` is no URL that can be asked.
    #[error("--prometheus-url {url:?}: {why}")]
    Prometheus {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The API refuses what the operator needs at start.
    #[error("cannot read {what}: {source}; are the CRDs and the RBAC of this version installed?")]
    Api {
        /// Which kind.
        what: &'static str,
        /// From the client.
        source: Box<kube::Error>,
    },
    /// A bug.
    #[error("a controller died; the log before this says how")]
    Died,
}

/// Why a reconcile did not finish. It is tried again, later each time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A write or the quorum read failed.
    #[error("{verb} {object}: {source}")]
    Api {
        /// What was tried.
        verb: &'static str,
        /// On what: kind and name.
        object: String,
        /// From the client.
        source: Box<kube::Error>,
    },
    /// The objects could not be built; validation should have refused them.
    #[error("cannot build {object}: {why}")]
    Build {
        /// Kind and name.
        object: String,
        /// In words.
        why: String,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers; is /dev/urandom there?")]
    NoRandomness,
    /// It took longer than a reconcile may.
    #[error("the reconcile took longer than {0:?}")]
    Timeout(std::time::Duration),
    /// A bug: the object is isolated, the others go on.
    #[error("the reconcile panicked: {0}")]
    Panic(String),
}

impl Error {
    /// Bounded name for the metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Api { .. } => "Api",
            Self::Build { .. } => "Build",
            Self::NoRandomness => "NoRandomness",
            Self::Timeout(_) => "Timeout",
            Self::Panic(_) => "Panic",
        }
    }
}
