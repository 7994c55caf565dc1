//! A server that speaks as much S3 as the agent needs, for tests: it checks no signatures, keeps everything in memory,
//! and fails as it is told to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

/// How to fail.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// With this status and code.
    Status(u16, &'static str),
    /// After half of the body the connection breaks.
    Reset,
    /// Half of the body, as if it were all of it.
    Short,
    /// As many bytes as asked for, but others.
    Wrong,
    /// Late.
    Slow(Duration),
}

struct Rule {
    method: Method,
    path: String,
    times: usize,
    fault: Fault,
}

#[derive(Default)]
struct Contents {
    objects: BTreeMap<String, (Bytes, SystemTime)>,
    uploads: BTreeMap<String, BTreeMap<usize, Bytes>>,
    rules: Vec<Rule>,
    seen: Vec<String>,
}

/// A running server. It ends with the test's process.
#[derive(Clone)]
pub struct S3 {
    contents: Arc<Mutex<Contents>>,
    pub endpoint: String,
}

impl S3 {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { contents: Arc::default(), endpoint };
        let app = Router::new().fallback(answer).with_state(server.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, app).await.unwrap();
            });
        });
        server
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap()
    }

    /// Fails the next `times` requests of this method whose path and query contain this.
    pub fn fail(&self, method: Method, path: &str, times: usize, fault: Fault) {
        self.lock().rules.push(Rule { method, path: path.to_owned(), times, fault });
    }

    /// Fails no more.
    pub fn heal(&self) {
        self.lock().rules.clear();
    }

    /// `BUCKET/KEY`.
    pub fn put(&self, path: &str, bytes: impl Into<Bytes>) {
        self.lock().objects.insert(path.to_owned(), (bytes.into(), SystemTime::now()));
    }

    pub fn get(&self, path: &str) -> Option<Bytes> {
        self.lock().objects.get(path).map(|(bytes, _)| bytes.clone())
    }

    pub fn paths(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    /// Uploads that are neither complete nor aborted.
    pub fn unfinished(&self) -> usize {
        self.lock().uploads.len()
    }

    /// `METHOD PATH?QUERY RANGE` of every request so far, in order, and forgets them.
    pub fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().seen)
    }
}

