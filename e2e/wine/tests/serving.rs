//! A server in this process, under load from this process.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

use std::{net::SocketAddr, path::Path, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, http::HeaderName};
use serde_json::Value;
use serin_wine::{
    data::Taste,
    load,
    model::{Model, digest, short},
    pool::{Outcome, Pool},
    serve::{self, DIGEST_HEADER},
    train::{Params, train},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

const LIMIT: Duration = Duration::from_secs(30);

struct Server {
    address: SocketAddr,
    digest: String,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
}

fn shallow() -> Params {
    Params { features: 11, seed: 1, max_depth: 2, min_samples: 1, trees: 1, neighbours: None, copies: 0 }
}

async fn start(params: &Params, drain: Duration) -> Server {
    let file = train(params).unwrap().to_bytes().unwrap();
    let (model, digest) = (Model::from_bytes(&file).unwrap(), digest(&file));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let full = digest.clone();
    let ended = tokio::spawn(async move {
        let stopped = async { stopped.await.unwrap_or_default() };
        serve::serve(model, &full, "pod-1", drain, listener, stopped).await
    });
    Server { address, digest: short(&digest).to_owned(), stop, ended }
}

async fn ask(pool: &Pool, method: Method, path: &str, body: &str, header: &HeaderName) -> Outcome {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "wine")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap();
    pool.send(request, header, LIMIT).await
}

fn row(len: usize) -> String {
    format!("[{}]", vec!["1.5"; len].join(","))
}

/// The whole answer as text, over a connection of its own.
async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: wine\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

