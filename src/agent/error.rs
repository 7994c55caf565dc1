//! What can go wrong, told to the person who can change it.

use std::io;
use std::path::PathBuf;

use crate::digest::Digest;

/// Why there is no verified file.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The object is complete, but not the expected one.
    #[error(
        "digest mismatch: expected {expected}, got {got}; the object at {uri} changed or the digest in {named} is wrong"
    )]
    DigestMismatch {
        /// As demanded.
        expected: Digest,
        /// As found.
        got: Digest,
        /// Where from.
        uri: String,
        /// What the user calls it.
        named: String,
    },
    /// The server will not give the object.
    #[error("{uri}: {reason}; check the uri in {named}")]
    Refused {
        /// Where from.
        uri: String,
        /// What the user calls it.
        named: String,
        /// What the server or the file system said.
        reason: String,
    },
    /// Retries or time ran out.
    #[error(
        "{uri}: {reason} ({got} bytes so far); check that the server is up and reachable from this namespace"
    )]
    Network {
        /// Where from.
        uri: String,
        /// The last error.
        reason: String,
        /// Bytes fetched so far.
        got: u64,
    },
    /// The object is, or claims to be, too large.
    #[error("{uri} is larger than the {limit} bytes allowed; raise the limit or check the uri in {named}")]
    TooLarge {
        /// Where from.
        uri: String,
        /// What the user calls it.
        named: String,
        /// Bytes allowed.
        limit: u64,
    },
    /// The file system does not take the file.
    #[error("cannot write {}: {error}; check the size and permissions of the volume", path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The process cannot work at all.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// The TLS client cannot be built.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
    /// SIGTERM.
    #[error("stopped before the file was complete")]
    Terminated,
}

impl FetchError {
    /// The process's exit code, as listed in `main.rs`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::DigestMismatch { .. } => 3,
            Self::Refused { .. } => 4,
            Self::Network { .. } | Self::Client(_) => 5,
            Self::TooLarge { .. } => 6,
            Self::Output { .. } | Self::Runtime(_) => 7,
            Self::Terminated => crate::TERMINATED,
        }
    }
}
