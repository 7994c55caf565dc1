//! A folder to publish to: below a bucket, or in a claim. Each object appears whole or not at all.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutPayload};
use serin_wire::manifest;

use crate::cache::unique;
use crate::retry::{Trouble, TroubleKind};
use crate::source::{self, Location};
use crate::stores::Stores;
use crate::upload;

/// Most objects that are listed.
const LISTED_MAX: usize = 200_000;

/// A folder and its address.
#[derive(Clone)]
pub struct Folder {
    uri: String,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Store { stores: Arc<Stores>, location: Location },
    Claim(PathBuf),
}

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Bytes.
    pub size: u64,
    /// When it was written.
    pub modified: SystemTime,
}

impl Folder {
    /// Reads an address: `s3://BUCKET/FOLDER`, `gs://`, `az://` or `pvc://CLAIM/FOLDER`.
    pub fn parse(uri: &str, claims: &Path, stores: &Arc<Stores>) -> Result<Self, String> {
        let uri = uri.trim_end_matches('/');
        let place = if let Some((scheme, bucket, key)) = source::in_store(uri) {
            Place::Store { stores: Arc::clone(stores), location: source::location(scheme, bucket, key)? }
        } else if let Some(rest) = uri.strip_prefix("pvc://") {
            let (claim, path) = rest.split_once('/').unwrap_or((rest, ""));
            Place::Claim(source::in_claim(claims, claim, path)?)
        } else {
            return Err(format!("{uri:?} is no folder to publish to; use s3, gs, az or pvc"));
        };
        Ok(Self { uri: uri.to_owned(), place })
    }