fn options(address: SocketAddr, report: &Path) -> load::Options {
    load::Options {
        url: format!("http://{address}/predict"),
        host: Some("wine.example".into()),
        header: None,
        rps: 200,
        seconds: 30,
        concurrency: 8,
        max_requests: Some(100),
        report: report.to_owned(),
        every_ms: 100,
        wines: Taste::All,
        labelled: false,
        sessions: 0,
        seed: 1,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_signed_and_counted() {
    let server = start(&shallow(), Duration::ZERO).await;
    let pool = Pool::new(server.address);
    let one = format!(r#"{{"features":{}}}"#, row(11));
    let many = format!(r#"{{"features":[{},{}]}}"#, row(11), row(13));
    let short = format!(r#"{{"features":{}}}"#, row(10));
    for (path, body, code) in [
        ("/predict", one.as_str(), 200),
        ("/predict", &many, 200),
        ("/predict", &short, 400),
        ("/predict", r#"{"features":[]}"#, 400),
        ("/predict", "{", 400),
        ("/nowhere", "", 404),
    ] {
        let outcome = ask(&pool, Method::POST, path, body, &DIGEST_HEADER).await;
        assert_eq!(
            outcome,
            Outcome { header: Some(server.digest.clone()), cookie: None, result: Ok(code) },
            "{body}"
        );
    }
    let pod = ask(&pool, Method::GET, "/readyz", "", &HeaderName::from_static("x-pod")).await;
    assert_eq!(pod, Outcome { header: Some("pod-1".into()), cookie: None, result: Ok(200) });

    let metrics = get(server.address, "/metrics").await;
    assert!(metrics.contains("content-type: application/openmetrics-text; version=1.0.0"), "{metrics}");
    for line in [
        r#"http_requests_total{code="200"} 2"#,
        r#"http_requests_total{code="400"} 3"#,
        r#"http_requests_total{code="404"} 1"#,
        "http_request_duration_seconds_count 6",
        &format!(r#"model_info{{digest="{}",features="11"}} 1"#, server.digest),
    ] {
        assert!(metrics.lines().any(|have| have == line), "{line} is missing in\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drain_answers_then_ends() {
    let server = start(&shallow(), Duration::from_secs(1)).await;
    let pool = Pool::new(server.address);
    let body = format!(r#"{{"features":{}}}"#, row(11));
    let connection = HeaderName::from_static("connection");
    let before = ask(&pool, Method::POST, "/predict", &body, &connection).await;
    assert_eq!(before, Outcome { header: None, cookie: None, result: Ok(200) });

    server.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(get(server.address, "/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(get(server.address, "/healthz").await.starts_with("HTTP/1.1 200"));
    let during = ask(&pool, Method::POST, "/predict", &body, &connection).await;
    assert_eq!(during, Outcome { header: Some("close".into()), cookie: None, result: Ok(200) });

    server.ended.await.unwrap().unwrap();
    let after = ask(&pool, Method::POST, "/predict", &body, &connection).await;
    assert_eq!(after.result, Err("connect"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_finished() {
    // Enough arithmetic to last beyond the stop, with and without optimization.
    let copies = if cfg!(debug_assertions) { 5 } else { 100 };
    let server = start(&Params { neighbours: Some(5), copies, ..shallow() }, Duration::ZERO).await;
    let rows = vec![row(11); 300].join(",");
    let pool = Pool::new(server.address);
    let slow = tokio::spawn(async move {
        ask(&pool, Method::POST, "/predict", &format!(r#"{{"features":[{rows}]}}"#), &DIGEST_HEADER).await
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!slow.is_finished(), "the batch is too small to be in flight");
    server.stop.send(()).unwrap();
    assert_eq!(slow.await.unwrap().result, Ok(200));
    server.ended.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn load_attributes_every_request() {
    let bad = Params { features: 12, max_depth: 7, min_samples: 4, ..shallow() };
    let server = start(&bad, Duration::ZERO).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report");
    let report = load::run(&options(server.address, &path), std::future::pending()).await.unwrap();
    assert_eq!(report.sent, 100);
    assert_eq!(report.in_flight, 0);
    assert!(report.transport.is_empty(), "{report:?}");
    let version = &report.by_digest[&server.digest];
    assert_eq!(version.total, 100);
    assert_eq!(version.codes.values().sum::<u64>(), 100);
    assert!((10..60).contains(&version.codes[&500]), "{report:?}");

    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 2);
    let last = lines.last().unwrap();
    assert_eq!(last["type"], "final");
    assert_eq!(last["stopped_by"], "max-requests");
    assert!(lines.iter().rev().skip(1).all(|line| line["type"] == "progress"));
    let metrics = get(server.address, "/metrics").await;
    let counted = format!("http_requests_total{{code=\"500\"}} {}", version.codes[&500]);
    assert!(metrics.contains(&counted), "{counted} is missing in\n{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn load_tells_the_gateway_from_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream
                .write_all(b"HTTP/1.1 503 Sorry\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await;
        }
    });
    let few = |address| load::Options { max_requests: Some(5), ..options(address, &dir.path().join("r")) };
    let report = load::run(&few(address), std::future::pending()).await.unwrap();
    assert_eq!(report.by_digest["gateway"].codes[&503], 5);
    gateway.abort();
    assert!(gateway.await.unwrap_err().is_cancelled());
    let report = load::run(&few(address), std::future::pending()).await.unwrap();
    assert_eq!(report.by_digest["none"].transport["connect"], 5);
    assert_eq!(report.sent, 5);
}

/// Feedback: what would have been right comes with the question, and the server counts its mistakes.
#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_counted_where_the_right_answer_is_known() {
    let server = start(&shallow(), Duration::ZERO).await;
    let pool = Pool::new(server.address);
    for (body, code) in [
        (format!(r#"{{"features":{},"good":true}}"#, row(11)), 200),
        (format!(r#"{{"features":{},"good":false}}"#, row(11)), 200),
        (format!(r#"{{"features":[{r},{r}],"good":[true,true]}}"#, r = row(11)), 200),
        (format!(r#"{{"features":{}}}"#, row(11)), 200),
        (format!(r#"{{"features":[{}],"good":[true,false]}}"#, row(11)), 400),
    ] {
        let outcome = ask(&pool, Method::POST, "/predict", &body, &DIGEST_HEADER).await;
        assert_eq!(outcome.result, Ok(code), "{body}");
    }
    let text = get(server.address, "/metrics").await;
    let counted = |series: &str| -> u64 {
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok()).unwrap()
    };
    assert_eq!(counted("wine_predictions_labelled_total"), 4);
    // The same wine four times: once or thrice wrong, whatever the model says.
    assert!([1, 3].contains(&counted("wine_predictions_wrong_total")), "{text}");
}
