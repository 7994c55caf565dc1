//! Publishing to object stores and claims, while they are slow, broken or full: outputs and checkpoints.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

mod kit;

use std::fs;
use std::os::unix::fs::symlink;

use axum::http::Method;
use kit::bench::Bench;
use kit::s3::Fault;
use kit::{PIECE_LENGTH, Root, digest, noise, write};
use serin_agent::checkpoint::Uploads;
use serin_agent::fetch::fetch;
use serin_agent::places::Places;
use serin_wire::{Layout, Manifest, Published, Train};

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