    /// A folder in this one. The path is one that [`source::is_key`] allows.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        let place = match &self.place {
            Place::Store { stores, location } => {
                Place::Store { stores: Arc::clone(stores), location: location.join(path) }
            }
            Place::Claim(folder) => Place::Claim(folder.join(path)),
        };
        Self { uri: self.uri_of(path), place }
    }

    /// Address of what is in it.
    pub fn uri_of(&self, path: &str) -> String {
        format!("{}/{path}", self.uri)
    }

    /// Everything below it, by path.
    pub async fn list(&self) -> Result<HashMap<String, Listed>, Trouble> {
        match &self.place {
            Place::Store { stores, location } => {
                let (store, prefix) = stores.open(location)?;
                let listed = async || {
                    let mut found = HashMap::new();
                    let mut objects = store.list(Some(&prefix));
                    while let Some(object) = objects.try_next().await? {
                        let path = object.location.as_ref().strip_prefix(prefix.as_ref()).unwrap_or_default();
                        let path = path.trim_start_matches('/').to_owned();
                        let listed = Listed { size: object.size, modified: object.last_modified.into() };
                        found.insert(path, listed);
                        if found.len() > LISTED_MAX {
                            break;
                        }
                    }
                    Ok(found)
                };
                stores.patience.insist(&self.uri, listed).await
            }
            Place::Claim(folder) => {
                let mut found = HashMap::new();
                walk(folder, "", &mut found).map_err(|error| unusable(&error))?;
                Ok(found)
            }
        }
    }

    /// Size of one object, if it is there.
    pub async fn size_of(&self, path: &str) -> Result<Option<u64>, Trouble> {
        match &self.place {
            Place::Store { stores, location } => {
                let (store, key) = stores.open(&location.join(path))?;
                match stores.patience.insist(&self.uri_of(path), async || store.head(&key).await).await {
                    Ok(object) => Ok(Some(object.size)),
                    Err(trouble) if trouble.kind == TroubleKind::Missing => Ok(None),
                    Err(trouble) => Err(trouble),
                }
            }
            Place::Claim(folder) => match fs::metadata(folder.join(path)) {
                Ok(metadata) => Ok(Some(metadata.len())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(unusable(&error)),
            },
        }
    }

    /// Reads a small object, if it is there.
    pub async fn read(&self, path: &str) -> Result<Option<Bytes>, Trouble> {
        let too_large = || Trouble::lasting(format!("{} is too large", self.uri_of(path)));
        match &self.place {
            Place::Store { stores, location } => {
                let (store, key) = stores.open(&location.join(path))?;
                let read = async || {
                    let object = store.get(&key).await?;
                    if object.meta.size > manifest::BYTES_MAX as u64 {
                        return Ok(None);
                    }
                    object.bytes().await.map(Some)
                };
                match stores.patience.insist(&self.uri_of(path), read).await {
                    Ok(Some(bytes)) => Ok(Some(bytes)),
                    Ok(None) => Err(too_large()),
                    Err(trouble) if trouble.kind == TroubleKind::Missing => Ok(None),
                    Err(trouble) => Err(trouble),
                }
            }
            Place::Claim(folder) => {
                let file = folder.join(path);
                match fs::metadata(&file) {
                    Ok(metadata) if metadata.len() > manifest::BYTES_MAX as u64 => Err(too_large()),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Ok(_) | Err(_) => {
                        fs::read(file).map(|bytes| Some(bytes.into())).map_err(|error| unusable(&error))
                    }
                }
            }
        }
    }

    /// Writes a file.
    pub async fn put_file(&self, path: &str, file: &Path, size: u64) -> Result<(), Trouble> {
        match &self.place {
            Place::Store { stores, location } => upload::file(stores, &location.join(path), file, size).await,
            Place::Claim(folder) => {
                let (from, to) = (file.to_owned(), folder.join(path));
                let copied = tokio::task::spawn_blocking(move || {
                    in_place(&to, |temporary| fs::copy(&from, temporary).map(drop))
                });
                copied
                    .await
                    .unwrap_or_else(|error| Err(io::Error::other(error)))
                    .map_err(|error| unusable(&error))
            }
        }
    }

    /// Writes a small object.
    pub async fn put(&self, path: &str, bytes: Bytes) -> Result<(), Trouble> {
        match &self.place {
            Place::Store { stores, location } => {
                let (store, key) = stores.open(&location.join(path))?;
                let payload = PutPayload::from_bytes(bytes);
                let put = async || store.put(&key, payload.clone()).await.map(drop);
                stores.patience.insist(&self.uri_of(path), put).await
            }
            Place::Claim(folder) => in_place(&folder.join(path), |temporary| fs::write(temporary, &bytes))
                .map_err(|error| unusable(&error)),
        }
    }

    /// Removes an object, if it is there.
    pub async fn remove(&self, path: &str) -> Result<(), Trouble> {
        let removed = match &self.place {
            Place::Store { stores, location } => {
                let (store, key) = stores.open(&location.join(path))?;
                stores.patience.insist(&self.uri_of(path), async || store.delete(&key).await).await
            }
            Place::Claim(folder) => match fs::remove_file(folder.join(path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(&error)),
                Ok(()) | Err(_) => Ok(()),
            },
        };
        removed.or_else(|trouble| if trouble.kind == TroubleKind::Missing { Ok(()) } else { Err(trouble) })
    }
}

fn unusable(error: &io::Error) -> Trouble {
    Trouble::lasting(format!("{error}; check size and permissions of the claim"))
}

/// Writes beside the place, then puts it there: durable first, then visible, in one step.
fn in_place(to: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let folder = to.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let temporary = unique(to);
    let written = write(&temporary)
        .and_then(|()| File::open(&temporary)?.sync_all())
        .and_then(|()| fs::rename(&temporary, to))
        .and_then(|()| File::open(folder)?.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn walk(folder: &Path, below: &str, found: &mut HashMap<String, Listed>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{below}{name}");
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            walk(&entry.path(), &format!("{path}/"), found)?;
        } else if metadata.is_file() && found.len() < LISTED_MAX {
            found.insert(path, Listed { size: metadata.len(), modified: metadata.modified()? });
        }
    }
    Ok(())
}
