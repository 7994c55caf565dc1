//! Fetching against real sockets and files.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use sha2::Digest as _;
use tempfile::TempDir;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use serin_agent::digest::Digest;
use serin_agent::error::FetchError;
use serin_agent::fetch::{Request, fetch};
use serin_agent::retry::Patience;
use serin_agent::source::Source;

const MODEL: &[u8] = b"weights, weights and a bias";

fn digest_of(bytes: &[u8]) -> Digest {
    Digest::of(sha2::Sha256::new_with_prefix(bytes))
}

struct Bench {
    directory: TempDir,
    request: Request,
}

impl Bench {
    fn new(uri: &str) -> Self {
        // The same as in main: a second installation fails and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let request = Request {
            source: uri.parse().unwrap(),
            digest: digest_of(MODEL),
            output: directory.path().join("models/model.onnx"),
            timeout: Duration::from_secs(20),
            patience: Patience { first_pause: Duration::from_millis(1), ..Patience::default() },
            ..Request::default()
        };
        Self { directory, request }
    }

    async fn fetch(&self) -> Result<(), FetchError> {
        fetch(&self.request).await
    }

    async fn fails(&self) -> (u8, String) {
        let error = self.fetch().await.unwrap_err();
        assert!(!self.request.output.exists());
        (error.exit_code(), error.to_string())
    }

    fn content(&self) -> Vec<u8> {
        fs::read(&self.request.output).unwrap()
    }

    /// Everything beside the output.
    fn leftovers(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.request.output.parent().unwrap()).unwrap();
        entries.map(|e| e.unwrap().path()).filter(|p| *p != self.request.output).collect()
    }
}

async fn serving(template: ResponseTemplate) -> (MockServer, String) {
    let server = MockServer::start().await;
    Mock::given(method("GET")).and(path("/m")).respond_with(template).mount(&server).await;
    let uri = format!("{}/m", server.uri());
    (server, uri)
}

/// Answers one connection after the other with the given bytes and closes it; gives the requests.
fn raw_server(answers: Vec<Vec<u8>>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/m", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let mut requests = vec![];
        for answer in answers {
            let (mut socket, _) = listener.accept().unwrap();
            let (mut request, mut byte) = (vec![], [0]);
            while !request.ends_with(b"\r\n\r\n") && socket.read(&mut byte).unwrap() == 1 {
                request.push(byte[0]);
            }
            requests.push(String::from_utf8(request).unwrap().to_lowercase());
            socket.write_all(&answer).unwrap();
        }
        requests
    });
    (uri, served)
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes(), body].concat()
}

#[tokio::test]
async fn a_verified_object_is_put_in_place() {
    let (_server, uri) = serving(ResponseTemplate::new(200).set_body_bytes(MODEL)).await;
    let bench = Bench::new(&uri);
    bench.fetch().await.unwrap();
    assert_eq!(bench.content(), MODEL);
    assert!(bench.leftovers().is_empty());
}

#[tokio::test]
async fn what_is_there_is_not_fetched_again() {
    let bench = Bench::new("http://127.0.0.1:1/m");
    fs::create_dir_all(bench.request.output.parent().unwrap()).unwrap();
    fs::write(&bench.request.output, MODEL).unwrap();
    bench.fetch().await.unwrap();
}

#[tokio::test]
async fn a_wrong_output_is_replaced() {
    let (_server, uri) = serving(ResponseTemplate::new(200).set_body_bytes(MODEL)).await;
    let bench = Bench::new(&uri);
    fs::create_dir_all(bench.request.output.parent().unwrap()).unwrap();
    fs::write(&bench.request.output, "an older model").unwrap();
    bench.fetch().await.unwrap();
    assert_eq!(bench.content(), MODEL);
}

