//! Our clients of the Kubernetes API: kube's parts, put together with the fence innermost.
//!
//! kube's own order would put it around everything: a retry, a token that has to be fetched or a connection that has to be
//! made would lie between the question whether we may write and the writing. Here it is asked twice: when a request has all
//! that it needs, and again for every byte that goes to the network.

use std::{
    future::ready,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{FutureExt, TryFutureExt, future::BoxFuture};
use hyper::{
    Method, Request, Response, Uri,
    body::Incoming,
    http::uri::PathAndQuery,
    rt::{Read, ReadBufCursor, Write},
};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{
        Client as HyperClient,
        connect::{Connected, Connection, HttpConnector},
    },
    rt::TokioExecutor,
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt},
};
use serin_lease::Timing;
use tower::{BoxError, Service, ServiceBuilder};

use crate::{
    error::StartError,
    leader::{Fence, Refused},
};

/// Longer than the server's watch timeout, so that only a dead connection runs into it.
const READ_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(310);

/// How to reach the apiserver; it writes `agent` into its log beside each of our requests.
pub async fn config(agent: &str) -> Result<Config, StartError> {
    let mut config = Config::infer().await.map_err(|e| StartError::Config(Box::new(e)))?;
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    let agent = agent.parse::<hyper::header::HeaderValue>().map_err(|e| StartError::Config(Box::new(e)))?;
    config.headers.push((hyper::header::USER_AGENT, agent));
    Ok(config)
}

/// A client that sends only while the fence is open. It never tries again by itself: kube's does so with any verb, POST
/// included, for up to 164 s; ours are planned again from a fresh look.
pub fn client(config: &Config, fence: &Fence) -> Result<Client, StartError> {
    let broken = |e: kube::Error| StartError::Config(Box::new(e));
    if let Some(proxy) = &config.proxy_url {
        let why = format!("the apiserver is asked directly, not through the proxy {proxy}");
        return Err(StartError::Config(why.into()));
    }
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    // What the other side does not acknowledge is given up by the system, too: a write must not arrive after a partition.
    http.set_tcp_user_timeout(Some(fence.timing().way()));
    let fenced = FencedConnector { http, fence: fence.clone() };
    let https = config.rustls_https_connector_with_connector(fenced).map_err(broken)?;
    let mut connector = TimeoutConnector::new(https);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let hyper: HyperClient<_, Body> = HyperClient::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(broken)?)
        .layer(config.extra_headers_layer().map_err(broken)?)
        .service(Gate { inner: hyper, fence: fence.clone() });
    Ok(Client::new(service, config.default_namespace.clone()))
}

/// Lets a write begin only while the fence is open, and bounds it, here and in the apiserver.
#[derive(Clone)]
struct Gate<S> {
    inner: S,
    fence: Fence,
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Incoming>>,
    S::Error: Into<BoxError> + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return self.inner.call(request).map_err(Into::into).boxed();
        }
        let pass = match self.fence.begin() {
            Ok(pass) => pass,
            Err(refused) => return ready(Err(refused.into())).boxed(),
        };
        let timing = self.fence.timing();
        let sent = self.inner.call(bounded(request, timing));
        async move {
            match tokio::time::timeout(timing.way() + timing.answer(), sent).await {
                Ok(Ok(response)) => {
                    // After a 504 it may still happen.
                    if response.status().is_server_error() {
                        drop(pass);
                    } else {
                        pass.answered();
                    }
                    Ok(response)
                }
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(Refused::NoAnswer.into()),
            }
        }
        .boxed()
    }
}

/// Tells the apiserver for how long it may work on a request: what waits there for a webhook is over by then, too.
fn bounded(mut request: Request<Body>, timing: Timing) -> Request<Body> {
    let old = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let between = match old.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, query)) if query.ends_with('&') => "",
        Some(_) => "&",
    };
    let new = format!("{old}{between}timeout={}ms", timing.answer().as_millis());
    let mut parts = request.uri().clone().into_parts();
    // It was a URI before, and what was added is one.
    if let Ok(new) = new.parse() {
        parts.path_and_query = Some(new);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// Makes connections that send only while the fence is open.
#[derive(Clone)]
struct FencedConnector {
    http: HttpConnector,
    fence: Fence,
}

impl Service<Uri> for FencedConnector {
    type Response = Fenced<<HttpConnector as Service<Uri>>::Response>;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let fence = self.fence.clone();
        self.http.call(to).map_ok(|stream| Fenced { stream, fence }).boxed()
    }
}

