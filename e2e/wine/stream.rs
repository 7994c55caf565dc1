//! An answer that comes bit by bit, as a language model's does.

use std::time::Duration;

use axum::{body::Body, extract::Path};
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

/// So many numbers, one a line, so many milliseconds apart. The answer comes in chunks, so that the client sees a broken one.
///
/// There is no question. With one, a proxy written in Go cuts one answer in a hundred or two at its beginning: its client looks
/// for the end of the question after having sent it, and takes it for an error that its server has closed the question meanwhile,
/// which that does as soon as the answer begins (golang/go#40747). A language model takes longer for its first word.
pub async fn answer(Path((lines, apart)): Path<(u16, u16)>) -> Body {
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
