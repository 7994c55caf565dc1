//! A scripted Prometheus: raw samples of counters and gauges of the pods that the kubelet knows, and everything that a
//! metrics server can do wrong.

mod count;
mod query;
mod traffic;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Form, Query, State};
use axum::http::{Response, StatusCode, header};
use axum::routing::get;
use chrono::Utc;
use serde_json::{Value, json};

pub use traffic::Load;

use crate::kubelet::KnownPod;
use crate::server::Server;
use query::Selector;
use traffic::Traffic;

/// What it does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// 500 to every query.
    ServerError,
    /// No series, as after a typing error in a scrape configuration.
    Empty,
    /// NaN in every sample.
    NotNumbers,
    /// Every series twice, as when two scrape jobs find the same pods.
    Twice,
    /// 10 MiB of answer.
    Huge,
    /// Correct, 10 s later.
    Slow,
    /// A redirect to somewhere else.
    Redirect,
    /// An answer that is not JSON.
    NotJson,
    /// JSON of another shape.
    OtherShape,
    /// Samples stopped being scraped when the trouble began.
    Stale,
    /// 200 with `status: error`.
    QueryError,
}

/// A fake `/api/v1/query`.
pub struct Prometheus {
    shared: Arc<Shared>,
    server: Option<Server>,
    port: u16,
}

struct Shared {
    namespace: String,
    pods: Box<dyn Fn() -> Vec<KnownPod> + Send + Sync>,
    state: Mutex<Script>,
}

#[derive(Default)]
struct Script {
    traffic: Traffic,
    trouble: Trouble,
    since_ms: i64,
    queries: Vec<String>,
}

impl Prometheus {
    /// Starts one that knows the pods of `namespace`.
    pub async fn start(namespace: &str, pods: impl Fn() -> Vec<KnownPod> + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared {
            namespace: namespace.to_owned(),
            pods: Box::new(pods),
            state: Mutex::default(),
        });
        let mut prometheus = Self { shared, server: None, port: 0 };
        prometheus.up().await;
        prometheus
    }

    /// Listens (again, at the same port).
    pub async fn up(&mut self) {
        let shared = self.shared.clone();
        let router = Router::new()
            .route("/api/v1/query", get(by_get).post(by_post))
            .route("/-/ready", get(|| async { "ready" }))
            .with_state(shared);
        let server = Server::start(self.port, async { router }).await;
        self.port = server.address().port();
        self.server = Some(server);
    }

    /// Refuses connections, and breaks those there are.
    pub fn down(&mut self) {
        self.server = None;
    }

    /// Its address, whether it listens or not.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on, pods whose image, or the address of whose model, contains `image` have this traffic.
    pub fn load(&self, image: &str, load: Load) {
        self.shared.state.lock().unwrap().traffic.set(image, load, Utc::now().timestamp_millis());
    }

    /// From now on, a gauge has this value in pods whose image contains `image`.
    pub fn gauge(&self, series: &str, image: &str, value: f64) {
        let now = Utc::now().timestamp_millis();
        self.shared.state.lock().unwrap().traffic.set_gauge(series, image, value, now);
    }

    /// From now on this goes wrong.
    pub fn trouble(&self, trouble: Trouble) {
        let mut state = self.shared.state.lock().unwrap();
        state.trouble = trouble;
        state.since_ms = Utc::now().timestamp_millis();
    }

    /// How many queries there were.
    pub fn asked(&self) -> usize {
        self.shared.state.lock().unwrap().queries.len()
    }

    /// The queries after the first `mark`.
    pub fn queries_since(&self, mark: usize) -> Vec<String> {
        self.shared.state.lock().unwrap().queries[mark..].to_vec()
    }
}

#[derive(serde::Deserialize)]
struct Asked {
    query: String,
    time: Option<String>,
}

async fn by_get(State(shared): State<Arc<Shared>>, Query(asked): Query<Asked>) -> Response<Body> {
    shared.answer(&asked).await
}

async fn by_post(State(shared): State<Arc<Shared>>, Form(asked): Form<Asked>) -> Response<Body> {
    shared.answer(&asked).await
}

