//! An answer that comes bit by bit, as a language model's does.

use std::time::Duration;

use axum::{body::Body, extract::Path};
use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

/// So many numbers, one a line, so many milliseconds apart. The answer comes in chunks, so that the client sees a broken one.
/// The question is read to its end first: a proxy written in Go can lose a connection on which the answer was faster than the
/// question.
pub async fn answer(Path((lines, apart)): Path<(u16, u16)>, _asked: Bytes) -> Body {
    // As much as may wait for a slow client.
    let (mut writer, reader) = tokio::io::duplex(4096);
    tokio::spawn(async move {
        let mut due = tokio::time::interval(Duration::from_millis(u64::from(apart).max(1)));
        for line in 1..=lines {
            due.tick().await;
            // The client has gone.
            if writer.write_all(format!("{line}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    });
    Body::from_stream(ReaderStream::new(reader))
}