/// A connection. Below TLS, so that nothing is between it and the system.
struct Fenced<T> {
    stream: T,
    fence: Fence,
}

impl<T> Fenced<T> {
    fn may_send(&self) -> io::Result<()> {
        if self.fence.is_open() { Ok(()) } else { Err(io::Error::other(Refused::Fenced)) }
    }
}

impl<T: Write + Unpin> Write for Fenced<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.may_send()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.may_send()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }
}

impl<T: Read + Unpin> Read for Fenced<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<T: Connection> Connection for Fenced<T> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::{
        Api,
        api::{Patch, PatchParams},
    };
    use serde_json::json;
    use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

    use super::*;

    async fn server(delay: Duration) -> MockServer {
        let server = MockServer::start().await;
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "it"}});
        let answer = ResponseTemplate::new(200).set_body_json(body).set_delay(delay);
        Mock::given(any()).respond_with(answer).mount(&server).await;
        server
    }

    fn api(server: &MockServer, fence: &Fence) -> Api<ConfigMap> {
        // Its TLS is not used; a client is not made without.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = Config::new(server.uri().parse().unwrap());
        Api::namespaced(client(&config, fence).unwrap(), "ns")
    }

    async fn write(api: &Api<ConfigMap>) -> Result<ConfigMap, String> {
        let said = |e: kube::Error| {
            let first: &dyn std::error::Error = &e;
            let all = std::iter::successors(Some(first), |error| error.source());
            all.map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        api.patch("it", &PatchParams::apply("me"), &Patch::Apply(json!({"kind": "ConfigMap"})))
            .await
            .map_err(said)
    }

    #[tokio::test]
    async fn a_write_tells_the_apiserver_how_long_it_may_take() {
        let (server, fence) = (server(Duration::ZERO).await, Fence::open(Timing::of(15)));
        let api = api(&server, &fence);
        write(&api).await.unwrap();
        api.get("it").await.unwrap();
        let asked: Vec<String> =
            server.received_requests().await.unwrap().iter().map(|r| r.url.to_string()).collect();
        assert!(asked[0].contains("fieldManager=me") && asked[0].ends_with("&timeout=5000ms"), "{asked:?}");
        assert!(!asked[1].contains("timeout"), "{asked:?}");
        assert_eq!(fence.quiet(), Some(Duration::ZERO), "all answered");
    }

    #[tokio::test]
    async fn behind_a_closed_fence_no_byte_is_sent() {
        let (server, fence) = (server(Duration::ZERO).await, Fence::closed(Timing::of(15)));
        let api = api(&server, &fence);
        let said = write(&api).await.unwrap_err();
        assert!(said.contains("the lease is not ours"), "{said}");
        assert!(api.get("it").await.is_err());
        assert!(server.received_requests().await.unwrap().is_empty());
    }

    /// Also on a connection that was made before, and for a request that had leave to begin.
    #[tokio::test]
    async fn a_fence_that_closes_closes_connections_that_are_open() {
        let (server, fence) = (server(Duration::ZERO).await, Fence::open(Timing::of(15)));
        let api = api(&server, &fence);
        write(&api).await.unwrap();
        fence.close();
        // A read does not ask for leave to begin: what stops it is the connection.
        assert!(api.get("it").await.is_err());
        assert_eq!(server.received_requests().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn who_waits_too_long_knows_that_it_may_have_happened() {
        let (server, fence) = (server(Duration::from_secs(5)).await, Fence::open(Timing::of(1)));
        let api = api(&server, &fence);
        let began = Instant::now();
        let said = write(&api).await.unwrap_err();
        assert!(said.contains("the write may have happened"), "{said}");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        assert!(fence.quiet().unwrap() > Duration::ZERO);
    }

    #[test]
    fn the_time_is_added_to_whatever_query_there_is() {
        for (path, wanted) in [
            ("http://a/b", "http://a/b?timeout=5000ms"),
            ("http://a/b?", "http://a/b?timeout=5000ms"),
            ("http://a/b?c=d", "http://a/b?c=d&timeout=5000ms"),
            ("http://a/b?c=d&", "http://a/b?c=d&timeout=5000ms"),
        ] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            assert_eq!(bounded(request, Timing::of(15)).uri().to_string(), wanted);
        }
    }
}
