//! Kept-alive connections to one address, used most recent first. Nothing here tries a request twice:
//! a lost request must be seen.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request,
    client::conn::http1,
    header::{HeaderName, SET_COOKIE},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

type Sender = http1::SendRequest<Full<Bytes>>;

/// Idle connections are dropped before a server would close them, so that its close cannot cross a
/// request.
const IDLE: Duration = Duration::from_secs(4);

/// What came back for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The asked-for header of the response, if there was a response with it.
    pub header: Option<String>,
    /// `NAME=VALUE` of a cookie that came with it.
    pub cookie: Option<String>,
    /// The status code, or the kind of transport error.
    pub result: Result<u16, &'static str>,
}

/// The connections.
#[derive(Debug)]
pub struct Pool {
    address: SocketAddr,
    idle: Mutex<Vec<(Sender, Instant)>>,
}

impl Pool {
    /// An empty pool of connections to `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    /// Sends `request` once and reads the whole response; `name` is the header to report.
    pub async fn send(&self, request: Request<Full<Bytes>>, name: &HeaderName, limit: Duration) -> Outcome {
        let (mut header, mut cookie) = (None, None);
        let exchange = self.exchange(request, [name, &SET_COOKIE], [&mut header, &mut cookie]);
        let result = tokio::time::timeout(limit, exchange).await;
        let cookie = cookie.and_then(|cookie| Some(cookie.split(';').next()?.trim().to_owned()));
        Outcome { result: result.unwrap_or(Err("timeout")), header, cookie }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        names: [&HeaderName; 2],
        headers: [&mut Option<String>; 2],
    ) -> Result<u16, &'static str> {
        let mut sender = match self.reuse() {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let response = sender.send_request(request).await.map_err(|error| kind(&error))?;
        let code = response.status().as_u16();
        for (name, header) in names.into_iter().zip(headers) {
            *header = response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        }
        response.into_body().collect().await.map_err(|_| "body")?;
        // Not ready means that this response was the connection's last.
        if sender.ready().await.is_ok() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((sender, Instant::now()));
        }
        Ok(code)
    }

    fn reuse(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(sender, since)| sender.is_ready() && since.elapsed() < IDLE);
        idle.pop().map(|(sender, _)| sender)
    }

    async fn connect(&self) -> Result<Sender, &'static str> {
        let stream = TcpStream::connect(self.address).await.map_err(|_| "connect")?;
        // Small requests must not wait for the acknowledgement of earlier ones.
        stream.set_nodelay(true).map_err(|_| "connect")?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| "connect")?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

fn kind(error: &hyper::Error) -> &'static str {
    if error.is_parse() {
        "malformed"
    } else if error.is_canceled() {
        // The connection was closed before the request was written.
        "unsent"
    } else {
        // The connection was closed between the request and its response.
        "closed"
    }
}
