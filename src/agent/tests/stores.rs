//! Object stores: fetching from them and publishing to them, while they are slow, broken, forbidding or full.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

mod kit;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use kit::s3::{Fault, S3};
use kit::{Root, digest, files, noise, stores, write};
use serin_agent::checkpoint::Uploads;
use serin_agent::directory::fetch_directory;
use serin_agent::error::FetchError;
use serin_agent::fetch::{Request, fetch};
use serin_agent::folder::Folder;
use serin_agent::places::Places;
use serin_agent::publish::{PublishError, publish};
use serin_agent::source::Source;
use serin_agent::stores::{PIECE, Stores};
use serin_wire::{Layout, Manifest, Published, Train};

/// Of a range or part.
const PIECE_LENGTH: usize = 8 << 20;

struct Bench {
    root: Root,
    server: S3,
    stores: Arc<Stores>,
}

impl Bench {
    fn new() -> Self {
        let server = S3::start();
        let stores = stores(&server.endpoint);
        Self { root: Root::new(), server, stores }
    }

    fn claims(&self) -> PathBuf {
        Places::below(self.root.0.path()).claims()
    }

    fn request(&self, uri: &str, expected: &[u8]) -> Request {
        Request {
            source: Source::parse(uri, &self.claims()).unwrap(),
            digest: digest(expected).parse().unwrap(),
            output: self.root.at("model/weights.bin"),
            timeout: Duration::from_mins(1),
            patience: self.stores.patience,
            stores: Arc::clone(&self.stores),
            ..Request::default()
        }
    }

    fn fetched(&self) -> Vec<u8> {
        fs::read(self.root.at("model/weights.bin")).unwrap()
    }

    fn leftovers(&self) -> Vec<String> {
        files(&self.root.at("model"))
    }

    fn folder(&self, uri: &str) -> Folder {
        Folder::parse(uri, &self.claims(), &self.stores).unwrap()
    }

    async fn publish(&self, to: &str) -> Result<Published, PublishError> {
        publish(&self.root.at("output"), "$SERIN_OUTPUT_DIR", &self.folder(to)).await
    }

    async fn refused(&self) -> String {
        let error = self.publish("s3://models/wine").await.unwrap_err();
        assert_eq!(error.exit_code(), 51, "{error}");
        assert_eq!(self.server.paths(), Vec::<String>::new());
        error.to_string()
    }
}

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

#[tokio::test]
async fn one_file_is_published_under_its_name() {
    let bench = Bench::new();
    let model = noise(2 * PIECE_LENGTH + 5, 8);
    write(&bench.root.at("output/wine.safetensors"), &model);
    for (method, path, times, fault) in [
        (Method::POST, "uploads", 1, Fault::Status(500, "")),
        (Method::PUT, "partNumber=2", 2, Fault::Status(503, "SlowDown")),
        (Method::PUT, "partNumber=1", 1, Fault::Reset),
        (Method::PUT, "manifest.json", 1, Fault::Status(500, "")),
    ] {
        bench.server.fail(method, path, times, fault);
    }
    let published = bench.publish("s3://models/wine").await.unwrap();
    let hex = digest(&model)["sha256:".len()..].to_owned();
    let uri = format!("s3://models/wine/{hex}/wine.safetensors");
    let size_bytes = model.len() as u64;
    let expected = Published { uri, digest: digest(&model), layout: Layout::File, size_bytes, files: 1 };
    assert_eq!(published, expected);
    let (file, marker) =
        (format!("models/wine/{hex}/wine.safetensors"), format!("models/wine/{hex}/manifest.json"));
    assert_eq!(bench.server.paths(), [marker.clone(), file.clone()]);
    assert!(bench.server.get(&file).unwrap() == model);
    let listing = Manifest::parse(&bench.server.get(&marker).unwrap()).unwrap();
    assert_eq!(listing.files[0].digest, digest(&model));
    let seen = bench.server.seen();
    assert!(seen.last().unwrap().starts_with(&format!("PUT {marker}")), "the marker is last: {seen:?}");

    bench.publish("s3://models/wine").await.unwrap();
    let again = bench.server.seen();
    assert!(
        !again.iter().any(|seen| seen.contains("wine.safetensors") && !seen.starts_with("HEAD")),
        "{again:?}"
    );
}

#[tokio::test]
async fn a_lost_answer_to_the_completion_is_no_failure() {
    let bench = Bench::new();
    let model = noise(PIECE_LENGTH + 5, 9);
    write(&bench.root.at("output/m"), &model);
    let hex = digest(&model)["sha256:".len()..].to_owned();
    // Completed for somebody, and gone.
    bench.server.fail(Method::POST, "uploadId", 100, Fault::Status(404, "NoSuchUpload"));
    assert!(bench.publish("s3://models/wine").await.is_err());
    let path = format!("models/wine/{hex}/m");
    bench.server.fail(Method::HEAD, "none", 0, Fault::Reset);
    bench.server.put(&path, model.clone());
    bench.publish("s3://models/wine").await.unwrap();
}