impl Shared {
    async fn answer(&self, asked: &Asked) -> Response<Body> {
        let (trouble, since_ms) = {
            let mut state = self.state.lock().unwrap();
            state.queries.push(asked.query.clone());
            (state.trouble, state.since_ms)
        };
        match trouble {
            Trouble::ServerError => {
                return respond(StatusCode::INTERNAL_SERVER_ERROR, "out of memory".into());
            }
            Trouble::NotJson => return respond(StatusCode::OK, "<html>Sign in to continue</html>".into()),
            Trouble::OtherShape => {
                return respond(StatusCode::OK, r#"{"status":"success","data":[1,2]}"#.into());
            }
            Trouble::QueryError => return failed("expanding series: context deadline exceeded"),
            Trouble::Redirect => {
                let mut response = respond(StatusCode::FOUND, String::new());
                let elsewhere = header::HeaderValue::from_static("http://127.0.0.1:9/login");
                response.headers_mut().insert(header::LOCATION, elsewhere);
                return response;
            }
            Trouble::Slow => tokio::time::sleep(Duration::from_secs(10)).await,
            _ => {}
        }
        let now = Utc::now().timestamp_millis();
        let at = asked.time.as_deref().and_then(query::time_ms).unwrap_or(now);
        if let Some(parts) = count::parse(&asked.query) {
            let of = |selector: &Selector| self.series(selector, at.min(now), trouble, since_ms);
            let result = if trouble == Trouble::Empty { Vec::new() } else { count::answer(&parts, of) };
            let body = json!({"status": "success", "data": {"resultType": "vector", "result": result}});
            return respond(StatusCode::OK, body.to_string());
        }
        let Some(selector) = Selector::parse(&asked.query) else {
            return failed(&format!("this server does not understand {}", asked.query));
        };
        let mut result = self.series(&selector, at.min(now), trouble, since_ms);
        match trouble {
            Trouble::Empty => result.clear(),
            Trouble::Twice => double(&mut result),
            Trouble::Huge => inflate(&mut result, at),
            _ => {}
        }
        let kind = if selector.range_ms.is_some() { "matrix" } else { "vector" };
        let body = json!({"status": "success", "data": {"resultType": kind, "result": result}});
        respond(StatusCode::OK, body.to_string())
    }

    fn series(&self, selector: &Selector, at_ms: i64, trouble: Trouble, since_ms: i64) -> Vec<Value> {
        let end_ms = if trouble == Trouble::Stale { at_ms.min(since_ms) } else { at_ms };
        // Without a range: the newest sample, if it is not older than Prometheus' lookback.
        let start_ms = at_ms - selector.range_ms.unwrap_or(300_000);
        let state = self.state.lock().unwrap();
        let mut result = Vec::new();
        for pod in (self.pods)() {
            let names = selector.series.iter();
            let found = names.flat_map(|name| {
                let series = state.traffic.of(&pod, name, start_ms, end_ms);
                series.into_iter().map(move |(labels, samples)| (name, labels, samples))
            });
            for (name, mut labels, samples) in found {
                labels.insert("namespace".to_owned(), self.namespace.clone());
                labels.insert("pod".to_owned(), pod.name.clone());
                if samples.is_empty() || !selector.matches(&labels) {
                    continue;
                }
                labels.insert("__name__".to_owned(), name.clone());
                let value = |value: f64| match trouble {
                    Trouble::NotNumbers => "NaN".to_owned(),
                    _ => value.to_string(),
                };
                let pairs: Vec<Value> =
                    samples.iter().map(|(at_ms, v)| json!([*at_ms as f64 / 1000.0, value(*v)])).collect();
                result.push(match selector.range_ms {
                    Some(_) => json!({"metric": labels, "values": pairs}),
                    None => json!({"metric": labels, "value": pairs.last()}),
                });
            }
        }
        result
    }
}

fn respond(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn failed(message: &str) -> Response<Body> {
    let body = json!({"status": "error", "errorType": "execution", "error": message});
    respond(StatusCode::UNPROCESSABLE_ENTITY, body.to_string())
}

fn double(result: &mut Vec<Value>) {
    let mut again = result.clone();
    for series in &mut again {
        series["metric"]["job"] = json!("the-other-job");
    }
    result.append(&mut again);
}

/// A correct answer with far too much in it.
fn inflate(result: &mut Vec<Value>, at_ms: i64) {
    let seconds = at_ms as f64 / 1000.0;
    for number in 0..100_000 {
        result.push(json!({
            "metric": {"__name__": "http_requests_total", "pod": "x", "code": "200", "path": format!("/{number:060}")},
            "values": [[seconds, "1"]],
        }));
    }
}
