//! The program as a container runs it: exit codes, one-line reasons, signals.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

fn wine() -> Command {
    Command::new(env!("CARGO_BIN_EXE_wine"))
}

fn train(file: &Path) {
    let done = wine().args(["train", "--output"]).arg(file).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let line: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(line["digest"].as_str().unwrap().len(), 12);
    assert!(line["accuracy"].as_f64().unwrap() > 0.6);
}

/// Starts a listening subcommand; answers it with its address.
fn listening(command: &mut Command) -> (Child, String) {
    let mut child = command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    (child, line["listening"].as_str().unwrap().to_owned())
}

fn terminate(child: &Child) {
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
}

fn refused(done: &Output, reason: &str) {
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    let text = String::from_utf8_lossy(&done.stderr);
    assert!(text.starts_with("wine: ") && text.contains(reason), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_model_that_does_not_load_ends_the_server_with_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("model");
    train(&file);
    let good = std::fs::read(&file).unwrap();
    let serve = || wine().args(["serve", "--listen", "127.0.0.1:0", "--model"]).arg(&file).output().unwrap();

    std::fs::write(&file, &good[..good.len() - 20]).unwrap();
    refused(&serve(), "damaged");
    let other = String::from_utf8(good).unwrap().replace("\"version\":1", "\"version\":2");
    std::fs::write(&file, other).unwrap();
    refused(&serve(), "format version 2");
    std::fs::remove_file(&file).unwrap();
    refused(&serve(), "cannot read");
}

#[test]
fn load_stays_on_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report");
    let done = wine()
        .args(["load", "--url", "http://192.0.2.1/predict", "--seconds", "1", "--report"])
        .arg(&report)
        .output()
        .unwrap();
    refused(&done, "only loopback");
    assert!(!report.exists());
}

#[test]
fn signals_end_server_and_load_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let (file, report) = (dir.path().join("model"), dir.path().join("report"));
    train(&file);
    let (mut server, address) = listening(
        wine().args(["serve", "--drain-seconds", "3", "--model"]).arg(&file).env("HOSTNAME", "pod-1"),
    );
    let mut load = wine()
        .args(["load", "--url", &format!("http://{address}/predict"), "--rps", "100", "--seconds", "60"])
        .arg("--report")
        .arg(&report)
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    terminate(&server);
    // Within the drain: nothing may be lost although the server was told to end.
    std::thread::sleep(std::time::Duration::from_millis(500));
    terminate(&load);
    assert_eq!(load.wait().unwrap().code(), Some(0));
    assert_eq!(server.wait().unwrap().code(), Some(0));

    let text = std::fs::read_to_string(&report).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["stopped_by"], "signal");
    assert!(last["sent"].as_u64().unwrap() > 50, "{last}");
    assert_eq!(last["codes"]["200"], last["sent"], "{last}");
    assert_eq!(last["transport"], serde_json::json!({}), "{last}");
}

#[test]
fn the_store_ends_at_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = listening(wine().args(["store", "--dir"]).arg(dir.path()));
    terminate(&store);
    assert_eq!(store.wait().unwrap().code(), Some(0));
}