#[tokio::test]
async fn a_full_store_fails_and_leaves_no_marker() {
    let bench = Bench::new();
    write(&bench.root.at("output/m"), noise(PIECE_LENGTH + 5, 10));
    bench.server.fail(Method::PUT, "", 1000, Fault::Status(507, "InsufficientStorage"));
    let error = bench.publish("s3://models/wine").await.unwrap_err();
    assert_eq!(error.exit_code(), 61);
    assert!(error.to_string().contains("507") && !error.to_string().contains('\n'), "{error}");
    assert_eq!(bench.server.paths(), Vec::<String>::new());
    assert_eq!(bench.server.unfinished(), 0);

    bench.server.heal();
    bench.server.fail(Method::HEAD, "", 1000, Fault::Status(403, "AccessDenied"));
    let error = bench.publish("s3://models/wine").await.unwrap_err();
    assert!(error.exit_code() == 61 && error.to_string().contains("403"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_with_the_reason() {
    let bench = Bench::new();
    let output = bench.root.at("output");
    fs::create_dir_all(output.join("folder")).unwrap();
    assert!(bench.refused().await.contains("$SERIN_OUTPUT_DIR is empty"));

    write(&bench.root.at("secret"), "token");
    symlink(bench.root.at("secret"), output.join("link")).unwrap();
    assert!(bench.refused().await.contains("leads out"));
    fs::remove_file(output.join("link")).unwrap();
    symlink("nothing", output.join("link")).unwrap();
    assert!(bench.refused().await.contains("to nothing"));
    fs::remove_file(output.join("link")).unwrap();
    symlink("/", output.join("link")).unwrap();
    assert!(bench.refused().await.contains("leads out"));
    fs::remove_file(output.join("link")).unwrap();

    let socket = std::os::unix::net::UnixListener::bind(output.join("socket")).unwrap();
    assert!(bench.refused().await.contains("no file but"));
    drop(socket);
    fs::remove_file(output.join("socket")).unwrap();

    write(&output.join("manifest.json"), "{}");
    assert!(bench.refused().await.contains("name of the listing"));
    fs::remove_file(output.join("manifest.json")).unwrap();

    write(&output.join("a\nb"), "");
    assert!(bench.refused().await.contains("control characters"));
    fs::remove_file(output.join("a\nb")).unwrap();

    for number in 0..=serin_wire::manifest::FILES_MAX {
        fs::write(output.join(number.to_string()), "").unwrap();
    }
    assert!(bench.refused().await.contains("more than 10000 files"));
}

#[tokio::test]
async fn a_late_attempt_cannot_change_what_another_one_published() {
    let bench = Bench::new();
    for to in ["s3://models/wine", "pvc://models/wine"] {
        write(&bench.root.at("output/model.bin"), "of attempt 2");
        let second = bench.publish(to).await.unwrap();
        // Attempt 1 was believed dead, and now publishes under the same address another model of the same size.
        write(&bench.root.at("output/model.bin"), "of attempt 1");
        let first = bench.publish(to).await.unwrap();
        assert_ne!(first.uri, second.uri);
        for (published, content) in [(second, b"of attempt 2"), (first, b"of attempt 1")] {
            let request = bench.request(&published.uri, content);
            fetch(&request).await.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(bench.fetched(), content);
        }
    }
}

fn train(attempt: i32, checkpoints: &str) -> Train {
    Train {
        run_uid: "f00d".into(),
        attempt,
        datasets: vec![],
        base: None,
        parameters: [].into(),
        seed: None,
        output: "s3://models/wine".into(),
        checkpoints: Some(checkpoints.into()),
        storage: serin_wire::Storage::default(),
    }
}

#[tokio::test]
async fn checkpoints_of_another_attempt_are_out_of_reach() {
    let bench = Bench::new();
    for checkpoints in ["s3://models/checkpoints", "pvc://models/checkpoints"] {
        for (attempt, content) in [(2, "of attempt 2"), (1, "of attempt 1"), (2, "of attempt 2, replaced")] {
            let root = Root::new();
            write(&root.at("/serin/checkpoints/last/model.bin"), content);
            write(&root.at("/serin/checkpoints/last/.complete"), "");
            write(&root.at("/serin/checkpoints/unfinished/model.bin"), content);
            // The claim is the same for all of them.
            let places = Places::below(root.0.path());
            fs::create_dir_all(bench.claims()).unwrap();
            fs::create_dir_all(places.claims().parent().unwrap()).unwrap();
            symlink(bench.claims(), places.claims()).unwrap();
            let uploads =
                Uploads::new(&train(attempt, checkpoints), &places, &bench.stores).unwrap().unwrap();
            let (_ended, follow) = tokio::sync::watch::channel(true);
            uploads.follow(follow).await;
        }
        let home = bench.folder(checkpoints).join("f00d");
        let mut listed: Vec<String> = home.list().await.unwrap().into_keys().collect();
        listed.sort();
        assert_eq!(
            listed,
            ["a1/last/.complete", "a1/last/model.bin", "a2/last/.complete", "a2/last/model.bin"]
        );
        assert_eq!(home.read("a1/last/model.bin").await.unwrap().unwrap(), "of attempt 1");
        assert_eq!(home.read("a2/last/model.bin").await.unwrap().unwrap(), "of attempt 2, replaced");
    }
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
