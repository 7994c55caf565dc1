//! `/livez`, `/readyz` and `/metrics`.

use std::{future::Future, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;

use crate::context::Context;

/// Serves until `stop`.
pub async fn serve(
    listener: TcpListener,
    ctx: Arc<Context>,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let app = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(ctx);
    if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "the health server ended");
    }
}

async fn ready(State(ctx): State<Arc<Context>>) -> impl IntoResponse {
    let all = ctx.caches();
    let code = if all.iter().all(|(_, ok)| *ok) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut lines = String::new();
    for (what, ok) in all {
        lines.push_str(if ok { "ok " } else { "waiting " });
        lines.push_str(what);
        lines.push('\n');
    }
    (code, lines)
}

async fn metrics(State(ctx): State<Arc<Context>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], ctx.telemetry.text())
}