#[tokio::test]
async fn a_wrong_digest_leaves_nothing_and_says_what_to_change() {
    let (server, uri) = serving(ResponseTemplate::new(200).set_body_bytes(&b"another model"[..])).await;
    let bench = Bench::new(&format!("{uri}?signature=secret"));
    let (code, message) = bench.fails().await;
    assert_eq!(code, 3);
    let (expected, got) = (digest_of(MODEL), digest_of(b"another model"));
    assert_eq!(
        message,
        format!(
            "digest mismatch: expected {expected}, got {got}; the object at {uri} changed or the digest in \
             spec.model.artifact is wrong"
        )
    );
    assert!(bench.leftovers().is_empty());
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_short_body_is_resumed() {
    let length = MODEL.len();
    let (uri, served) = raw_server(vec![
        answer(&format!("200 OK\r\nContent-Length: {length}\r\nETag: \"v1\""), &MODEL[..10]),
        answer(
            &format!(
                "206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes 10-{}/{length}",
                length - 10,
                length - 1
            ),
            &MODEL[10..],
        ),
    ]);
    let bench = Bench::new(&uri);
    bench.fetch().await.unwrap();
    assert_eq!(bench.content(), MODEL);
    let requests = served.join().unwrap();
    assert!(!requests[0].contains("range:"));
    assert!(
        requests[1].contains("range: bytes=10-") && requests[1].contains("if-range: \"v1\""),
        "{requests:?}"
    );
}

#[tokio::test]
async fn a_server_without_ranges_starts_over() {
    let length = MODEL.len();
    let head = format!("200 OK\r\nContent-Length: {length}");
    let (uri, served) = raw_server(vec![answer(&head, &MODEL[..10]), answer(&head, MODEL)]);
    let bench = Bench::new(&uri);
    bench.fetch().await.unwrap();
    assert_eq!(bench.content(), MODEL);
    assert_eq!(served.join().unwrap().len(), 2);
}

#[tokio::test]
async fn parts_of_two_versions_are_fetched_again_as_a_whole() {
    let length = MODEL.len();
    let rest = format!("206 Partial Content\r\nContent-Range: bytes 10-{}/{length}", length - 1);
    let (uri, _served) = raw_server(vec![
        answer(&format!("200 OK\r\nContent-Length: {length}"), b"0123456789"),
        answer(&rest, &MODEL[10..]),
        answer(&format!("200 OK\r\nContent-Length: {length}"), MODEL),
    ]);
    let bench = Bench::new(&uri);
    bench.fetch().await.unwrap();
    assert_eq!(bench.content(), MODEL);
}

#[tokio::test]
async fn the_next_run_goes_on_where_the_last_one_was_stopped() {
    let length = MODEL.len();
    let short = answer(&format!("200 OK\r\nContent-Length: {length}"), &MODEL[..10]);
    let (uri, _served) = raw_server(vec![short]);
    let mut bench = Bench::new(&uri);
    bench.request.patience.first_pause = Duration::from_secs(30);
    bench.request.timeout = Duration::from_millis(500);
    let (code, message) = bench.fails().await;
    assert_eq!(code, 5);
    assert!(message.contains("the time is up") && message.contains("10 bytes so far"), "{message}");

    let server = MockServer::start().await;
    let range = format!("bytes 10-{}/{length}", length - 1);
    let rest = ResponseTemplate::new(206).insert_header("content-range", range).set_body_bytes(&MODEL[10..]);
    Mock::given(header("range", "bytes=10-")).respond_with(rest).mount(&server).await;
    bench.request.source = format!("{}/m", server.uri()).parse().unwrap();
    bench.fetch().await.unwrap();
    assert_eq!(bench.content(), MODEL);
    assert!(bench.leftovers().is_empty());
}

#[tokio::test]
async fn not_found_and_forbidden_are_not_retried() {
    for status in [401, 403, 404, 410] {
        let (server, uri) = serving(ResponseTemplate::new(status)).await;
        let (code, message) = Bench::new(&uri).fails().await;
        assert_eq!(code, 4);
        assert!(message.contains(&status.to_string()), "{message}");
        assert_eq!(server.received_requests().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn server_errors_are_retried() {
    let server = MockServer::start().await;
    let broken = ResponseTemplate::new(500);
    Mock::given(path("/m")).respond_with(broken).up_to_n_times(2).with_priority(1).mount(&server).await;
    Mock::given(path("/m"))
        .respond_with(ResponseTemplate::new(200).set_body_bytes(MODEL))
        .mount(&server)
        .await;
    let bench = Bench::new(&format!("{}/m", server.uri()));
    bench.fetch().await.unwrap();
    assert_eq!(server.received_requests().await.unwrap().len(), 3);
}

#[tokio::test]
async fn retries_are_bounded() {
    let (server, uri) = serving(ResponseTemplate::new(503)).await;
    let (code, message) = Bench::new(&uri).fails().await;
    assert_eq!(code, 5);
    assert!(message.contains("503"), "{message}");
    assert_eq!(server.received_requests().await.unwrap().len(), 8);
}

#[tokio::test]
async fn an_unreachable_server_is_a_network_error() {
    let (code, message) = Bench::new("http://127.0.0.1:1/m").fails().await;
    assert_eq!(code, 5);
    assert!(message.to_lowercase().contains("refused") && !message.contains('\n'), "{message}");
}

#[tokio::test]
async fn too_large_objects_are_refused_announced_or_not() {
    let (_server, uri) = serving(ResponseTemplate::new(200).set_body_bytes(MODEL)).await;
    let (raw, _served) = raw_server(vec![answer("200 OK", MODEL)]);
    for uri in [uri, raw] {
        let mut bench = Bench::new(&uri);
        bench.request.max_bytes = MODEL.len() as u64 - 1;
        assert_eq!(bench.fails().await.0, 6);
        assert!(bench.leftovers().is_empty());
    }
}

#[tokio::test]
async fn the_size_limit_itself_is_allowed() {
    let (_server, uri) = serving(ResponseTemplate::new(200).set_body_bytes(MODEL)).await;
    let mut bench = Bench::new(&uri);
    bench.request.max_bytes = MODEL.len() as u64;
    bench.fetch().await.unwrap();
}

#[tokio::test]
async fn redirects_are_followed_within_the_scheme() {
    let (server, uri) = serving(ResponseTemplate::new(200).set_body_bytes(MODEL)).await;
    let to = |target: &str| ResponseTemplate::new(302).insert_header("location", target);
    Mock::given(path("/here")).respond_with(to(&uri)).mount(&server).await;
    Mock::given(path("/secure")).respond_with(to("https://127.0.0.1:1/m")).mount(&server).await;
    Mock::given(path("/round")).respond_with(to("/round")).mount(&server).await;
    Bench::new(&format!("{}/here", server.uri())).fetch().await.unwrap();
    let (code, message) = Bench::new(&format!("{}/secure", server.uri())).fails().await;
    assert!(code == 4 && message.contains("a redirect from http to https is not followed"), "{message}");
    let (code, message) = Bench::new(&format!("{}/round", server.uri())).fails().await;
    assert!(code == 4 && message.contains("more than 5 redirects"), "{message}");
}

#[tokio::test]
async fn files_of_a_mounted_volume_are_copied_and_verified() {
    let mut bench = Bench::new("file:///");
    let source = bench.directory.path().join("on the claim.onnx");
    bench.request.source = Source::File(source.clone());
    let (code, message) = bench.fails().await;
    assert!(code == 4 && message.contains("no such file"), "{message}");
    fs::write(&source, "another model").unwrap();
    assert_eq!(bench.fails().await.0, 3);
    bench.request.max_bytes = 3;
    assert_eq!(bench.fails().await.0, 6);
    bench.request.max_bytes = 1000;
    fs::write(&source, MODEL).unwrap();
    bench.fetch().await.unwrap();
    assert_eq!(bench.content(), MODEL);
    bench.request.source = Source::File(bench.directory.path().to_owned());
    bench.request.output = bench.directory.path().join("other");
    let (code, message) = bench.fails().await;
    assert!(code == 4 && message.contains("directory"), "{message}");
}

#[tokio::test]
async fn an_output_that_cannot_be_written_is_told_apart() {
    let (_server, uri) = serving(ResponseTemplate::new(200).set_body_bytes(MODEL)).await;
    let mut bench = Bench::new(&uri);
    fs::write(bench.directory.path().join("models"), "a file in the way").unwrap();
    assert_eq!(bench.fails().await.0, 7);
    bench.request.output = PathBuf::from("/");
    assert_eq!(bench.fetch().await.unwrap_err().exit_code(), 7);
}

#[tokio::test]
async fn two_at_once_both_succeed() {
    let slow = ResponseTemplate::new(200).set_body_bytes(MODEL).set_delay(Duration::from_millis(100));
    let (server, uri) = serving(slow).await;
    let bench = Bench::new(&uri);
    let (a, b) = tokio::join!(bench.fetch(), bench.fetch());
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
    assert_eq!(bench.content(), MODEL);
}

#[test]
fn uris_and_digests_are_checked() {
    for (text, shown) in [
        ("https://user:pw@store:8443/a/b?sig=x#f", "https://store:8443/a/b"),
        ("http://model-store.demo.svc/m", "http://model-store.demo.svc/m"),
        ("file:///mnt/my%20model", "file:///mnt/my model"),
    ] {
        assert_eq!(text.parse::<Source>().unwrap().to_string(), shown);
    }
    for text in ["ftp://b/m", "model.onnx", "file://host/m", ""] {
        assert!(text.parse::<Source>().is_err(), "{text}");
    }
    let digest = digest_of(MODEL).to_string();
    assert_eq!(digest.parse::<Digest>().unwrap(), digest_of(MODEL));
    for text in
        ["", "sha256:", "sha256:00", &digest[7..], &digest.replace("sha256", "sha512"), &format!("{digest}0")]
    {
        assert!(text.parse::<Digest>().is_err(), "{text}");
    }
}
