//! The server: predictions, probes, metrics, and an end that loses no request.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, Request, State, rejection::JsonRejection},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use clap::Args;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    data::MEASURED,
    metrics::{CONTENT_TYPE, Metrics},
    model::{Model, short},
    past::Past,
    stream,
};

/// The header that tells which model answered.
pub const DIGEST_HEADER: HeaderName = HeaderName::from_static("x-model-digest");
const POD_HEADER: HeaderName = HeaderName::from_static("x-pod");
const MAX_ROWS: usize = 1_000;
const MAX_BODY: usize = 1 << 20;
/// After the drain, a request that still has not finished must not hold the process until it is killed.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// How to serve.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The model file
    #[arg(long)]
    pub model: PathBuf,
    /// Where to listen
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// How long requests are still accepted after SIGTERM, while readiness already fails
    #[arg(long, default_value_t = 5)]
    pub drain_seconds: u32,
    /// The name in the `x-pod` header
    #[arg(long, env = "HOSTNAME", default_value = "unknown")]
    pub pod: String,
}

#[derive(Debug)]
struct App {
    model: Model,
    metrics: Metrics,
    past: Past,
    digest: HeaderValue,
    pod: HeaderValue,
    draining: AtomicBool,
}

/// One row or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Features {
    One(Vec<f64>),
    Many(Vec<Vec<f64>>),
}

#[derive(Deserialize)]
struct Query {
    features: Features,
    /// What is known to be right, for feedback: one word for each row.
    #[serde(default)]
    good: Option<Labels>,
}

/// For one row or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Labels {
    One(bool),
    Many(Vec<bool>),
}

/// Serves `model` until `stop` resolves and the drain is over.
pub async fn serve(
    model: Model,
    digest: &str,
    pod: &str,
    drain: Duration,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let header = |text: &str| HeaderValue::from_str(text).map_err(std::io::Error::other);
    let metrics = Metrics::new(short(digest), model.header.features);
    let text = metrics.text().map_err(std::io::Error::other)?;
    let app = Arc::new(App {
        metrics,
        past: Past::beginning(SystemTime::now(), text),
        digest: header(short(digest))?,
        pod: header(pod)?,
        model,
        draining: AtomicBool::new(false),
    });
    let (drained, over) = tokio::sync::oneshot::channel();
    let state = app.clone();
    let shutdown = async move {
        stop.await;
        // Readiness fails first; whoever has not heard of it yet is still answered.
        state.draining.store(true, Ordering::Relaxed);
        tokio::time::sleep(drain).await;
        // Nobody listens when the server has already ended; then nothing is left to cut.
        drained.send(()).ok();
    };
    let server = axum::serve(listener, router(&app)).with_graceful_shutdown(shutdown).into_future();
    let cut = async move {
        if over.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(LAST_REQUESTS).await;
    };
    tokio::select! {
        served = server => served,
        () = cut => Ok(()),
    }
}

fn router(app: &Arc<App>) -> Router {
    let measured = Router::new()
        .route("/predict", post(predict))
        .route("/stream/{lines}/{apart}", post(stream::answer))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(app.clone(), measure));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/metrics/late/{seconds}", get(late_metrics))
        .route("/metrics/stuck", get(stuck_metrics))
        .route("/metrics/still", get(still_metrics))
        .fallback_service(measured.with_state(app.clone()))
        .layer(from_fn_with_state(app.clone(), stamp))
        .with_state(app.clone())
}

/// Names the model and the pod on every answer, errors included.
async fn stamp(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(DIGEST_HEADER, app.digest.clone());
    headers.insert(POD_HEADER, app.pod.clone());
    if app.draining.load(Ordering::Relaxed) {
        // Clients that keep connections open learn here, with an answer in hand, to open another one
        // elsewhere; without this the close at the end of the drain could cross a request.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn measure(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let response = next.run(request).await;
    app.metrics.answered(response.status().as_u16(), start.elapsed());
    response
}

async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.draining.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    exposed(&app, |text| Some(text.to_owned()))
}

/// As they were so long ago.
async fn late_metrics(State(app): State<Arc<App>>, Path(seconds): Path<u16>) -> Response {
    exposed(&app, |text| app.past.late(SystemTime::now(), text, Duration::from_secs(seconds.into())))
}

/// Values and times stand still.
async fn stuck_metrics(State(app): State<Arc<App>>) -> Response {
    exposed(&app, |_| Some(app.past.stuck()))
}

/// Values stand still, without a time.
async fn still_metrics(State(app): State<Arc<App>>) -> Response {
    exposed(&app, |_| Some(app.past.still().to_owned()))
}

/// The text of a scrape, after what is made of it.
fn exposed(app: &App, make: impl FnOnce(&str) -> Option<String>) -> Response {
    match app.metrics.text().map(|text| make(&text)) {
        Ok(Some(text)) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Ok(None) => refuse(StatusCode::SERVICE_UNAVAILABLE, "nothing is known of then"),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn predict(State(app): State<Arc<App>>, query: Result<Json<Query>, JsonRejection>) -> Response {
    let (features, labels) = match query {
        Ok(Json(Query { features, good })) => (features, good),
        Err(rejection) => return refuse(rejection.status(), &rejection.body_text()),
    };
    let rows = match features {
        Features::One(row) => vec![row],
        Features::Many(rows) => rows,
    };
    let labels = match labels {
        None => Vec::new(),
        Some(Labels::One(good)) => vec![good],
        Some(Labels::Many(good)) => good,
    };
    if !labels.is_empty() && labels.len() != rows.len() {
        return refuse(StatusCode::BAD_REQUEST, &format!("{} labels for {} rows", labels.len(), rows.len()));
    }
    if rows.is_empty() || rows.len() > MAX_ROWS {
        return refuse(StatusCode::BAD_REQUEST, &format!("1 to {MAX_ROWS} rows, got {}", rows.len()));
    }
    // Fewer columns than the service promises to take is the client's error. More needed by the
    // model than the client sent is the model's.
    if let Some(row) = rows.iter().find(|row| row.len() < MEASURED) {
        return refuse(StatusCode::BAD_REQUEST, &format!("{MEASURED} features expected, got {}", row.len()));
    }
    // A heavy model computes for milliseconds: not on the threads that answer the probes.
    let model = app.clone();
    let scores = tokio::task::spawn_blocking(move || {
        rows.iter().map(|row| model.model.score(row)).collect::<Result<Vec<f64>, _>>()
    });
    match scores.await {
        Ok(Ok(scores)) => {
            for (score, good) in scores.iter().zip(labels) {
                app.metrics.labelled((*score >= 0.5) == good);
            }
            let predictions: Vec<_> =
                scores.iter().map(|score| json!({ "good": *score >= 0.5, "score": score })).collect();
            Json(json!({ "predictions": predictions })).into_response()
        }
        Ok(Err(error)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn refuse(code: StatusCode, reason: &str) -> Response {
    (code, Json(json!({ "error": reason }))).into_response()
}
