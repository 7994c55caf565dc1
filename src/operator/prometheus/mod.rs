//! Prometheus, asked for raw samples. The address comes from the operator's flag, never from a user's object; answers
//! are bounded in time and size, and redirects are not followed (a metrics server that redirects is not one).
//!
//! - `selector`: what is asked, with every name quoted
//! - `stream`: an answer, read while it arrives; `series`: what is kept of it

mod selector;
mod series;
mod stream;

use std::time::Duration;

pub use selector::{escape_regex, quote, selector, width};
pub use series::{Labels, RawHistogram, RawSeries, Words};

use crate::error::StartError;

/// Deadline of one query, connect to last byte.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// Largest answer about one candidate, after decompression (none is asked for).
pub const BODY_MAX: usize = 1 << 20;

/// The client.
#[derive(Clone, Debug)]
pub struct Prometheus {
    http: reqwest::Client,
    query: reqwest::Url,
}

/// Why there is no answer. A class, never the body: what a server says is not ours to repeat in a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No connection.
    #[error("Prometheus cannot be reached")]
    Unreachable,
    /// It broke before the answer was there.
    #[error("the connection to Prometheus broke")]
    Broken,
    /// No answer in time.
    #[error("Prometheus did not answer within 5 s")]
    Timeout,
    /// A redirect or another status.
    #[error("Prometheus answered with HTTP status {0}")]
    Status(u16),
    /// More than 1 MiB.
    #[error("Prometheus answered with more than 1 MiB")]
    TooLarge,
    /// Not the JSON that its API promises.
    #[error("Prometheus answered with something that is not its API's JSON")]
    NotJson,
    /// `status: error`.
    #[error("Prometheus refused the query")]
    Refused,
    /// One pod's series under two scrape targets that live: every request would count twice.
    #[error("a pod is scraped under two targets; its requests would count twice")]
    TwoTargets,
}

impl Prometheus {
    /// Takes the base address, such as `http://prometheus.monitoring:9090`.
    pub fn new(url: &str) -> Result<Self, StartError> {
        let fail = |why: &str| StartError::Prometheus { url: url.to_owned(), why: why.to_owned() };
        let mut base = reqwest::Url::parse(url).map_err(|e| fail(&e.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(fail("must be http://HOST[:PORT][/PREFIX] or https://…"));
        }
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        let query = base.join("api/v1/query").map_err(|e| fail(&e.to_string()))?;
        let http = http_client(DEADLINE).map_err(|e| fail(&format!("{e:?}")))?;
        Ok(Self { http, query })
    }

    /// Asks for an answer of one form, of at most 1 MiB.
    pub async fn query(&self, query: &str, at: i64, form: &str) -> Result<Vec<RawSeries>, QueryError> {
        let mut all = Vec::new();
        self.each(query, at, form, (BODY_MAX, DEADLINE), |series, _| all.push(series)).await?;
        Ok(all)
    }

    /// The same, with bounds on size and time; `take` is given each series and the length of its text as it arrives, and
    /// what it was given counts only if the answer turns out to be one.
    #[tracing::instrument(name = "query", level = "debug", skip_all, fields(otel.kind = "client"), err(level = "debug"))]
    pub async fn each(
        &self,
        query: &str,
        at: i64,
        form: &str,
        (most, deadline): (usize, Duration),
        mut take: impl FnMut(RawSeries, usize) + Send,
    ) -> Result<(), QueryError> {
        let request = self.http.get(self.query.clone()).timeout(deadline);
        let request = request.query(&[("query", query), ("time", &at.to_string())]);
        let mut answer = request.send().await.map_err(|e| classify(&e))?;
        // 400 and 422 carry `status: error`; everything else but 200 has no body worth reading.
        let status = answer.status().as_u16();
        if !matches!(status, 200 | 400 | 422) {
            return Err(QueryError::Status(status));
        }
        let (mut length, mut words, mut read) = (0, Words::default(), stream::Answer::default());
        while let Some(piece) = answer.chunk().await.map_err(|e| classify(&e))? {
            length += piece.len();
            if length > most {
                return Err(QueryError::TooLarge);
            }
            read.take(&piece, |series| {
                take(RawSeries::read(series, &mut words)?, series.len());
                Ok(())
            })?;
        }
        read.end(form)
    }
}

/// A client for an address that a flag or a variable of ours names, bounded in time and without redirects.
pub fn http_client(deadline: Duration) -> Result<reqwest::Client, reqwest::Error> {
    // The operator's image is empty: public roots are built in, mounted ones (SSL_CERT_FILE) are added.
    let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
    let mounted = rustls_native_certs::load_native_certs().certs;
    let roots = public.chain(mounted).filter_map(|der| reqwest::Certificate::from_der(&der).ok());
    reqwest::Client::builder()
        .tls_certs_only(roots)
        .timeout(deadline)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(8)
        .build()
}

fn classify(e: &reqwest::Error) -> QueryError {
    match (e.is_timeout(), e.is_connect()) {
        (true, _) => QueryError::Timeout,
        (false, true) => QueryError::Unreachable,
        (false, false) => QueryError::Broken,
    }
}

#[cfg(test)]
mod tests;
