//! Copying a file of a mounted volume.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use tokio::time::Instant;

use crate::error::FetchError;
use crate::fetch::Request;
use crate::output::{CHUNK, Partial};
use crate::progress::Progress;

/// Copies all of it; local reads are cheap, and nothing is gained by going on from a part.
pub async fn copy(
    request: &Request,
    path: &Path,
    mut partial: Partial,
    deadline: Instant,
) -> Result<(Partial, Result<(), FetchError>), FetchError> {
    let copied = try_copy(request, path, &mut partial, deadline).await;
    Ok((partial, copied))
}

async fn try_copy(
    request: &Request,
    path: &Path,
    partial: &mut Partial,
    deadline: Instant,
) -> Result<(), FetchError> {
    let unreadable = |error: io::Error| {
        request.refused(match error.kind() {
            ErrorKind::NotFound => "there is no such file".into(),
            ErrorKind::IsADirectory => "is a directory, not a file".into(),
            _ => error.to_string(),
        })
    };
    partial.restart()?;
    let mut file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let mut progress = Progress::new(0, Some(length));
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match file.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        if count == 0 {
            return Ok(());
        }
        if length.max(partial.bytes().saturating_add(count as u64)) > request.max_bytes {
            return Err(request.too_large());
        }
        partial.write(buffer.get(..count).unwrap_or_default())?;
        progress.at(partial.bytes());
        if Instant::now() >= deadline {
            return Err(request.out_of_time(partial.bytes(), "the time is up"));
        }
        // Lets SIGTERM through.
        tokio::task::yield_now().await;
    }
}