async fn answer(State(server): State<S3>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = decode(parts.uri.path().trim_start_matches('/'));
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let range = parts.headers.get("range").map_or("", |range| range.to_str().unwrap()).to_owned();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let fault = {
        let mut contents = server.lock();
        contents.seen.push(format!("{} {path}?{query} {range}", parts.method).trim_end().to_owned());
        let place = format!("{path}?{query}");
        let rule = contents
            .rules
            .iter_mut()
            .find(|rule| rule.times > 0 && rule.method == parts.method && place.contains(&rule.path));
        rule.map(|rule| {
            rule.times -= 1;
            rule.fault
        })
    };
    match fault {
        Some(Fault::Status(status, code)) => return error(status, code),
        Some(Fault::Slow(pause)) => tokio::time::sleep(pause).await,
        Some(Fault::Reset | Fault::Short | Fault::Wrong) | None => {}
    }
    let mut contents = server.lock();
    match parts.method {
        Method::GET if query.contains("list-type=2") => contents.list(&path, &query),
        Method::GET | Method::HEAD => contents.read(&path, &range, fault),
        Method::PUT | Method::POST if has_body_fault(fault) => broken(Bytes::new()),
        Method::PUT => contents.write(path, &query, &parts.headers, body),
        Method::POST => contents.multipart(&path, &query),
        Method::DELETE => {
            if let Some(id) = value(&query, "uploadId") {
                contents.uploads.remove(&id);
            } else {
                contents.objects.remove(&path);
            }
            StatusCode::NO_CONTENT.into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

fn has_body_fault(fault: Option<Fault>) -> bool {
    matches!(fault, Some(Fault::Reset))
}

impl Contents {
    fn read(&self, path: &str, range: &str, fault: Option<Fault>) -> Response {
        let Some((bytes, written)) = self.objects.get(path) else { return error(404, "NoSuchKey") };
        let total = bytes.len();
        let (from, to) = match range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) {
            Some((from, to)) => {
                (from.parse().unwrap(), to.parse::<usize>().unwrap().saturating_add(1).min(total))
            }
            None => (0, total),
        };
        if from >= to && !range.is_empty() {
            return error(416, "InvalidRange");
        }
        let mut body = bytes.slice(from..to);
        let status = if range.is_empty() { 200 } else { 206 };
        let mut builder = Response::builder()
            .status(status)
            .header("etag", format!("\"{total}\""))
            .header("last-modified", http_date(*written))
            .header("content-range", format!("bytes {from}-{}/{total}", to.saturating_sub(1)));
        match fault {
            Some(Fault::Reset) => {
                let half = body.slice(..body.len() / 2);
                return builder.header("content-length", body.len()).body(breaking(half)).unwrap();
            }
            Some(Fault::Short) => body.truncate(body.len() / 2),
            Some(Fault::Wrong) => body = body.iter().map(|byte| !byte).collect::<Vec<_>>().into(),
            Some(Fault::Status(..) | Fault::Slow(_)) | None => {}
        }
        builder = builder.header("content-length", body.len());
        builder.body(Body::from(body)).unwrap()
    }

    fn write(&mut self, path: String, query: &str, headers: &HeaderMap, body: Bytes) -> Response {
        let announced: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
        assert_eq!(announced, body.len(), "a client that does not count");
        if let (Some(part), Some(id)) = (value(query, "partNumber"), value(query, "uploadId")) {
            let Some(upload) = self.uploads.get_mut(&id) else { return error(404, "NoSuchUpload") };
            upload.insert(part.parse().unwrap(), body);
            return ([("etag", format!("\"{part}\""))], "").into_response();
        }
        let etag = format!("\"{}\"", body.len());
        self.objects.insert(path, (body, SystemTime::now()));
        ([("etag", etag)], "").into_response()
    }

    fn multipart(&mut self, path: &str, query: &str) -> Response {
        let Some(id) = value(query, "uploadId") else {
            let id = format!("upload-{}", self.seen.len());
            self.uploads.insert(id.clone(), BTreeMap::new());
            let (bucket, key) = path.split_once('/').unwrap();
            return format!(
                "<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>\
                 </InitiateMultipartUploadResult>"
            )
            .into_response();
        };
        let Some(parts) = self.uploads.remove(&id) else { return error(404, "NoSuchUpload") };
        assert!(parts.keys().copied().eq(1..=parts.len()), "parts are missing: {:?}", parts.keys());
        let body: Vec<u8> = parts.into_values().flatten().collect();
        self.objects.insert(path.to_owned(), (body.into(), SystemTime::now()));
        format!(
            "<CompleteMultipartUploadResult><Key>{path}</Key><ETag>&quot;whole&quot;</ETag>\
             </CompleteMultipartUploadResult>"
        )
        .into_response()
    }

    fn list(&self, bucket: &str, query: &str) -> Response {
        let prefix =
            format!("{}/{}", bucket.trim_end_matches('/'), value(query, "prefix").unwrap_or_default());
        let mut text = "<ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
        for (path, (bytes, written)) in self.objects.iter().filter(|(path, _)| path.starts_with(&prefix)) {
            let key = path.split_once('/').unwrap().1;
            write!(
                text,
                "<Contents><Key>{key}</Key><LastModified>{}</LastModified><ETag>x</ETag><Size>{}</Size></Contents>",
                timestamp(*written),
                bytes.len()
            )
            .unwrap();
        }
        (text + "</ListBucketResult>").into_response()
    }
}

fn error(status: u16, code: &str) -> Response {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

fn broken(half: Bytes) -> Response {
    Response::builder().header("content-length", half.len() + 1).body(breaking(half)).unwrap()
}

/// A body whose stream ends in an error, at which the server closes the connection.
fn breaking(half: Bytes) -> Body {
    let broken = Err(std::io::Error::other("as told"));
    Body::from_stream(futures::stream::iter([Ok(half), broken]))
}

fn value(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| decode(value))
}

fn decode(text: &str) -> String {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = after;
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn seconds(at: SystemTime) -> (u64, u32) {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    (since.as_secs(), since.subsec_millis())
}

/// Always the same day: only the order within a test matters.
fn timestamp(at: SystemTime) -> String {
    let (seconds, millis) = seconds(at);
    let day = seconds % 86_400;
    format!("2026-01-01T{:02}:{:02}:{:02}.{millis:03}Z", day / 3600, day / 60 % 60, day % 60)
}

fn http_date(at: SystemTime) -> String {
    let day = seconds(at).0 % 86_400;
    format!("Thu, 01 Jan 2026 {:02}:{:02}:{:02} GMT", day / 3600, day / 60 % 60, day % 60)
}
