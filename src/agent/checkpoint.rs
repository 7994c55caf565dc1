//! Checkpoints: written by the program into folders, uploaded once they say that they are complete, fetched by a later
//! attempt. `CHECKPOINTS/RUN-UID/aK/NAME/` belongs to attempt K; its marker, a manifest of the files, is written last
//! and read first.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serin_wire::{Manifest, Train, places};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::digest::Digest;
use crate::error::FetchError;
use crate::fetch::{Request, fetch};
use crate::folder::{Folder, Listed};
use crate::places::Places;
use crate::publish::{WriteError, is_plain, write};
use crate::retry::Trouble;
use crate::snapshot::{self, SnapshotError};
use crate::source::Source;
use crate::stores::Stores;

/// How often the program's folder is looked at.
const EVERY: Duration = Duration::from_secs(2);

/// Checkpoints of a run, by attempt.
fn attempts(train: &Train, claims: &Path, stores: &Arc<Stores>) -> Result<Option<Folder>, String> {
    let Some(uri) = &train.checkpoints else { return Ok(None) };
    if !is_plain(&train.run_uid) || train.run_uid.contains('/') {
        return Err(format!("{:?} is no UID", train.run_uid));
    }
    Ok(Some(Folder::parse(uri, claims, stores)?.join(&train.run_uid)))
}

/// Uploads an attempt's checkpoints.
pub struct Uploads {
    from: PathBuf,
    to: Folder,
    done: HashSet<String>,
    told: HashSet<String>,
}

impl Uploads {
    /// Of this attempt; None if the run keeps no checkpoints.
    pub fn new(train: &Train, places: &Places, stores: &Arc<Stores>) -> Result<Option<Self>, String> {
        let Some(attempts) = attempts(train, &places.claims(), stores)? else { return Ok(None) };
        Ok(Some(Self {
            from: places.at(places::CHECKPOINT_DIR),
            to: attempts.join(&format!("a{}", train.attempt)),
            done: HashSet::new(),
            told: HashSet::new(),
        }))
    }

    /// Uploads what is complete, again and again, and once more after the program has ended.
    pub async fn follow(mut self, mut ended: watch::Receiver<bool>) {
        loop {
            let last = *ended.borrow();
            self.sweep().await;
            if last {
                return;
            }
            // A closed channel means the same as an end.
            if let Ok(Err(_)) = timeout(EVERY, ended.wait_for(|ended| *ended)).await {
                return;
            }
        }
    }

    async fn sweep(&mut self) {
        for name in complete(&self.from) {
            if self.done.contains(&name) {
                continue;
            }
            match self.upload(&name).await {
                Ok(bytes) => {
                    eprintln!("checkpoint {name}: uploaded, {bytes} bytes");
                    self.done.insert(name);
                }
                // A checkpoint that cannot be kept costs time later, not the run.
                Err(reason) if self.told.insert(format!("{name}: {reason}")) => {
                    eprintln!("checkpoint {name}: not uploaded: {reason}");
                }
                Err(_) => {}
            }
        }
    }

    async fn upload(&self, name: &str) -> Result<u64, String> {
        if !is_plain(name) {
            return Err("use letters, digits, '.', '-' and '_' in its name".into());
        }
        let text = |error: SnapshotError| error.to_string();
        let store = |trouble: Trouble| trouble.to_string();
        let entries = snapshot::list(&self.from.join(name), &[places::COMPLETE]).map_err(text)?;
        if entries.is_empty() {
            return Err(format!("there is nothing in it but {}", places::COMPLETE));
        }
        let files = snapshot::hash(entries).await.map_err(text)?;
        let listing = Manifest::of(files.iter().map(snapshot::Hashed::listed).collect());
        let listing: Bytes = listing.to_bytes().map_err(|error| error.to_string())?.into();

        let to = self.to.join(name);
        // A pod of this attempt that was replaced may have left one of this name: the same, or another one, which
        // must not look complete while it is overwritten.
        match to.read(places::COMPLETE).await.map_err(store)? {
            Some(there) if there == listing => return Ok(0),
            Some(_) => {
                to.remove(places::COMPLETE).await.map_err(store)?;
                for path in to.list().await.map_err(store)?.into_keys() {
                    to.remove(&path).await.map_err(store)?;
                }
            }
            None => {}
        }
        write(&files, &to, listing, places::COMPLETE).await.map_err(|error| match error {
            WriteError::Changed(path) => format!("{path:?} changed although {} was there", places::COMPLETE),
            WriteError::Store(trouble) => trouble.to_string(),
        })?;
        Ok(files.iter().map(|file| file.entry.size).sum())
    }
}

