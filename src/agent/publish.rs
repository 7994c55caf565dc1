//! Publishing a folder, named by content: `TO/HEX/PATH`, the listing last. Whoever publishes the same files writes the
//! same bytes to the same places; whoever publishes others writes elsewhere. So no pod, however late, can change what
//! another one published.

use std::path::Path;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serin_wire::{Layout, Manifest, Published, manifest, places};

use crate::digest::Digest;
use crate::folder::Folder;
use crate::retry::Trouble;
use crate::snapshot::{self, Hashed, SnapshotError};

/// Files uploaded at a time.
const AT_ONCE: usize = 8;
/// Up to so many, each is asked for; beyond, all of them are listed.
const ASK_MAX: usize = 4;
/// Longest address that the API takes.
const URI_MAX: usize = 1024;

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// What the program left cannot be published.
    #[error("{0}")]
    NoOutput(String),
    /// For now.
    #[error("cannot publish to {uri}: {trouble}")]
    Failed {
        /// Where to.
        uri: String,
        /// What happened.
        trouble: Trouble,
    },
    /// The disk.
    #[error("{0}")]
    Unreadable(String),
}

impl PublishError {
    /// Exit code of the process.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::NoOutput(_) => places::exit::NO_OUTPUT,
            Self::Failed { .. } | Self::Unreadable(_) => places::exit::PUBLISH_FAILED,
        }
    }
}

impl From<SnapshotError> for PublishError {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Refused(reason) => Self::NoOutput(reason),
            SnapshotError::Unreadable { .. } => Self::Unreadable(error.to_string()),
        }
    }
}

/// Publishes everything in `folder` below `to`. `named` is what the program calls the folder.
pub async fn publish(folder: &Path, named: &str, to: &Folder) -> Result<Published, PublishError> {
    let entries = snapshot::list(folder, &[])?;
    if entries.is_empty() {
        return Err(PublishError::NoOutput(format!(
            "{named} is empty; the program has to leave its files there"
        )));
    }
    if entries.iter().any(|entry| entry.path == manifest::NAME) {
        return Err(PublishError::NoOutput(format!(
            "{named} holds a {}, which is the name of the listing; name that file otherwise",
            manifest::NAME
        )));
    }
    let size_bytes = entries.iter().map(|entry| entry.size).sum();
    eprintln!("{named}: {} files, {size_bytes} bytes; hashing", entries.len());
    let files = snapshot::hash(entries).await?;

    let listing = Manifest::of(files.iter().map(Hashed::listed).collect()).to_bytes();
    let listing = listing.map_err(|error| PublishError::Unreadable(error.to_string()))?;
    if listing.len() > manifest::BYTES_MAX {
        return Err(PublishError::NoOutput(format!(
            "the listing of {named} has {} bytes, {} are allowed; use fewer files or shorter names",
            listing.len(),
            manifest::BYTES_MAX
        )));
    }
    let (digest, layout, path) = match files.as_slice() {
        // An address has no room for spaces and the like; a listing has.
        [only] if is_plain(&only.entry.path) => (only.digest, Layout::File, only.entry.path.as_str()),
        _ => (Digest::of_bytes(&listing), Layout::Directory, manifest::NAME),
    };
    let home = to.join(&digest.hex());
    let uri = home.uri_of(path);
    if uri.len() > URI_MAX {
        return Err(PublishError::NoOutput(format!(
            "{uri:.64}… is longer than {URI_MAX} characters; use shorter names"
        )));
    }
    let published = Published {
        uri: uri.clone(),
        digest: digest.to_string(),
        layout,
        size_bytes,
        files: u32::try_from(files.len()).unwrap_or(u32::MAX),
    };
    write(&files, &home, listing.into(), manifest::NAME).await.map_err(|error| match error {
        WriteError::Changed(path) => {
            PublishError::NoOutput(format!("{path:?} in {named} changed while it was published"))
        }
        WriteError::Store(trouble) => PublishError::Failed { uri, trouble },
    })?;
    eprintln!("published {} as {}", published.uri, published.digest);
    Ok(published)
}

/// Why files were not written.
pub enum WriteError {
    /// A file is not what was hashed any more.
    Changed(String),
    /// The store or the claim.
    Store(Trouble),
}

/// Writes files that are not there yet with their size, and then the marker that says that all are there.
pub async fn write(files: &[Hashed], home: &Folder, listing: Bytes, marker: &str) -> Result<(), WriteError> {
    let there =
        if files.len() > ASK_MAX { Some(home.list().await.map_err(WriteError::Store)?) } else { None };
    let there = &there;
    stream::iter(files)
        .map(|file| async move {
            let entry = &file.entry;
            let size = match there {
                Some(listed) => listed.get(&entry.path).map(|listed| listed.size),
                None => home.size_of(&entry.path).await.map_err(WriteError::Store)?,
            };
            if size == Some(entry.size) {
                return Ok(());
            }
            home.put_file(&entry.path, &entry.file, entry.size).await.map_err(WriteError::Store)?;
            if entry.is_unchanged() { Ok(()) } else { Err(WriteError::Changed(entry.path.clone())) }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    home.put(marker, listing).await.map_err(WriteError::Store)
}

/// Whether a name can be a part of an address as it is.
pub fn is_plain(path: &str) -> bool {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '+' | '=' | '@' | ',');
    path.chars().all(plain)
}
