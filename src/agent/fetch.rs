//! Fetching: check what is there, transfer with retries, verify, publish.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Url;
use tokio::time::{Instant, sleep, timeout_at};

use crate::cache;
use crate::copy::copy;
use crate::digest::Digest;
use crate::error::FetchError;
use crate::http::{self, Download, Outcome};
use crate::output::{self, Partial};
use crate::ranges::Ranges;
use crate::retry::Patience;
use crate::source::{Claim, Location, Source};
use crate::stores::Stores;

/// What to fetch.
#[derive(Clone)]
pub struct Request {
    /// Where from.
    pub source: Source,
    /// What it must be.
    pub digest: Digest,
    /// Its size, if something says so already.
    pub size: Option<u64>,
    /// Where to.
    pub output: PathBuf,
    /// Largest size allowed.
    pub max_bytes: u64,
    /// Time allowed for everything.
    pub timeout: Duration,
    /// How often to try again, and when.
    pub patience: Patience,
    /// Where the user named it, for messages.
    pub named: String,
    /// Object stores.
    pub stores: Arc<Stores>,
    /// Folder of what was fetched on this node before.
    pub cache: Option<PathBuf>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            source: Source::default(),
            digest: Digest::default(),
            size: None,
            output: PathBuf::new(),
            max_bytes: u64::MAX,
            timeout: Duration::from_hours(1),
            patience: Patience::default(),
            named: "spec.model.artifact".into(),
            stores: Arc::default(),
            cache: None,
        }
    }
}

/// A file that is as complete as it will get, and why it is not all of it.
type Transferred = Result<(Partial, Result<(), FetchError>), FetchError>;