/// Names of the folders that hold a marker.
fn complete(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    let named = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        entry.path().join(places::COMPLETE).exists().then(|| entry.file_name().into_string().ok())?
    });
    let mut names: Vec<String> = named.collect();
    names.sort();
    names
}

/// Fetches the newest complete checkpoint of an earlier attempt; gives its name, such as `a1/step-200`. One that turns
/// out to be broken is passed over for the one before it.
pub async fn resume(
    train: &Train,
    places: &Places,
    stores: &Arc<Stores>,
    request: &Request,
) -> Result<Option<String>, FetchError> {
    let refused = |reason: String| FetchError::Refused {
        uri: train.checkpoints.clone().unwrap_or_default(),
        named: request.named.clone(),
        reason,
    };
    let Some(folder) = attempts(train, &places.claims(), stores).map_err(refused)? else { return Ok(None) };
    if train.attempt <= 1 {
        return Ok(None);
    }
    let unreachable = |trouble: Trouble| {
        if trouble.is_transient() {
            let uri = train.checkpoints.clone().unwrap_or_default();
            FetchError::Network { uri, reason: trouble.reason, got: 0 }
        } else {
            refused(trouble.reason)
        }
    };
    let listed = folder.list().await.map_err(unreachable)?;
    for name in newest_first(&listed, train.attempt) {
        let home = folder.join(&name);
        let into = places.at(places::RESUME_DIR);
        clear(&into)?;
        let Some(listing) = home.read(places::COMPLETE).await.map_err(unreachable)? else { continue };
        match fetch_one(&home, &listing, &into, places, request).await {
            Ok(()) => {
                eprintln!("resuming from checkpoint {name}");
                return Ok(Some(name));
            }
            Err(error @ (FetchError::Network { .. } | FetchError::Output { .. })) => return Err(error),
            Err(error) => eprintln!("checkpoint {name} is passed over: {error}"),
        }
    }
    clear(&places.at(places::RESUME_DIR))?;
    Ok(None)
}

async fn fetch_one(
    home: &Folder,
    listing: &[u8],
    into: &Path,
    places: &Places,
    request: &Request,
) -> Result<(), FetchError> {
    let refused = |reason: String| request.refused(reason);
    let manifest = Manifest::parse(listing).map_err(refused)?;
    for file in &manifest.files {
        let digest: Digest = file.digest.parse().map_err(refused)?;
        let source = Source::parse(&home.uri_of(&file.path), &places.claims()).map_err(refused)?;
        fetch(&request.of(source, digest, Some(file.size), &into.join(&file.path))).await?;
    }
    let marker = into.join(places::COMPLETE);
    fs::write(&marker, listing).map_err(|error| FetchError::Output { path: marker, error })
}

/// Names `aN/NAME` of complete checkpoints of attempts before `attempt`: the highest attempt first, its newest first.
fn newest_first(listed: &std::collections::HashMap<String, Listed>, attempt: i32) -> Vec<String> {
    let mut found: BTreeMap<(i32, SystemTime, &str), String> = BTreeMap::new();
    for (path, object) in listed {
        let Some((name, places::COMPLETE)) = path.rsplit_once('/') else { continue };
        let Some((attempt_of, checkpoint)) = name.split_once('/') else { continue };
        let Some(number) = attempt_of.strip_prefix('a').and_then(|n| n.parse::<i32>().ok()) else { continue };
        if (1..attempt).contains(&number) && !checkpoint.contains('/') {
            found.insert((number, object.modified, checkpoint), name.to_owned());
        }
    }
    found.into_values().rev().collect()
}

fn clear(folder: &Path) -> Result<(), FetchError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FetchError::Output { path: folder.to_owned(), error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_the_highest_lower_attempt_comes_first() {
        let at =
            |seconds| Listed { size: 1, modified: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) };
        let listed = [
            ("a1/step-900/.complete", 90),
            ("a2/step-1000/.complete", 50),
            ("a2/step-200/.complete", 60),
            ("a2/step-300/model.bin", 70),
            ("a3/step-1/.complete", 80),
            ("a2/deep/step/.complete", 95),
            ("ax/step/.complete", 96),
            (".complete", 97),
        ];
        let listed = listed.map(|(path, seconds)| (path.to_owned(), at(seconds))).into();
        assert_eq!(newest_first(&listed, 3), ["a2/step-200", "a2/step-1000", "a1/step-900"]);
        assert!(newest_first(&listed, 1).is_empty());
    }
}
