//! Fetching: check what is there, transfer with retries, verify, publish.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use tokio::time::{Instant, sleep};

use crate::digest::Digest;
use crate::error::FetchError;
use crate::http::{self, Download, Outcome};
use crate::output::{self, CHUNK, Partial};
use crate::progress::Progress;
use crate::source::Source;

/// Attempts in a row without a new byte before giving up.
const ATTEMPTS: u32 = 8;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What to fetch.
pub struct Request {
    /// Where from.
    pub source: Source,
    /// What it must be.
    pub digest: Digest,
    /// Where to.
    pub output: PathBuf,
    /// Largest size allowed.
    pub max_bytes: u64,
    /// Time allowed for everything.
    pub timeout: Duration,
    /// Pause after the first failed attempt; it doubles with each further one.
    pub first_pause: Duration,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            source: Source::default(),
            digest: Digest::default(),
            output: PathBuf::new(),
            max_bytes: u64::MAX,
            timeout: Duration::from_hours(1),
            first_pause: Duration::from_secs(1),
        }
    }
}

/// Fetches, verifies and publishes, within the time allowed.
///
/// Files are read and written with blocking calls: nothing else runs in this process, and time limits are checked
/// between chunks.
pub async fn fetch(request: &Request) -> Result<(), FetchError> {
    let deadline = Instant::now() + request.timeout;
    let mut partial = loop {
        if output::is_complete(&request.output, &request.digest)? {
            eprintln!("{} has {} already", request.output.display(), request.digest);
            return Ok(());
        }
        if let Some(partial) = Partial::open(&request.output, &request.digest)? {
            break partial;
        }
        if Instant::now() >= deadline {
            return Err(out_of_time(request, 0, "another process is writing the output"));
        }
        sleep(request.first_pause).await;
    };

    let fetched = match &request.source {
        Source::Http(url) => {
            let mut trouble = None;
            let transfer = download(request, url, &mut partial, &mut trouble);
            let done = tokio::time::timeout_at(deadline, transfer).await;
            done.unwrap_or_else(|_| {
                // Why it took so long says more than that it did.
                let reason = trouble.map_or("the time is up".into(), |t| format!("{t}; the time is up"));
                Err(out_of_time(request, partial.bytes(), &reason))
            })
        }
        Source::File(path) => copy(request, path, &mut partial, deadline).await,
    };
    match fetched {
        Ok(()) => {
            let bytes = partial.bytes();
            partial.publish()?;
            eprintln!("{}: {bytes} bytes, {}", request.output.display(), request.digest);
            Ok(())
        }
        Err(error) => {
            // What arrived is worth keeping only if the next run can go on from it.
            if !matches!(error, FetchError::Network { .. }) {
                partial.discard();
            }
            Err(error)
        }
    }
}

/// Attempts until the object is complete and right, or hopeless. `trouble` is what the last attempt failed of.
async fn download(
    request: &Request,
    url: &Url,
    partial: &mut Partial,
    trouble: &mut Option<String>,
) -> Result<(), FetchError> {
    let client = http::client()?;
    let mut download = Download::new(&client, url, request.source.to_string(), request.max_bytes);
    let mut attempts = 0;
    let mut resumed = partial.bytes() > 0;
    let mut second_chance = true;
    loop {
        let before = partial.bytes();
        match download.attempt(partial).await {
            Outcome::Failed(error) => return Err(error),
            Outcome::Complete { certain } => {
                let got = partial.digest();
                if got == request.digest {
                    return Ok(());
                }
                // Parts of two versions, or a body of unknown length cut short, are no proof of a wrong object.
                if !(second_chance && (resumed || !certain)) {
                    return Err(mismatch(request, got));
                }
                eprintln!(
                    "digest mismatch after a transfer in parts or of unknown length; fetching it all again"
                );
                second_chance = false;
                resumed = false;
                partial.restart()?;
            }
            Outcome::Retry(reason) => {
                attempts = if partial.bytes() > before { 1 } else { attempts + 1 };
                if attempts >= ATTEMPTS {
                    let got = partial.bytes();
                    return Err(FetchError::Network { uri: request.source.to_string(), reason, got });
                }
                let pause =
                    request.first_pause.saturating_mul(1 << (attempts - 1).min(16)).min(LONGEST_PAUSE);
                eprintln!(
                    "{reason}; {} bytes so far, again in {:.1} s",
                    partial.bytes(),
                    pause.as_secs_f64()
                );
                resumed |= partial.bytes() > 0;
                *trouble = Some(reason);
                sleep(pause).await;
            }
        }
    }
}

async fn copy(
    request: &Request,
    path: &Path,
    partial: &mut Partial,
    deadline: Instant,
) -> Result<(), FetchError> {
    let uri = || request.source.to_string();
    let unreadable = |error: std::io::Error| FetchError::Refused {
        uri: uri(),
        reason: match error.kind() {
            ErrorKind::NotFound => "there is no such file".into(),
            ErrorKind::IsADirectory => "is a directory, not a file".into(),
            _ => error.to_string(),
        },
    };
    // Local reads are cheap: nothing is gained by going on from a part.
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
            break;
        }
        if length.max(partial.bytes().saturating_add(count as u64)) > request.max_bytes {
            return Err(FetchError::TooLarge { uri: uri(), limit: request.max_bytes });
        }
        partial.write(buffer.get(..count).unwrap_or_default())?;
        progress.at(partial.bytes());
        if Instant::now() >= deadline {
            return Err(out_of_time(request, partial.bytes(), "the time is up"));
        }
        // Lets SIGTERM through.
        tokio::task::yield_now().await;
    }
    let got = partial.digest();
    if got == request.digest { Ok(()) } else { Err(mismatch(request, got)) }
}

fn mismatch(request: &Request, got: Digest) -> FetchError {
    FetchError::DigestMismatch { expected: request.digest, got, uri: request.source.to_string() }
}

fn out_of_time(request: &Request, got: u64, reason: &str) -> FetchError {
    let reason = format!("{reason} after {} s", request.timeout.as_secs());
    FetchError::Network { uri: request.source.to_string(), reason, got }
}
