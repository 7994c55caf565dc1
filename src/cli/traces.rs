//! Traces, in a build with the feature `otel`: each reconcile with its steps, by OTLP over HTTP, to where the variables of the
//! OpenTelemetry specification say (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, …). Without an endpoint there are none.
//! Source: <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::runtime::Handle;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::Failure;

/// What a trace is made of: our own spans, and none of the libraries'.
const SPANS: &str = "off,serin_operator=debug";
/// For one batch, connect to last byte.
const DEADLINE: Duration = Duration::from_secs(5);
/// Largest answer of a collector; it has nothing to say.
const ANSWER_MAX: usize = 64 << 10;

/// What has not been sent yet. It is sent when this goes.
pub struct Traces(SdkTracerProvider);

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(DEADLINE) {
            eprintln!("traces: the last ones were not sent: {error}");
        }
    }
}

/// The layer beside the log that makes them, and who sends them; nothing where nobody wants them.
pub fn start(
    wanted: bool,
    runtime: &Handle,
) -> Result<(Option<impl Layer<Registry> + use<>>, Option<Traces>), Failure> {
    Ok(if wanted { Some(begin(None, runtime.clone())?) } else { None }.unzip())
}

/// To this address, or to where the variables say.
fn begin(endpoint: Option<&str>, runtime: Handle) -> Result<(impl Layer<Registry>, Traces), Failure> {
    let client = Client { http: serin_operator::http_client(DEADLINE)?, runtime };
    let exporter = SpanExporter::builder().with_http().with_http_client(client);
    let exporter = match endpoint {
        Some(endpoint) => exporter.with_endpoint(endpoint),
        None => exporter,
    };
    let exporter = exporter.build()?;
    // `OTEL_SERVICE_NAME` is stronger.
    let name = std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| "serin".to_owned());
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_service_name(name).with_attribute(version).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("serin"));
    Ok((layer.with_filter(EnvFilter::new(SPANS)), Traces(provider)))
}

/// The operator's own client, with its roots and its resolver. The exporter has a thread without a runtime.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = send(self.http.clone(), request.try_into()?);
        self.runtime.spawn(sent).await?
    }
}

async fn send(http: reqwest::Client, request: reqwest::Request) -> Result<Response<Bytes>, HttpError> {
    let mut answer = http.execute(request).await?;
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > ANSWER_MAX {
            return Err("the collector answered with more than 64 KiB".into());
        }
        body.extend_from_slice(&piece);
    }
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use opentelemetry_proto::tonic::{
        collector::trace::v1::ExportTraceServiceRequest,
        trace::v1::{Span, status::StatusCode},
    };
    use prost::Message as _;
    use tracing_subscriber::layer::SubscriberExt as _;
    use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

    use super::*;

    /// What a collector is sent.
    async fn received(server: &MockServer) -> Vec<Span> {
        let all = server.received_requests().await.unwrap().into_iter();
        let batches = all.map(|r| ExportTraceServiceRequest::decode(r.body.as_slice()).unwrap());
        let resources: Vec<_> = batches.flat_map(|batch| batch.resource_spans).collect();
        for resource in &resources {
            let attributes = &resource.resource.as_ref().unwrap().attributes;
            assert!(attributes.iter().any(|a| a.key == "service.name"), "{attributes:?}");
        }
        resources.into_iter().flat_map(|r| r.scope_spans).flat_map(|s| s.spans).collect()
    }

    fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
        spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name}: {spans:?}"))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_collector_is_sent_the_operators_spans_and_what_went_wrong() {
        let server = MockServer::start().await;
        Mock::given(matchers::path("/v1/traces"))
            .respond_with(ResponseTemplate::new(200))
            .mount(&server)
            .await;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (layer, traces) = begin(Some(&format!("{}/v1/traces", server.uri())), Handle::current()).unwrap();
        let log = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(log, || {
            let reconcile = tracing::debug_span!(
                target: "serin_operator::guard", "reconcile", name = "wine", otel.status_code = tracing::field::Empty
            );
            reconcile.in_scope(|| {
                tracing::debug_span!(target: "serin_operator::write", "patch").in_scope(|| ());
                tracing::debug_span!(target: "hyper", "of a library").in_scope(|| ());
            });
            reconcile.record("otel.status_code", "ERROR");
        });
        tokio::task::spawn_blocking(|| drop(traces)).await.unwrap();

        let spans = received(&server).await;
        assert_eq!(spans.len(), 2, "{spans:?}");
        let (reconcile, patch) = (named(&spans, "reconcile"), named(&spans, "patch"));
        assert_eq!(patch.parent_span_id, reconcile.span_id);
        assert_eq!(patch.trace_id, reconcile.trace_id);
        assert_eq!(reconcile.status.as_ref().unwrap().code(), StatusCode::Error);
        assert!(reconcile.attributes.iter().any(|a| a.key == "name"), "{reconcile:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_collector_that_is_not_there_holds_nobody() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (layer, traces) = begin(Some("http://127.0.0.1:1/v1/traces"), Handle::current()).unwrap();
        let log = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(log, || {
            for _ in 0..5000 {
                tracing::debug_span!(target: "serin_operator::guard", "reconcile").in_scope(|| ());
            }
        });
        let given_up = tokio::task::spawn_blocking(|| drop(traces));
        tokio::time::timeout(2 * DEADLINE, given_up).await.unwrap().unwrap();
    }
}
