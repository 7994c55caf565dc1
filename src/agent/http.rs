//! One attempt to get (the rest of) an object from a web server.

use std::time::Duration;

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_RANGE, RANGE,
};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, ClientBuilder, Response, StatusCode, Url};

use crate::error::FetchError;
use crate::fetch::Request;
use crate::output::Partial;
use crate::progress::Progress;

const MOST_REDIRECTS: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A transfer without a byte for so long is broken off and resumed.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What an attempt came to.
pub enum Outcome {
    /// The whole body arrived. `certain` if its length was known, so that it cannot be a part only.
    Complete {
        /// The length was known.
        certain: bool,
    },
    /// Worth another attempt.
    Retry(String),
    /// Pointless to repeat.
    Failed(FetchError),
}

/// A client for web servers.
pub fn client() -> Result<Client, FetchError> {
    build(Client::builder().redirect(Policy::custom(redirect)).read_timeout(READ_TIMEOUT))
}

/// A client for object stores, which send nobody elsewhere. Waiting is bounded where it is used: it differs between
/// reading and writing.
pub fn store_client() -> Result<Client, FetchError> {
    build(Client::builder().redirect(Policy::none()))
}

fn build(builder: ClientBuilder) -> Result<Client, FetchError> {
    // The image has no certificates of its own. Those of a mounted bundle (SSL_CERT_FILE, or the usual places) are
    // accepted too: private authorities are the reason to mount one.
    let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let mounted = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<Certificate> =
        public.chain(&mounted).filter_map(|der| Certificate::from_der(der).ok()).collect();
    builder
        .tls_certs_only(roots)
        .hickory_dns(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("serin-agent/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| FetchError::Client(chain(&error)))
}

fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    match redirect_problem(attempt.previous(), attempt.url()) {
        Some(problem) => attempt.error(problem),
        None => attempt.follow(),
    }
}

/// Why a redirect is not followed: there were too many, or it goes to another scheme. One to http would give up
/// the server's identity.
fn redirect_problem(previous: &[Url], next: &Url) -> Option<String> {
    let from = previous.first().map_or("", Url::scheme);
    if next.scheme() != from {
        return Some(format!("a redirect from {from} to {} is not followed", next.scheme()));
    }
    (previous.len() > MOST_REDIRECTS).then(|| format!("more than {MOST_REDIRECTS} redirects"))
}

/// The attempts at one object. Remembers the version it has a part of.
pub struct Download<'a> {
    client: &'a Client,
    url: &'a Url,
    request: &'a Request,
    etag: Option<HeaderValue>,
}

impl<'a> Download<'a> {
    /// Prepares to fetch `url` as `request` says.
    pub fn new(client: &'a Client, url: &'a Url, request: &'a Request) -> Self {
        Self { client, url, request, etag: None }
    }

    /// Fetches what `partial` lacks.
    pub async fn attempt(&mut self, partial: &mut Partial) -> Outcome {
        match self.try_attempt(partial).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(error),
        }
    }

    async fn try_attempt(&mut self, partial: &mut Partial) -> Result<Outcome, FetchError> {
        // A compressed transfer would have other bytes and ranges than the object.
        let mut request = self.client.get(self.url.clone()).header(ACCEPT_ENCODING, "identity");
        if partial.bytes() > 0 {
            request = request.header(RANGE, format!("bytes={}-", partial.bytes()));
            if let Some(etag) = &self.etag {
                request = request.header(IF_RANGE, etag);
            }
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_redirect() || error.is_builder() => {
                return Err(self.request.refused(chain(&error.without_url())));
            }
            Err(error) => return Ok(Outcome::Retry(chain(&error.without_url()))),
        };

        let status = response.status();
        match status {
            StatusCode::OK => partial.restart()?,
            StatusCode::PARTIAL_CONTENT if range_start(response.headers()) == Some(partial.bytes()) => {}
            StatusCode::PARTIAL_CONTENT => {
                partial.restart()?;
                return Ok(Outcome::Retry("the server sent another range than asked for".into()));
            }
            // Nothing after what we have: either all of it is here, which the digest will tell, or another object.
            StatusCode::RANGE_NOT_SATISFIABLE if partial.bytes() > 0 => {
                return Ok(Outcome::Complete { certain: false });
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                return Ok(Outcome::Retry(format!("the server answered {status}")));
            }
            _ if status.is_server_error() => {
                return Ok(Outcome::Retry(format!("the server answered {status}")));
            }
            _ => return Err(self.request.refused(format!("the server answered {status}"))),
        }
        if let Some(etag) = strong_etag(response.headers()) {
            self.etag = Some(etag);
        }
        self.receive(response, partial).await
    }

    async fn receive(&self, mut response: Response, partial: &mut Partial) -> Result<Outcome, FetchError> {
        let total = response.content_length().map(|rest| rest.saturating_add(partial.bytes()));
        if total.is_some_and(|total| total > self.request.max_bytes) {
            return Err(self.request.too_large());
        }
        let mut progress = Progress::new(partial.bytes(), total);
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    if partial.bytes().saturating_add(chunk.len() as u64) > self.request.max_bytes {
                        return Err(self.request.too_large());
                    }
                    partial.write(&chunk)?;
                    progress.at(partial.bytes());
                }
                Ok(None) if total.is_some_and(|total| partial.bytes() < total) => {
                    return Ok(Outcome::Retry("the body is shorter than announced".into()));
                }
                Ok(None) => {
                    progress.end(partial.bytes());
                    return Ok(Outcome::Complete { certain: total.is_some() });
                }
                Err(error) => return Ok(Outcome::Retry(chain(&error.without_url()))),
            }
        }
    }
}

/// First byte of a `Content-Range: bytes 100-199/200`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = text(headers, &CONTENT_RANGE)?.strip_prefix("bytes ")?;
    range.split_once('-')?.0.trim().parse().ok()
}

/// Weak entity tags may not be used with ranges.
fn strong_etag(headers: &HeaderMap) -> Option<HeaderValue> {
    text(headers, &ETAG).filter(|etag| !etag.starts_with("W/"))?;
    headers.get(ETAG).cloned()
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// An error with its causes on one line; reqwest's own text leaves them out.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = error.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::redirect_problem;
    use reqwest::Url;

    #[test]
    fn redirects_stay_within_the_scheme_and_are_few() {
        let url = |text| Url::parse(text).unwrap();
        let (plain, secure) = (url("http://a/m"), url("https://a/m"));
        let downgrade = redirect_problem(std::slice::from_ref(&secure), &plain);
        assert_eq!(downgrade.as_deref(), Some("a redirect from https to http is not followed"));
        assert!(redirect_problem(std::slice::from_ref(&plain), &secure).is_some());
        assert_eq!(redirect_problem(&vec![secure.clone(); 5], &secure), None);
        assert_eq!(
            redirect_problem(&vec![secure.clone(); 6], &secure).as_deref(),
            Some("more than 5 redirects")
        );
    }
}
