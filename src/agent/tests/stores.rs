//! Fetching from object stores, while they are slow, broken or forbidding.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

mod kit;

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use kit::bench::Bench;
use kit::s3::Fault;
use kit::{PIECE_LENGTH, digest, files, noise, write};
use serin_agent::directory::fetch_directory;
use serin_agent::error::FetchError;
use serin_agent::fetch::fetch;
use serin_agent::source::Source;
use serin_agent::stores::{PIECE, Stores};
use serin_wire::{Layout, Manifest};

#[tokio::test]
async fn a_big_object_comes_in_ranges() {
    assert_eq!(PIECE_LENGTH as u64, PIECE);
    let bench = Bench::new();
    let model = noise(2 * PIECE_LENGTH + 12_345, 1);
    bench.server.put("models/wine/weights.bin", model.clone());
    fetch(&bench.request("s3://models/wine/weights.bin", &model)).await.unwrap();
    assert!(bench.fetched() == model);
    assert_eq!(bench.leftovers(), ["weights.bin"]);
    let seen = bench.server.seen();
    let ranges = seen.iter().filter(|seen| seen.contains("bytes=")).count();
    assert_eq!((seen.len(), ranges), (4, 3), "{seen:?}");
}

#[tokio::test]
async fn an_empty_object_is_an_object() {
    let bench = Bench::new();
    bench.server.put("models/empty", "");
    fetch(&bench.request("s3://models/empty", b"")).await.unwrap();
    assert_eq!(bench.fetched(), b"");
}

#[tokio::test]
async fn a_store_that_fails_now_and_then_is_asked_again() {
    let bench = Bench::new();
    let model = noise(PIECE_LENGTH + 999, 2);
    bench.server.put("models/m", model.clone());
    for fault in [
        Fault::Status(500, "InternalError"),
        Fault::Status(503, "SlowDown"),
        Fault::Reset,
        Fault::Short,
        Fault::Slow(Duration::from_millis(300)),
    ] {
        bench.server.fail(Method::GET, "m", 2, fault);
        bench.server.fail(Method::HEAD, "m", 1, Fault::Status(500, ""));
        fetch(&bench.request("s3://models/m", &model))
            .await
            .unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert!(bench.fetched() == model, "{fault:?}");
        fs::remove_file(bench.root.at("model/weights.bin")).unwrap();
        bench.server.heal();
    }
}

#[tokio::test]
async fn what_arrived_before_a_break_is_not_asked_for_again() {
    let bench = Bench::new();
    let model = noise(1000, 3);
    bench.server.put("models/m", model.clone());
    bench.server.fail(Method::GET, "m", 1, Fault::Short);
    fetch(&bench.request("s3://models/m", &model)).await.unwrap();
    let seen = bench.server.seen();
    assert!(seen[1].ends_with("bytes=0-999") && seen[2].ends_with("bytes=500-999"), "{seen:?}");
}

#[tokio::test]
async fn the_next_run_goes_on_where_the_last_one_gave_up() {
    let bench = Bench::new();
    let model = noise(3 * PIECE_LENGTH, 4);
    bench.server.put("models/m", model.clone());
    // The first piece comes, the second never does.
    let mut request = bench.request("s3://models/m", &model);
    request.patience.first_pause = Duration::from_millis(100);
    bench.server.fail(Method::GET, "m", 1, Fault::Slow(Duration::from_millis(1)));
    bench.server.fail(Method::GET, "m", 1000, Fault::Slow(Duration::from_mins(1)));
    request.timeout = Duration::from_secs(2);
    let error = fetch(&request).await.unwrap_err();
    assert_eq!(error.exit_code(), 5, "{error}");
    assert!(error.to_string().contains("the time is up"), "{error}");
    bench.server.heal();
    bench.server.seen();

    request.timeout = Duration::from_mins(1);
    fetch(&request).await.unwrap();
    assert!(bench.fetched() == model);
    let seen = bench.server.seen();
    assert!(!seen.iter().any(|seen| seen.contains("bytes=0-")), "{seen:?}");
    assert_eq!(bench.leftovers(), ["weights.bin"]);
}

#[tokio::test]
async fn wrong_bytes_leave_nothing() {
    let bench = Bench::new();
    let model = noise(1000, 5);
    bench.server.put("models/m", model.clone());
    bench.server.fail(Method::GET, "m", 1, Fault::Wrong);
    let error = fetch(&bench.request("s3://models/m", &model)).await.unwrap_err();
    assert!(error.exit_code() == 3 && error.to_string().contains("digest mismatch"), "{error}");
    assert!(bench.leftovers().is_empty());
}