/// Fetches, verifies and publishes, within the time allowed.
pub async fn fetch(request: &Request) -> Result<(), FetchError> {
    let deadline = Instant::now() + request.timeout;
    let partial = loop {
        let (output, digest) = (request.output.clone(), request.digest);
        if blocking(move || output::is_complete(&output, &digest)).await? {
            eprintln!("{} has {} already", request.output.display(), request.digest);
            return Ok(());
        }
        if let Some(folder) = request.cache.clone() {
            let (output, digest) = (request.output.clone(), request.digest);
            if blocking(move || cache::take(&folder, &digest, &output)).await? {
                eprintln!("{}: {} from the cache", request.output.display(), request.digest);
                return Ok(());
            }
        }
        let (output, digest) = (request.output.clone(), request.digest);
        if let Some(partial) = blocking(move || Partial::open(&output, &digest)).await? {
            // Whoever held it may have finished between the two looks.
            let (output, digest) = (request.output.clone(), request.digest);
            if partial.bytes() > 0 || !blocking(move || output::is_complete(&output, &digest)).await? {
                break partial;
            }
            partial.discard();
            continue;
        }
        if Instant::now() >= deadline {
            return Err(request.out_of_time(0, "another process is writing the output"));
        }
        sleep(request.patience.first_pause).await;
    };

    let (partial, fetched) = transfer(request, partial, deadline).await?;
    match fetched {
        Ok(()) => {
            let bytes = partial.bytes();
            blocking(move || partial.publish()).await?;
            eprintln!("{}: {bytes} bytes, {}", request.output.display(), request.digest);
            if let Some(folder) = request.cache.clone() {
                let (output, digest) = (request.output.clone(), request.digest);
                let keeping = move || {
                    cache::keep(&folder, &digest, &output);
                    Ok(())
                };
                blocking(keeping).await?;
            }
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

/// What the object is now, whatever that is: its digest and its bytes. It passes through a file beside the output, which
/// is gone afterwards.
pub async fn measure(request: &Request) -> Result<(Digest, u64), FetchError> {
    // No object has this digest: the transfer ends by saying which it has.
    let request = Request { digest: Digest::default(), cache: None, ..request.clone() };
    let deadline = Instant::now() + request.timeout;
    let (output, digest) = (request.output.clone(), request.digest);
    let Some(partial) = blocking(move || Partial::open(&output, &digest)).await? else {
        return Err(request.out_of_time(0, "another process is writing the output"));
    };
    let (partial, fetched) = transfer(&request, partial, deadline).await?;
    let bytes = partial.bytes();
    partial.discard();
    match fetched {
        Err(FetchError::DigestMismatch { got, .. }) => Ok((got, bytes)),
        Err(error) => Err(error),
        Ok(()) => Ok((digest, bytes)),
    }
}

async fn transfer(request: &Request, partial: Partial, deadline: Instant) -> Transferred {
    match &request.source {
        Source::Http(url) => from_server(request, url, partial, deadline).await,
        Source::Store(location) => from_store(request, location, partial, deadline).await,
        Source::File(file) | Source::Claim(Claim { file, .. }) => {
            Ok(verified(request, copy(request, file, partial, deadline).await?))
        }
    }
}

async fn from_server(request: &Request, url: &Url, mut partial: Partial, deadline: Instant) -> Transferred {
    let mut trouble = None;
    let transfer = download(request, url, &mut partial, &mut trouble);
    let done = timeout_at(deadline, transfer).await;
    let done = done.unwrap_or_else(|_| {
        // Why it took so long says more than that it did.
        let reason = trouble.map_or("the time is up".into(), |t| format!("{t}; the time is up"));
        Err(request.out_of_time(partial.bytes(), &reason))
    });
    Ok((partial, done))
}

/// Attempts until the object is complete and right, or hopeless. `trouble` is what the last attempt failed of.
async fn download(
    request: &Request,
    url: &Url,
    partial: &mut Partial,
    trouble: &mut Option<String>,
) -> Result<(), FetchError> {
    let client = http::client()?;
    let mut download = Download::new(&client, url, request);
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
                    return Err(request.mismatch(got));
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
                if attempts >= request.patience.attempts {
                    let got = partial.bytes();
                    return Err(FetchError::Network { uri: request.source.to_string(), reason, got });
                }
                let pause = request.patience.pause(attempts);
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

async fn from_store(
    request: &Request,
    location: &Location,
    partial: Partial,
    deadline: Instant,
) -> Transferred {
    let resumed = partial.bytes() > 0;
    let opened = match timeout_at(deadline, Ranges::open(request, location)).await {
        Ok(Ok(ranges)) => ranges,
        Ok(Err(error)) => return Ok((partial, Err(error))),
        Err(_) => return Ok((partial, Err(request.out_of_time(0, "the time is up")))),
    };
    let transfer = async {
        let (mut partial, fetched) = verified(request, opened.fetch(partial).await?);
        if resumed && matches!(fetched, Err(FetchError::DigestMismatch { .. })) {
            eprintln!("digest mismatch after a transfer in parts; fetching it all again");
            partial.restart()?;
            return Ok(verified(request, opened.fetch(partial).await?));
        }
        Ok((partial, fetched))
    };
    match timeout_at(deadline, transfer).await {
        Ok(transferred) => transferred,
        // The file is with its writer, where it stays for the next run.
        Err(_) => Err(request.out_of_time(opened.done.load(Ordering::Relaxed), "the time is up")),
    }
}

/// Checks the digest of what arrived whole.
fn verified(
    request: &Request,
    (partial, fetched): (Partial, Result<(), FetchError>),
) -> (Partial, Result<(), FetchError>) {
    let checked = fetched.and_then(|()| match partial.digest() {
        got if got == request.digest => Ok(()),
        got => Err(request.mismatch(got)),
    });
    (partial, checked)
}

/// Work with files that takes its time, beside the transfers.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| FetchError::Runtime(std::io::Error::other(error)))?
}

impl Request {
    /// The same, of another object.
    #[must_use]
    pub fn of(&self, source: Source, digest: Digest, size: Option<u64>, output: &Path) -> Self {
        let max_bytes = size.unwrap_or(self.max_bytes).min(self.max_bytes);
        Self { source, digest, size, max_bytes, output: output.to_owned(), ..self.clone() }
    }

    /// Complete, but not the expected object.
    pub fn mismatch(&self, got: Digest) -> FetchError {
        FetchError::DigestMismatch {
            expected: self.digest,
            got,
            uri: self.source.to_string(),
            named: self.named.clone(),
        }
    }

    /// Not to be had.
    pub fn refused(&self, reason: String) -> FetchError {
        FetchError::Refused { uri: self.source.to_string(), named: self.named.clone(), reason }
    }

    /// Larger than allowed.
    pub fn too_large(&self) -> FetchError {
        FetchError::TooLarge {
            uri: self.source.to_string(),
            named: self.named.clone(),
            limit: self.max_bytes,
        }
    }

    /// Not in the time allowed.
    pub fn out_of_time(&self, got: u64, reason: &str) -> FetchError {
        let reason = format!("{reason} after {} s", self.timeout.as_secs());
        FetchError::Network { uri: self.source.to_string(), reason, got }
    }
}
