//! The HTTP client under `object_store`: the agent's own, with its roots, its resolver and one TLS implementation. It
//! refuses plain http where nobody asked for it, bounds waiting, and turns every answer that is no success into an
//! [`Answer`] that says what to think of it.

use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Limited};
use object_store::ClientOptions;
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use reqwest::{Client, StatusCode, Url};
use tokio::time::timeout;

use crate::http::chain;
use crate::retry::{Trouble, TroubleKind};

/// For the head of an answer to a request without a body.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// For a request that carries data: slow lines need a while for it.
const BODY_TIMEOUT: Duration = Duration::from_mins(10);
/// The metadata server of a cloud is near, or it is not there.
const NEAR_TIMEOUT: Duration = Duration::from_secs(3);
/// Of an error's body.
const ERROR_BYTES: usize = 64 << 10;

/// Makes clients for `object_store`.
#[derive(Debug, Clone)]
pub struct Connector {
    /// The agent's client.
    pub client: Client,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let is = |key, expected: &str| options.get_config_value(&key).as_deref() == Some(expected);
        Ok(HttpClient::new(Service {
            client: self.client.clone(),
            plain: is(ClientConfigKey::AllowHttp, "true"),
            // What `object_store` asks for where it talks to a metadata server.
            near: is(ClientConfigKey::ConnectTimeout, "1s"),
        }))
    }
}

#[derive(Debug)]
struct Service {
    client: Client,
    plain: bool,
    near: bool,
}

/// An answer that is no success, or none at all.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct Answer {
    reason: String,
    status: Option<StatusCode>,
    transient: bool,
}

impl Answer {
    fn none(reason: String, transient: bool) -> Self {
        Self { reason, status: None, transient }
    }

    /// Of a metadata server, which is asked only where the environment has no credentials.
    fn without_identity(self) -> Self {
        let reason = format!(
            "no credentials: neither the environment has any (the Secret in storage.secretName), nor does the cloud's \
             metadata server give the pod an identity ({})",
            self.reason
        );
        Self { reason, ..self }
    }

    /// What it means.
    pub fn trouble(&self) -> Trouble {
        let kind = match self.status {
            Some(StatusCode::NOT_FOUND) => TroubleKind::Missing,
            _ if self.transient => TroubleKind::Transient,
            _ => TroubleKind::Final,
        };
        Trouble { reason: self.reason.clone(), kind }
    }
}

impl From<Answer> for HttpError {
    fn from(answer: Answer) -> Self {
        // The kind only says whether `object_store` tries again by itself, which is left to us.
        Self::new(HttpErrorKind::Unknown, answer)
    }
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let url = Url::parse(&parts.uri.to_string())
            .map_err(|error| Answer::none(format!("the address cannot be used: {error}"), false))?;
        if url.scheme() != "https" && !self.plain {
            let reason =
                "the address is http://, which only an endpoint that was set as such may be; use https://";
            return Err(Answer::none(reason.to_owned(), false).into());
        }
        let limit = match (self.near, body.content_length()) {
            (true, _) => NEAR_TIMEOUT,
            (false, 0) => HEAD_TIMEOUT,
            (false, _) => BODY_TIMEOUT,
        };
        let mut outgoing = reqwest::Request::new(parts.method, url);
        *outgoing.headers_mut() = parts.headers;
        *outgoing.body_mut() = Some(match body.as_bytes() {
            Some(bytes) => bytes.clone().into(),
            None => reqwest::Body::wrap(body),
        });
        let answered = match timeout(limit, self.client.execute(outgoing)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(broken(error)),
            Err(_) => Err(Answer::none(format!("no answer within {} s", limit.as_secs()), true)),
        };
        let response =
            answered.map_err(|answer| if self.near { answer.without_identity() } else { answer })?;
        let status = response.status();
        let response: ::http::Response<reqwest::Body> = response.into();
        let (parts, body) = response.into_parts();
        if status.is_success() {
            let body = HttpResponseBody::new(body.map_err(|error| broken(error).into()));
            return Ok(HttpResponse::from_parts(parts, body));
        }
        // Some errors come without end or length; what a code needs is at the beginning.
        let text = match timeout(NEAR_TIMEOUT, Limited::new(body, ERROR_BYTES).collect()).await {
            Ok(Ok(body)) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            Ok(Err(_)) | Err(_) => String::new(),
        };
        Err(refused(status, &text).into())
    }
}

fn broken(error: reqwest::Error) -> Answer {
    Answer::none(chain(&error.without_url()), true)
}

/// What an unsuccessful answer means. Codes are those of S3 and Azure.
fn refused(status: StatusCode, body: &str) -> Answer {
    let code = body
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map(|(code, _)| code)
        .filter(|code| {
            !code.is_empty() && code.len() <= 64 && code.chars().all(|c| c.is_ascii_alphanumeric())
        });
    let mut reason = format!("the store answered {status}");
    if let Some(code) = code {
        reason = format!("{reason} ({code})");
    }
    if status.is_redirection() {
        reason.push_str("; is the bucket in another region?");
    }
    let transient = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT
                | StatusCode::TOO_EARLY
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::CONFLICT
        )
        || matches!(
            code,
            Some(
                "RequestTimeout" | "SlowDown" | "BadDigest" | "IncompleteBody" | "XAmzContentSHA256Mismatch"
            )
        );
    Answer { reason, status: Some(status), transient }
}

#[cfg(test)]
mod tests {
    use super::refused;
    use crate::retry::TroubleKind;
    use reqwest::StatusCode;

    #[test]
    fn answers_are_told_apart() {
        let of = |status: u16, body| refused(StatusCode::from_u16(status).unwrap(), body).trouble();
        let denied = of(403, "<?xml?><Error><Code>SignatureDoesNotMatch</Code></Error>");
        assert_eq!(denied.reason, "the store answered 403 Forbidden (SignatureDoesNotMatch)");
        assert_eq!(denied.kind, TroubleKind::Final);
        assert_eq!(of(404, "").kind, TroubleKind::Missing);
        assert!(of(301, "").reason.contains("another region"));
        for (status, body) in
            [(500, ""), (503, ""), (507, ""), (429, ""), (408, ""), (400, "<Code>IncompleteBody</Code>")]
        {
            assert_eq!(of(status, body).kind, TroubleKind::Transient, "{status}");
        }
        assert_eq!(of(400, "<Code>a b\n</Code>").reason, "the store answered 400 Bad Request");
    }
}
