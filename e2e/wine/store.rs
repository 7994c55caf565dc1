//! A file server for model files: whole files and single ranges, nothing outside its folder.

use std::{
    io::SeekFrom,
    net::SocketAddr,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    extract::{Path as UrlPath, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use clap::Args;
use tokio::{
    io::{AsyncReadExt as _, AsyncSeekExt as _},
    net::TcpListener,
};
use tokio_util::io::ReaderStream;

/// What to serve.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The folder of the files
    #[arg(long)]
    pub dir: PathBuf,
    /// Where to listen
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
}

/// Bytes asked for by a `Range` header.
#[derive(Debug, PartialEq, Eq)]
enum Range {
    /// No range, or one this server may ignore.
    Whole,
    /// First and last byte, both included.
    Part(u64, u64),
    /// A range that the file does not have.
    Outside,
}

/// Serves the files under `dir` until `stop` resolves.
pub async fn serve(
    dir: &Path,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let root = Arc::new(dir.canonicalize()?);
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/{*path}", get(file))
        .with_state(root);
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
}

async fn file(
    State(root): State<Arc<PathBuf>>,
    UrlPath(path): UrlPath<String>,
    headers: HeaderMap,
) -> Response {
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    match open(&root, &path, range).await {
        Ok(response) => response,
        Err(code) => code.into_response(),
    }
}

async fn open(root: &Path, path: &str, range: Option<&str>) -> Result<Response, StatusCode> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if !plain {
        return Err(StatusCode::FORBIDDEN);
    }
    let found = tokio::fs::canonicalize(root.join(path)).await.map_err(|_| StatusCode::NOT_FOUND)?;
    // A link may lead out of the folder even when the path does not.
    if !found.starts_with(root) {
        return Err(StatusCode::FORBIDDEN);
    }
    let mut file = tokio::fs::File::open(&found).await.map_err(|_| StatusCode::NOT_FOUND)?;
    let meta = file.metadata().await.map_err(|_| StatusCode::NOT_FOUND)?;
    if !meta.is_file() {
        return Err(StatusCode::NOT_FOUND);
    }
    let len = meta.len();
    let response = Response::builder()
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_TYPE, "application/octet-stream");
    let answer = match range.map_or(Range::Whole, |text| parse(text, len)) {
        Range::Whole => {
            response.header(header::CONTENT_LENGTH, len).body(Body::from_stream(ReaderStream::new(file)))
        }
        Range::Outside => response
            .status(StatusCode::RANGE_NOT_SATISFIABLE)
            .header(header::CONTENT_RANGE, format!("bytes */{len}"))
            .body(Body::empty()),
        Range::Part(first, last) => {
            file.seek(SeekFrom::Start(first)).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
            let size = last - first + 1;
            response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{len}"))
                .header(header::CONTENT_LENGTH, size)
                .body(Body::from_stream(ReaderStream::new(file.take(size))))
        }
    };
    answer.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// Reads a single range; several ranges, or text that is none, get the whole file as HTTP allows.
fn parse(text: &str, len: u64) -> Range {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|spec| spec.split_once('-')) else {
        return Range::Whole;
    };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first > last => Range::Whole,
        (Ok(first), _) if first >= len && (last.is_empty() || last.parse::<u64>().is_ok()) => Range::Outside,
        (Ok(first), Ok(last)) => Range::Part(first, last.min(len - 1)),
        (Ok(first), Err(_)) if last.is_empty() => Range::Part(first, len - 1),
        (Err(_), Ok(tail)) if first.is_empty() => match tail.min(len) {
            0 => Range::Outside,
            tail => Range::Part(len - tail, len - 1),
        },
        _ => Range::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(parse("bytes=0-3", 10), Range::Part(0, 3));
        assert_eq!(parse("bytes=4-", 10), Range::Part(4, 9));
        assert_eq!(parse("bytes=4-99", 10), Range::Part(4, 9));
        assert_eq!(parse("bytes=-3", 10), Range::Part(7, 9));
        assert_eq!(parse("bytes=-30", 10), Range::Part(0, 9));
        assert_eq!(parse("bytes=10-", 10), Range::Outside);
        assert_eq!(parse("bytes=-0", 10), Range::Outside);
        assert_eq!(parse("bytes=0-", 0), Range::Outside);
        assert_eq!(parse("bytes=3-1", 10), Range::Whole);
        assert_eq!(parse("bytes=0-1,4-5", 10), Range::Whole);
        assert_eq!(parse("lines=0-1", 10), Range::Whole);
    }

    #[tokio::test]
    async fn paths_stay_inside_the_folder() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        let inside = outside.path().join("models");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join("v1"), "0123456789").unwrap();
        std::os::unix::fs::symlink("../secret", inside.join("link")).unwrap();
        let root = inside.canonicalize().unwrap();
        let code = async |path: &str| match open(&root, path, None).await {
            Ok(response) => response.status(),
            Err(code) => code,
        };
        assert_eq!(code("v1").await, StatusCode::OK);
        assert_eq!(code("v2").await, StatusCode::NOT_FOUND);
        assert_eq!(code(".").await, StatusCode::FORBIDDEN);
        assert_eq!(code("../secret").await, StatusCode::FORBIDDEN);
        assert_eq!(code("/etc/hostname").await, StatusCode::FORBIDDEN);
        assert_eq!(code("link").await, StatusCode::FORBIDDEN);
    }

    #[tokio::test]
    async fn a_range_answers_its_bytes_and_their_number() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("v1"), "0123456789").unwrap();
        let root = dir.path().canonicalize().unwrap();
        let response = open(&root, "v1", Some("bytes=2-4")).await.unwrap();
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(response.headers()[header::CONTENT_LENGTH], "3");
        assert_eq!(response.headers()[header::CONTENT_RANGE], "bytes 2-4/10");
        let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
        assert_eq!(&body[..], b"234");
    }
}
