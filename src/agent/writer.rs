//! Writing, hashing and flushing, each on a thread of its own, while the next bytes arrive: one after the other they take
//! longer than a fast network.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::FetchError;
use crate::output::{Content, Partial};

/// Frames that wait for a thread: those of a piece or two.
const WAITING: usize = 64;

/// Bytes that are written before the disk is asked to take them.
const FLUSHED: usize = 64 << 20;

/// Appends to a [`Partial`] in the background, in order.
pub struct Writer {
    to_file: mpsc::Sender<Bytes>,
    to_hash: mpsc::Sender<Bytes>,
    file: JoinHandle<(Partial, Result<(), FetchError>)>,
    hash: JoinHandle<Content>,
    flush: JoinHandle<Result<(), FetchError>>,
}

impl Writer {
    /// Takes over the file.
    pub fn start(mut partial: Partial) -> Self {
        let mut content = partial.take_content();
        let flusher = partial.flusher();
        let (to_flush, mut due) = mpsc::channel::<()>(1);
        let flush = spawn_blocking(move || {
            let flush = flusher?;
            // An error of the disk is told once: to us, and not to whoever flushes next.
            while due.blocking_recv().is_some() {
                flush()?;
            }
            Ok(())
        });
        let (to_file, mut frames) = mpsc::channel::<Bytes>(WAITING);
        let file = spawn_blocking(move || {
            let mut written = 0;
            while let Some(bytes) = frames.blocking_recv() {
                if let Err(error) = partial.append(&bytes) {
                    return (partial, Err(error));
                }
                written += bytes.len();
                if written >= FLUSHED {
                    written = 0;
                    // If it is still at the last ones, these go with the next.
                    let _ = to_flush.try_send(());
                }
            }
            (partial, Ok(()))
        });
        let (to_hash, mut frames) = mpsc::channel::<Bytes>(WAITING);
        let hash = spawn_blocking(move || {
            while let Some(bytes) = frames.blocking_recv() {
                content.add(&bytes);
            }
            content
        });
        Self { to_file, to_hash, file, hash, flush }
    }

    /// Appends; false if writing has failed, which [`Self::finish`] tells of.
    pub async fn write(&self, bytes: Bytes) -> bool {
        self.to_hash.send(bytes.clone()).await.is_ok() && self.to_file.send(bytes).await.is_ok()
    }

    /// Waits until all is written and gives the file back.
    pub async fn finish(self) -> Result<(Partial, Result<(), FetchError>), FetchError> {
        drop((self.to_file, self.to_hash));
        let lost = |error| FetchError::Runtime(std::io::Error::other(error));
        let content = self.hash.await.map_err(lost)?;
        let (mut partial, written) = self.file.await.map_err(lost)?;
        let flushed = self.flush.await.map_err(lost)?;
        // After a failure it may be ahead of the file, which is of no use then.
        partial.put_content(content);
        Ok((partial, written.and(flushed)))
    }
}
