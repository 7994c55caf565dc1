//! An object of a store in parallel ranges. They arrive in any order and are written in order, so that a broken
//! transfer leaves a beginning to go on from, and the digest is there when the last byte is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStoreExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::error::FetchError;
use crate::fetch::Request;
use crate::output::Partial;
use crate::progress::Progress;
use crate::retry::{Trouble, TroubleKind};
use crate::source::Location;
use crate::stores::{PIECE, PIECES, Store};
use crate::writer::Writer;

/// A transfer without a byte for so long is broken off and resumed.
const STALL: Duration = Duration::from_secs(30);

/// A piece on its way: its bytes, and the permit for the memory they take.
type Piece = Result<(Vec<Bytes>, Option<OwnedSemaphorePermit>), Trouble>;

/// One object being fetched.
pub struct Ranges<'r> {
    request: &'r Request,
    store: Arc<dyn Store>,
    path: Path,
    size: u64,
    /// Bytes written or about to be, for messages.
    pub done: Arc<AtomicU64>,
}

impl<'r> Ranges<'r> {
    /// Opens the store and learns the size, which nobody but a manifest knows before.
    pub async fn open(request: &'r Request, location: &Location) -> Result<Self, FetchError> {
        let failed = |trouble| failed(request, trouble, 0);
        let (store, path) = request.stores.open(location).map_err(failed)?;
        let size = if let Some(size) = request.size {
            size
        } else {
            let what = location.to_string();
            let head = request.patience.insist(&what, async || store.head(&path).await).await;
            head.map_err(failed)?.size
        };
        if size > request.max_bytes {
            return Err(request.too_large());
        }
        Ok(Self { request, store, path, size, done: Arc::new(AtomicU64::new(0)) })
    }

    /// Fetches what `partial` lacks and gives it back. The digest is the caller's to check.
    pub async fn fetch(&self, mut partial: Partial) -> Result<(Partial, Result<(), FetchError>), FetchError> {
        if partial.bytes() > self.size {
            partial.restart()?;
        }
        let start = partial.bytes();
        self.done.store(start, Ordering::Relaxed);
        let mut progress = Progress::new(start, Some(self.size));
        let writer = Writer::start(partial);

        let ranges = stream::iter(pieces(start, self.size)).then(async |range| {
            // In order, so that the first piece that is missing always has one.
            (Arc::clone(&self.request.stores.slots).acquire_owned().await.ok(), range)
        });
        let mut pieces = ranges
            .map(|(permit, (from, to))| async move { Ok((self.piece(from, to).await?, permit)) })
            .buffered(PIECES)
            .boxed_local();
        let mut outcome = Ok(());
        'all: while let Some(piece) = pieces.next().await {
            let piece: Piece = piece;
            let (frames, _permit) = match piece {
                Ok(piece) => piece,
                Err(trouble) => {
                    outcome = Err(failed(self.request, trouble, self.done.load(Ordering::Relaxed)));
                    break;
                }
            };
            for frame in frames {
                let bytes = frame.len() as u64;
                if !writer.write(frame).await {
                    break 'all;
                }
                progress.at(self.done.fetch_add(bytes, Ordering::Relaxed) + bytes);
            }
        }
        drop(pieces);
        let (partial, written) = writer.finish().await?;
        if self.size > PIECE {
            progress.end(partial.bytes());
        }
        Ok((partial, written.and(outcome)))
    }

    /// One range, in as many requests as it takes.
    async fn piece(&self, from: u64, to: u64) -> Result<Vec<Bytes>, Trouble> {
        let (mut frames, mut have, mut failed) = (vec![], from, 0);
        while have < to {
            let before = have;
            let Err(trouble) = self.request_range(&mut frames, &mut have, to).await else { continue };
            failed = if have > before { 1 } else { failed + 1 };
            if !trouble.is_transient() || failed >= self.request.patience.attempts {
                return Err(trouble);
            }
            let pause = self.request.patience.pause(failed);
            eprintln!("{}: {trouble}; again in {:.1} s", self.request.source, pause.as_secs_f64());
            tokio::time::sleep(pause).await;
        }
        Ok(frames)
    }

    async fn request_range(&self, frames: &mut Vec<Bytes>, have: &mut u64, to: u64) -> Result<(), Trouble> {
        let options = GetOptions { range: Some(GetRange::Bounded(*have..to)), ..GetOptions::default() };
        let answer = self.store.get_opts(&self.path, options).await.map_err(|e| Trouble::of(&e))?;
        let mut body = answer.into_stream();
        loop {
            match timeout(STALL, body.next()).await {
                Ok(Some(Ok(bytes))) if bytes.len() as u64 > to - *have => {
                    return Err(Trouble::lasting("the store sent more than was asked for"));
                }
                Ok(Some(Ok(bytes))) => {
                    *have += bytes.len() as u64;
                    frames.push(bytes);
                }
                Ok(Some(Err(error))) => return Err(Trouble::of(&error)),
                Ok(None) if *have < to => {
                    return Err(Trouble::transient("the body is shorter than announced"));
                }
                Ok(None) => return Ok(()),
                Err(_) => {
                    let reason = format!("nothing arrived for {} s", STALL.as_secs());
                    return Err(Trouble::transient(reason));
                }
            }
        }
    }
}

fn pieces(start: u64, size: u64) -> impl Iterator<Item = (u64, u64)> + Send {
    std::iter::successors(Some(start), |from| Some(from + PIECE))
        .take_while(move |from| *from < size)
        .map(move |from| (from, size.min(from + PIECE)))
}

fn failed(request: &Request, trouble: Trouble, got: u64) -> FetchError {
    match trouble.kind {
        TroubleKind::Missing | TroubleKind::Final => request.refused(trouble.reason),
        TroubleKind::Transient => {
            FetchError::Network { uri: request.source.to_string(), reason: trouble.reason, got }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PIECE, pieces};

    #[test]
    fn pieces_cover_what_is_missing() {
        assert_eq!(pieces(0, 0).count(), 0);
        assert_eq!(pieces(5, 7).collect::<Vec<_>>(), [(5, 7)]);
        assert_eq!(pieces(1, 2 * PIECE).collect::<Vec<_>>(), [(1, PIECE + 1), (PIECE + 1, 2 * PIECE)]);
    }
}
