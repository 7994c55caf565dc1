//! Between the operator and the apiserver: adds the token, writes down every request, and lets chosen ones go wrong.

mod call;
mod fault;
mod link;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{Request, Response, StatusCode, header};
use futures::stream;
use kube::{Client, Config};
use serde_json::json;

pub use call::Call;
pub use fault::{Fault, Faults};
pub use link::Link;

use crate::identity;
use crate::server::Server;

/// A reverse proxy to the apiserver.
pub struct Proxy {
    server: Server,
    calls: Calls,
    /// What is to go wrong.
    pub faults: Faults,
    /// How the connection is as a whole.
    pub link: Link,
    kubeconfig: PathBuf,
}

/// Every call so far, in the order of their answers.
#[derive(Clone, Default)]
pub struct Calls(Arc<Mutex<Vec<Call>>>);

impl Calls {
    /// All of them.
    pub fn all(&self) -> Vec<Call> {
        self.since(0)
    }

    /// How many there are now, for [`Calls::since`].
    pub fn mark(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Those after a mark.
    pub fn since(&self, mark: usize) -> Vec<Call> {
        self.0.lock().unwrap()[mark..].to_vec()
    }

    /// Those after a mark that `which` picks.
    pub fn count(&self, mark: usize, which: impl Fn(&Call) -> bool) -> usize {
        self.0.lock().unwrap()[mark..].iter().filter(|call| which(call)).count()
    }
}

#[derive(Clone)]
struct Relay {
    client: Client,
    calls: Calls,
    faults: Faults,
    link: Link,
}

/// Longest body that a write may have; the apiserver itself takes 3 MiB.
const LARGEST_BODY: usize = 4 << 20;

impl Proxy {
    /// Starts one that speaks to the apiserver as `upstream` says, and writes its kubeconfig into `folder`.
    pub async fn start(mut upstream: Config, folder: &Path) -> Self {
        // The operator sees every answer as it came: repeating is its own business.
        upstream.default_retry = false;
        let (calls, faults, link) = (Calls::default(), Faults::default(), Link::default());
        let kept = (calls.clone(), faults.clone(), link.clone());
        let router = async move {
            let client = Client::try_from(upstream).unwrap();
            let (calls, faults, link) = kept;
            let relay = Relay { client, calls, faults, link };
            Router::new().fallback(relay_one).with_state(relay)
        };
        let server = Server::start(0, router).await;
        let kubeconfig = folder.join("kubeconfig");
        let address = json!({"server": format!("http://{}", server.address())});
        std::fs::write(&kubeconfig, identity::kubeconfig_of(&address, &json!({}))).unwrap();
        Self { server, calls, faults, link, kubeconfig }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// A kubeconfig that leads to it.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// What came through.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }
}

async fn relay_one(State(relay): State<Relay>, request: Request<Body>) -> Response<Body> {
    let started = Instant::now();
    let (mut parts, body) = request.into_parts();
    let uri = &parts.uri;
    let mut call = Call::parse(parts.method.as_str(), uri.path(), uri.query().unwrap_or_default());
    let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    agent.unwrap_or_default().clone_into(&mut call.user_agent);
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE);
    };
    call.body = String::from_utf8_lossy(&body).into_owned();

    if relay.link.is_cut() {
        return lost();
    }
    if relay.link.refuses(&call) {
        relay.keep(call, started, 503);
        return plain(StatusCode::SERVICE_UNAVAILABLE);
    }
    let fault = relay.faults.take(&call);
    match &fault {
        Some(Fault::Refuse(code)) => {
            let refusal = StatusCode::from_u16(*code).unwrap();
            relay.keep(call, started, *code);
            relay.faults.happened();
            return plain(refusal);
        }
        Some(Fault::Delay(time)) => tokio::time::sleep(*time).await,
        _ => {}
    }

    // Hop by hop, and the client sets its own.
    for name in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    let sent = relay.client.send(Request::from_parts(parts, body.into())).await;
    if !matches!(fault, None | Some(Fault::Kill(_))) {
        relay.faults.happened();
    }
    let Ok(answer) = sent else {
        relay.keep(call, started, 0);
        return plain(StatusCode::BAD_GATEWAY);
    };
    let (mut parts, body) = answer.into_parts();
    parts.headers.remove(header::CONNECTION);
    parts.headers.remove(header::TRANSFER_ENCODING);
    let code = parts.status.as_u16();
    match fault {
        Some(Fault::Kill(kill)) => {
            kill();
            relay.faults.happened();
            call.delivered = false;
            relay.keep(call, started, code);
            lost()
        }
        Some(Fault::LoseAnswer) => {
            call.delivered = false;
            relay.keep(call, started, code);
            lost()
        }
        Some(Fault::AnswerAfterCommit(other)) => {
            call.delivered = false;
            relay.keep(call, started, code);
            plain(StatusCode::from_u16(other).unwrap())
        }
        _ => {
            let body = Body::new(body);
            let body = if call.verb == "watch" { relay.link.carry(body) } else { body };
            let state = call.is_state_write();
            relay.keep(call, started, code);
            if state {
                relay.link.let_go().await;
            }
            Response::from_parts(parts, body)
        }
    }
}

impl Relay {
    fn keep(&self, mut call: Call, started: Instant, status: u16) {
        call.status = status;
        call.took = started.elapsed();
        self.calls.0.lock().unwrap().push(call);
    }
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An answer that breaks off: the body fails before its first byte, which closes the connection.
fn lost() -> Response<Body> {
    let broken = stream::once(async { Err::<Bytes, _>(std::io::Error::other("the answer is lost")) });
    let mut response = Response::new(Body::from_stream(broken));
    response.headers_mut().insert(header::CONTENT_LENGTH, header::HeaderValue::from_static("1"));
    response
}
