//! Hashing and writing on a thread of its own, while the next bytes arrive.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::FetchError;
use crate::output::Partial;

/// Appends to a [`Partial`] in the background, in order.
pub struct Writer {
    sender: mpsc::Sender<Bytes>,
    thread: JoinHandle<(Partial, Result<(), FetchError>)>,
}

impl Writer {
    /// Takes over the file.
    pub fn start(mut partial: Partial) -> Self {
        // What waits here is the body frames of a piece or two.
        let (sender, mut receiver) = mpsc::channel::<Bytes>(64);
        let thread = tokio::task::spawn_blocking(move || {
            while let Some(bytes) = receiver.blocking_recv() {
                if let Err(error) = partial.write(&bytes) {
                    return (partial, Err(error));
                }
            }
            (partial, Ok(()))
        });
        Self { sender, thread }
    }

    /// Appends; false if writing has failed, which [`Self::finish`] tells of.
    pub async fn write(&self, bytes: Bytes) -> bool {
        self.sender.send(bytes).await.is_ok()
    }

    /// Waits until all is written and gives the file back.
    pub async fn finish(self) -> Result<(Partial, Result<(), FetchError>), FetchError> {
        drop(self.sender);
        self.thread.await.map_err(|error| FetchError::Runtime(std::io::Error::other(error)))
    }
}
