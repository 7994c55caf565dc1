//! A file to an object store: small ones in one request, others in parallel parts that become an object together.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::multipart::PartId;
use object_store::path::Path as Key;
use object_store::{MultipartId, ObjectStoreExt as _, PutPayload};

use crate::progress::Progress;
use crate::retry::{Trouble, TroubleKind};
use crate::source::Location;
use crate::stores::{PIECE, PIECES, Store, Stores};

/// Most parts that S3 takes.
const PARTS_MAX: u64 = 10_000;

/// Writes the first `size` bytes of a file.
pub async fn file(stores: &Stores, location: &Location, file: &Path, size: u64) -> Result<(), Trouble> {
    let opened = File::open(file).map_err(|error| unreadable(file, &error))?;
    let (store, key) = stores.open(location)?;
    let upload =
        Upload { stores, store, key, what: location.to_string(), path: file, file: Arc::new(opened), size };
    if size <= PIECE { upload.whole().await } else { upload.in_parts().await }
}

struct Upload<'u> {
    stores: &'u Stores,
    store: Arc<dyn Store>,
    key: Key,
    what: String,
    path: &'u Path,
    file: Arc<File>,
    size: u64,
}

impl Upload<'_> {
    async fn whole(&self) -> Result<(), Trouble> {
        let _permit = self.stores.slots.acquire().await;
        let payload = PutPayload::from_bytes(self.read(0, self.size).await?);
        let put = async || self.store.put(&self.key, payload.clone()).await.map(drop);
        self.stores.patience.insist(&self.what, put).await
    }

    async fn in_parts(&self) -> Result<(), Trouble> {
        let patience = self.stores.patience;
        let id = patience.insist(&self.what, async || self.store.create_multipart(&self.key).await).await?;
        let done = match self.parts(&id).await {
            Ok(parts) => self.complete(&id, parts).await,
            Err(trouble) => Err(trouble),
        };
        if done.is_err() {
            // Parts that nobody asks for cost money; that they cannot be removed changes nothing about the error.
            let _ = self.store.abort_multipart(&self.key, &id).await;
        }
        done
    }

    async fn parts(&self, id: &MultipartId) -> Result<Vec<PartId>, Trouble> {
        let size = part_size(self.size);
        let mut progress = Progress::new(0, Some(self.size));
        let starts = (0..self.size).step_by(usize::try_from(size).unwrap_or(usize::MAX));
        let mut parts = stream::iter(starts.enumerate())
            .map(|(index, start)| async move {
                let _permit = self.stores.slots.acquire().await;
                let payload = PutPayload::from_bytes(self.read(start, size.min(self.size - start)).await?);
                let what = format!("{}, part {index}", self.what);
                let put = async || self.store.put_part(&self.key, id, index, payload.clone()).await;
                self.stores.patience.insist(&what, put).await
            })
            .buffered(PIECES)
            .boxed_local();
        let mut ids = vec![];
        while let Some(part) = parts.try_next().await? {
            ids.push(part);
            progress.at(self.size.min(size * ids.len() as u64));
        }
        Ok(ids)
    }

    async fn complete(&self, id: &MultipartId, parts: Vec<PartId>) -> Result<(), Trouble> {
        let complete = async || self.store.complete_multipart(&self.key, id, parts.clone()).await.map(drop);
        match self.stores.patience.insist(&self.what, complete).await {
            // The answer to an earlier try may have been lost, and the upload is complete and gone.
            Err(trouble) if trouble.kind == TroubleKind::Missing => match self.store.head(&self.key).await {
                Ok(object) if object.size == self.size => Ok(()),
                Ok(_) | Err(_) => Err(trouble),
            },
            completed => completed,
        }
    }

    async fn read(&self, start: u64, length: u64) -> Result<Bytes, Trouble> {
        let file = Arc::clone(&self.file);
        let read = tokio::task::spawn_blocking(move || {
            let length = usize::try_from(length).map_err(io::Error::other)?;
            let mut buffer = vec![0; length];
            file.read_exact_at(&mut buffer, start).map(|()| Bytes::from(buffer))
        });
        let read = read.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        read.map_err(|error| unreadable(self.path, &error))
    }
}

/// All parts but the last have the same size.
fn part_size(size: u64) -> u64 {
    const MEGA: u64 = 1 << 20;
    size.div_ceil(PARTS_MAX).div_ceil(MEGA).saturating_mul(MEGA).max(PIECE)
}

fn unreadable(file: &Path, error: &io::Error) -> Trouble {
    Trouble::lasting(format!("cannot read {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::{PARTS_MAX, PIECE, part_size};

    #[test]
    fn parts_are_few_enough() {
        assert_eq!(part_size(PIECE + 1), PIECE);
        for size in [PIECE * PARTS_MAX, PIECE * PARTS_MAX + 1, 5 << 40] {
            assert!(
                size.div_ceil(part_size(size)) <= PARTS_MAX && part_size(size).is_multiple_of(1 << 20),
                "{size}"
            );
        }
    }
}
