//! A folder as it lies on the disk: its files, their sizes and digests. What cannot be published is refused with the
//! reason: links that lead out, devices and pipes, names that are no keys, too many files.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serin_wire::manifest::{FILES_MAX, File};

use crate::digest::Digest;
use crate::output;
use crate::source::is_key;

/// Files hashed at a time.
const AT_ONCE: usize = 4;
/// Deepest folder that is looked into.
const DEPTH_MAX: usize = 64;

/// Why a folder cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// What is in it.
    #[error("{0}")]
    Refused(String),
    /// The file system.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// One file.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Below the folder.
    pub path: String,
    /// Where it is.
    pub file: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Changes with every write.
    stamp: Stamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// One file with its digest.
#[derive(Debug, Clone)]
pub struct Hashed {
    /// The file.
    pub entry: Entry,
    /// Its digest.
    pub digest: Digest,
}

impl Hashed {
    /// As a manifest lists it.
    pub fn listed(&self) -> File {
        File { path: self.entry.path.clone(), size: self.entry.size, digest: self.digest.to_string() }
    }
}

impl Entry {
    /// Whether the file is as it was when the folder was listed.
    pub fn is_unchanged(&self) -> bool {
        fs::metadata(&self.file).is_ok_and(|metadata| Stamp::of(&metadata) == self.stamp)
    }

    /// Hashes it.
    pub async fn hash(self) -> Result<Hashed, SnapshotError> {
        let file = self.file.clone();
        let hashed = tokio::task::spawn_blocking(move || output::digest_of(&file)).await;
        let failed = |error| SnapshotError::Unreadable { path: self.file.clone(), error };
        let (digest, _) = hashed.map_err(|error| failed(io::Error::other(error)))?.map_err(failed)?;
        if self.is_unchanged() {
            Ok(Hashed { entry: self, digest })
        } else {
            Err(SnapshotError::Refused(format!("{:?} is still being written", self.path)))
        }
    }
}

/// All files of a folder, in order, without those whose path is in `without`.
pub fn list(folder: &Path, without: &[&str]) -> Result<Vec<Entry>, SnapshotError> {
    let home = folder.canonicalize().map_err(unreadable(folder))?;
    let mut found = BTreeMap::new();
    walk(folder, &home, "", 0, &mut found)?;
    found.retain(|path, _| !without.contains(&path.as_str()));
    Ok(found.into_values().collect())
}

/// Hashes them, in order.
pub async fn hash(entries: Vec<Entry>) -> Result<Vec<Hashed>, SnapshotError> {
    stream::iter(entries).map(Entry::hash).buffered(AT_ONCE).try_collect().await
}

fn walk(
    folder: &Path,
    home: &Path,
    below: &str,
    depth: usize,
    found: &mut BTreeMap<String, Entry>,
) -> Result<(), SnapshotError> {
    if depth > DEPTH_MAX {
        return Err(SnapshotError::Refused(format!(
            "{below:?} is too deep a folder; {DEPTH_MAX} levels are allowed"
        )));
    }
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let entry = entry.map_err(unreadable(folder))?;
        let file = entry.path();
        let name = entry.file_name();
        let path = format!("{below}{}{}", if below.is_empty() { "" } else { "/" }, name.display());
        if name.to_str().is_none() || !is_key(&path) {
            return Err(SnapshotError::Refused(format!(
                "{path:?} cannot be the name of an object; use UTF-8 without control characters or backslashes"
            )));
        }
        let kind = entry.file_type().map_err(unreadable(&file))?;
        if kind.is_dir() {
            walk(&file, home, &path, depth + 1, found)?;
            continue;
        }
        if kind.is_symlink() {
            inside(&file, home, &path)?;
        } else if !kind.is_file() {
            return Err(SnapshotError::Refused(format!("{path:?} is no file but a pipe, socket or device")));
        }
        let metadata = fs::metadata(&file).map_err(unreadable(&file))?;
        let size = metadata.len();
        found.insert(path.clone(), Entry { path, file, size, stamp: Stamp::of(&metadata) });
        if found.len() > FILES_MAX {
            return Err(SnapshotError::Refused(format!(
                "there are more than {FILES_MAX} files; put them into archives"
            )));
        }
    }
    Ok(())
}

/// A link may stand for another file of the same folder, as caches of models have them.
fn inside(link: &Path, home: &Path, path: &str) -> Result<(), SnapshotError> {
    let refused =
        |why: &str| SnapshotError::Refused(format!("{path:?} is a link {why}; put the file itself there"));
    let target = link.canonicalize().map_err(|_| refused("to nothing"))?;
    if !target.starts_with(home) {
        return Err(refused("that leads out of the folder"));
    }
    if target.is_file() { Ok(()) } else { Err(refused("to something that is no file")) }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> SnapshotError + use<> {
    let path = path.to_owned();
    move |error| SnapshotError::Unreadable { path: path.clone(), error }
}