#[tokio::test]
async fn forbidden_and_missing_are_final_at_once() {
    let bench = Bench::new();
    let denied = Fault::Status(403, "AccessDenied");
    bench.server.fail(Method::GET, "denied", 100, denied);
    bench.server.fail(Method::HEAD, "denied", 100, denied);
    for (uri, status) in [("s3://models/denied", "403"), ("s3://models/missing", "404")] {
        let error = fetch(&bench.request(uri, b"")).await.unwrap_err();
        assert_eq!(error.exit_code(), 4, "{error}");
        let text = error.to_string();
        assert!(text.contains(status) && text.starts_with(uri) && !text.contains("127.0.0.1"), "{text}");
        assert_eq!(bench.server.seen().len(), 1);
        assert!(bench.leftovers().is_empty());
    }
}

#[tokio::test]
async fn retries_are_bounded_and_the_reason_is_told() {
    let bench = Bench::new();
    bench.server.put("models/m", "x");
    bench.server.fail(Method::GET, "m", 100, Fault::Status(503, "SlowDown"));
    let error = fetch(&bench.request("s3://models/m", b"x")).await.unwrap_err();
    assert_eq!(error.exit_code(), 5);
    assert!(error.to_string().contains("503 Service Unavailable (SlowDown)"), "{error}");
    assert_eq!(bench.server.seen().len(), 9);
}

#[tokio::test]
async fn plain_http_needs_an_endpoint_that_says_so() {
    let bench = Bench::new();
    let mut request = bench.request("s3://models/m", b"x");
    // As if a Secret held the address.
    let variables = vec![("AWS_ENDPOINT_URL".to_owned(), bench.server.endpoint.clone())];
    let variables = [variables, kit::CREDENTIALS.map(|(n, v)| (n.to_owned(), v.to_owned())).into()].concat();
    request.stores = Arc::new(Stores::new(serin_wire::Storage::default(), variables, request.patience));
    let error = fetch(&request).await.unwrap_err();
    assert!(error.exit_code() == 4 && error.to_string().contains("use https://"), "{error}");
    assert!(bench.server.seen().is_empty());
}

#[tokio::test]
async fn a_directory_is_fetched_as_it_was_published() {
    let bench = Bench::new();
    let weights = noise(PIECE_LENGTH + 1, 6);
    write(&bench.root.at("output/weights.bin"), &weights);
    write(&bench.root.at("output/tokens/a b%20ä.txt"), "words");
    write(&bench.root.at("output/empty"), "");
    symlink("weights.bin", bench.root.at("output/link.bin")).unwrap();
    for to in ["s3://models/wine", "s3://whole-bucket", "pvc://models", "pvc://models/wine"] {
        let published = bench.publish(to).await.unwrap();
        assert_eq!((published.layout, published.files), (Layout::Directory, 4));
        assert_eq!(published.size_bytes, 2 * weights.len() as u64 + 5);
        let hex = &published.digest["sha256:".len()..];
        assert_eq!(published.uri, format!("{to}/{hex}/manifest.json"));

        let mut request = bench.request(&published.uri, b"");
        request.digest = published.digest.parse().unwrap();
        request.output = bench.root.at("model");
        fetch_directory(&request).await.unwrap_or_else(|error| panic!("{to}: {error}"));
        let expected = ["empty", "link.bin", "manifest.json", "tokens/a b%20ä.txt", "weights.bin"];
        assert_eq!(files(&request.output), expected);
        assert!(fs::read(request.output.join("link.bin")).unwrap() == weights);
        fs::remove_dir_all(&request.output).unwrap();
    }
    assert_eq!(bench.server.unfinished(), 0);
}

#[tokio::test]
async fn a_directory_with_one_wrong_file_is_refused() {
    let bench = Bench::new();
    write(&bench.root.at("output/a"), "a");
    write(&bench.root.at("output/b"), "b");
    let published = bench.publish("s3://models/wine").await.unwrap();
    let hex = published.digest["sha256:".len()..].to_owned();
    let mut request = bench.request(&published.uri, b"");
    request.digest = published.digest.parse().unwrap();
    request.output = bench.root.at("model");

    bench.server.put(&format!("models/wine/{hex}/b"), "c");
    assert_eq!(fetch_directory(&request).await.unwrap_err().exit_code(), 3);
    assert!(!request.output.join("manifest.json").exists());

    let escaping =
        br#"{"schema":"serin.dev/manifest/v1","files":[{"path":"../x","size":1,"digest":"sha256:00"}]}"#;
    bench.server.put("models/bad/manifest.json", &escaping[..]);
    let mut request = bench.request("s3://models/bad/manifest.json", escaping);
    request.output = bench.root.at("other");
    let error = fetch_directory(&request).await.unwrap_err();
    assert!(error.exit_code() == 4 && error.to_string().contains("../x"), "{error}");
}

