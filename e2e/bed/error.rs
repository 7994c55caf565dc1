//! What can go wrong, said so that the reader knows what to do next.

use std::io;
use std::path::{Path, PathBuf};

use crate::Kind;

/// Why a bed could not be brought up, used or taken down.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program the bed needs is not installed.
    #[error("{what} is missing; install it with: {install}")]
    Missing {
        /// The program or package.
        what: String,
        /// The command that installs it.
        install: String,
    },
    /// A command ended with an error.
    #[error("{what} failed: {detail}")]
    Command {
        /// What was run.
        what: String,
        /// The last line it said.
        detail: String,
    },
    /// One of the bed's own processes ended while it was waited for.
    #[error("{name} ended: {detail} (log: {log})", log = .log.display())]
    Died {
        /// The process.
        name: String,
        /// The last line of its log.
        detail: String,
        /// Its log.
        log: PathBuf,
    },
    /// Something did not become true in time.
    #[error("{what} not after {seconds} s; see the logs in {logs}", logs = .logs.display())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// Where the processes' logs are.
        logs: PathBuf,
    },
    /// The name cannot name a bed.
    #[error("{0:?} cannot name a bed: use 1 to 20 of a-z, 0-9 and -, starting with a letter")]
    Name(String),
    /// A whole bed makes network namespaces and cgroups.
    #[error("{0} needs root; run it with sudo, or use --control-plane-only")]
    NotRoot(&'static str),
    /// A given cluster without the file that says which.
    #[error("to use a cluster that is there already, give its kubeconfig")]
    NoKubeconfig,
    /// There is no bed of that name.
    #[error("there is no bed {0:?}; start it with: cargo cluster up --name {0}")]
    NoBed(String),
    /// Something asked of a bed that this kind of bed does not have.
    #[error("bed {bed:?} has no {what}; it takes a whole bed: cargo cluster up --name {bed}")]
    NotWhole {
        /// The bed.
        bed: String,
        /// What was asked for.
        what: &'static str,
    },
    /// A bed of that name is up, but of another kind.
    #[error("bed {name} is {kind}; take it down (cargo cluster down --name {name}) or use another name")]
    OtherKind {
        /// The bed.
        name: String,
        /// What it is.
        kind: Kind,
    },
    /// All address ranges are taken.
    #[error("no free 10.x.0.0/16 address range is left on this machine")]
    NoRange,
    /// An image cannot be made from what was given.
    #[error("image {image}: {detail}")]
    Image {
        /// The image's name.
        image: String,
        /// What is wrong.
        detail: String,
    },
    /// A downloaded part is not the one this version of the bed was made with.
    #[error("{what} has checksum {found}, not {wanted}")]
    Checksum {
        /// What was downloaded.
        what: String,
        /// Its checksum.
        found: String,
        /// The checksum it should have.
        wanted: String,
    },
}

/// Adds the path to an I/O error.
pub(crate) trait At<T> {
    /// Names the file or folder the error is about.
    fn at(self, path: &Path) -> Result<T, Error>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { path: path.to_owned(), source })
    }
}