#[tokio::test]
async fn directories_come_from_web_servers_and_claims_too() {
    let bench = Bench::new();
    let listing = Manifest::of(vec![serin_wire::File {
        path: "deep/a file".into(),
        size: 5,
        digest: digest(b"bytes"),
    }]);
    let listing = listing.to_bytes().unwrap();
    bench.server.put("site/m/manifest.json", listing.clone());
    bench.server.put("site/m/deep/a file", "bytes");
    write(&bench.claims().join("site/m/manifest.json"), &listing);
    write(&bench.claims().join("site/m/deep/a file"), "bytes");
    for uri in
        [format!("{}/site/m/manifest.json?x=y", bench.server.endpoint), "pvc://site/m/manifest.json".into()]
    {
        let mut request = bench.request(&uri, &listing);
        request.output = bench.root.at("model");
        fetch_directory(&request).await.unwrap_or_else(|error| panic!("{uri}: {error}"));
        assert_eq!(files(&request.output), ["deep/a file", "manifest.json"]);
        fs::remove_dir_all(&request.output).unwrap();
    }
}

#[tokio::test]
async fn a_cache_saves_the_transfer_and_is_not_trusted() {
    let bench = Bench::new();
    let model = noise(5000, 7);
    bench.server.put("models/m", model.clone());
    let mut request = bench.request("s3://models/m", &model);
    request.cache = Some(bench.root.at("cache"));
    fetch(&request).await.unwrap();
    let cached = format!("sha256/{}", &digest(&model)["sha256:".len()..]);
    assert_eq!(files(&bench.root.at("cache")), std::slice::from_ref(&cached));
    bench.server.seen();

    request.output = bench.root.at("model/second.bin");
    fetch(&request).await.unwrap();
    assert!(bench.server.seen().is_empty());
    assert!(fs::read(&request.output).unwrap() == model);

    let cached = bench.root.at("cache").join(cached);
    fs::remove_file(&cached).unwrap();
    fs::write(&cached, "something else").unwrap();
    request.output = bench.root.at("model/third.bin");
    fetch(&request).await.unwrap();
    assert!(!bench.server.seen().is_empty());
    assert!(fs::read(&request.output).unwrap() == model && fs::read(&cached).unwrap() == model);
    assert_eq!(bench.leftovers(), ["second.bin", "third.bin", "weights.bin"]);
}

#[test]
fn addresses_of_stores_are_checked() {
    let parse = |text: &str| Source::parse(text, std::path::Path::new("/mnt/claims"));
    for text in ["s3://b/m", "gs://b/a%20b/c", "az://models/wine/m", "pvc://claim/a/b"] {
        assert_eq!(parse(text).unwrap().to_string(), text);
    }
    for text in [
        "s3://b",
        "s3://b/",
        "s3:///m",
        "s3://b/a/../b",
        "s3://b/a//b",
        "pvc://claim",
        "pvc://../a",
        "pvc://c/../a",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
    let beside = |text: &str, path: &str| parse(text).unwrap().beside(path).map(|source| source.to_string());
    assert_eq!(beside("s3://b/m/manifest.json", "x/y").as_deref(), Ok("s3://b/m/x/y"));
    assert_eq!(beside("s3://b/manifest.json", "x").as_deref(), Ok("s3://b/x"));
    assert_eq!(beside("https://h/m/manifest.json", "x y").as_deref(), Ok("https://h/m/x%20y"));
    assert!(beside("s3://b/m", "../x").is_err());
}

#[tokio::test]
async fn azure_and_google_need_what_they_need_and_say_so() {
    let bench = Bench::new();
    let error = fetch(&bench.request("az://models/m", b"")).await.unwrap_err();
    assert!(matches!(error, FetchError::Refused { .. }), "{error}");
    assert!(error.to_string().to_lowercase().contains("account"), "{error}");
}
