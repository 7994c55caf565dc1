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
    let done = wine().args(["make", "--output"]).arg(file).output().unwrap();
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

/// The environment that the agent gives to a program.
struct Pod(tempfile::TempDir);

impl Pod {
    fn new(parameters: &serde_json::Value) -> Self {
        let pod = Self(tempfile::tempdir().unwrap());
        let data = wine().args(["data", "--dir"]).arg(pod.path("sets")).output().unwrap();
        assert!(data.status.success(), "{data:?}");
        for folder in ["data/train", "data/eval", "output", "checkpoints"] {
            std::fs::create_dir_all(pod.path(folder)).unwrap();
        }
        std::fs::copy(pod.path("sets/train.csv"), pod.path("data/train/train.csv")).unwrap();
        std::fs::write(pod.path("parameters.json"), parameters.to_string()).unwrap();
        pod
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn train(&self) -> Command {
        let mut command = wine();
        command
            .arg("train")
            .env("SERIN_DATA_DIR", self.path("data"))
            .env("SERIN_PARAMETERS", self.path("parameters.json"))
            .env("SERIN_OUTPUT_DIR", self.path("output"))
            .env("SERIN_CHECKPOINT_DIR", self.path("checkpoints"))
            .env("SERIN_ATTEMPT", "1");
        command
    }

    fn model(&self) -> std::path::PathBuf {
        self.path("output/wine.model")
    }
}

#[test]
fn a_training_that_was_broken_off_ends_with_the_same_model() {
    let pod = Pod::new(&serde_json::json!({"trees": "5", "max_depth": "4", "tree_ms": "60000"}));
    let mut first = pod.train().spawn().unwrap();
    let marker = pod.path("checkpoints/step-000001/.complete");
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while !marker.exists() {
        assert!(std::time::Instant::now() < deadline, "no checkpoint");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    terminate(&first);
    assert_eq!(first.wait().unwrap().code(), Some(143));
    assert!(!pod.model().exists());

    let quick = serde_json::json!({"trees": "5", "max_depth": "4"});
    std::fs::write(pod.path("parameters.json"), quick.to_string()).unwrap();
    let second = pod.train().env("SERIN_RESUME_FROM", pod.path("checkpoints/step-000001")).output().unwrap();
    assert!(second.status.success(), "{second:?}");
    assert!(String::from_utf8_lossy(&second.stdout).contains("\"trees_before\":1"), "{second:?}");
    let resumed = std::fs::read(pod.model()).unwrap();
    assert!(pod.train().status().unwrap().success());
    assert_eq!(
        std::fs::read(pod.model()).unwrap(),
        resumed,
        "the same bytes as of one that was not broken off"
    );
}

#[test]
fn a_training_fails_as_its_parameters_ask() {
    for (parameters, attempt, code) in [
        (serde_json::json!({"fail_attempts": "1"}), "1", Some(1)),
        (serde_json::json!({"fail_attempts": "1", "fail_with": "42"}), "1", Some(42)),
        (serde_json::json!({"fail_attempts": "1"}), "2", Some(0)),
        (serde_json::json!({"output": "none"}), "1", Some(0)),
        (serde_json::json!({"learning_rat": "0.1"}), "1", Some(42)),
    ] {
        let pod = Pod::new(&parameters);
        let done = pod.train().env("SERIN_ATTEMPT", attempt).output().unwrap();
        assert_eq!(done.status.code(), code, "{parameters}: {done:?}");
        let model = code == Some(0) && parameters.get("output").is_none();
        assert_eq!(pod.model().exists(), model, "{parameters}");
    }
}

#[test]
fn the_evaluation_tells_the_better_model_and_how_sure_it_is() {
    let pod = Pod::new(&serde_json::json!({"max_depth": "2"}));
    assert!(pod.train().status().unwrap().success());
    let candidate = Pod::new(&serde_json::json!({"max_depth": "5", "trees": "25"}));
    assert!(candidate.train().status().unwrap().success());
    std::fs::copy(pod.path("sets/eval.csv"), pod.path("data/eval/eval.csv")).unwrap();
    std::fs::remove_dir_all(pod.path("data/train")).unwrap();
    let done = wine()
        .arg("evaluate")
        .env("SERIN_DATA_DIR", pod.path("data"))
        .env("SERIN_CANDIDATE_DIR", candidate.path("output"))
        .env("SERIN_CHAMPION_DIR", pod.path("output"))
        .env("SERIN_RESULT", pod.path("metrics.json"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let text = std::fs::read_to_string(pod.path("metrics.json")).unwrap();
    assert!(text.len() < 1500, "a result has room for 2 KiB in all: {}", text.len());
    let result: serde_json::Value = serde_json::from_str(&text).unwrap();
    let _: Vec<serin_wire::Metric> = serde_json::from_value(result["metrics"].clone()).unwrap();
    let of = |arm: &str| {
        let metrics = result["metrics"].as_array().unwrap();
        metrics.iter().find(|m| m["arm"] == arm && m["slice"].is_null()).cloned().unwrap()
    };
    let number = |metric: &serde_json::Value, field: &str| metric[field].as_f64().unwrap();
    let (new, old) = (of("candidate"), of("champion"));
    assert!(number(&new, "value") > number(&old, "value") + 0.05, "{result}");
    for metric in [&new, &old] {
        assert_eq!(metric["n"], 319);
        assert!(number(metric, "ciLow") < number(metric, "value"), "{metric}");
        assert!(number(metric, "value") < number(metric, "ciHigh"), "{metric}");
    }
    assert_eq!(
        result["metrics"].as_array().unwrap().len(),
        6,
        "two slices and the whole, for both: {result}"
    );
}

#[test]
fn a_gang_meets_by_address_and_port() {
    let pod = Pod::new(&serde_json::json!({}));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let member = |rank: &str| {
        let mut command = wine();
        command
            .arg("gang")
            .env("MASTER_ADDR", "localhost")
            .env("MASTER_PORT", &port)
            .env("WORLD_SIZE", "3")
            .env("RANK", rank)
            .env("SERIN_OUTPUT_DIR", pod.path("output"));
        command.spawn().unwrap()
    };
    let members: Vec<Child> = ["2", "0", "1"].map(member).into();
    for mut member in members {
        assert_eq!(member.wait().unwrap().code(), Some(0));
    }
    let report = std::fs::read_to_string(pod.path("output/gang.json")).unwrap();
    assert_eq!(report, r#"{"ranks":[0,1,2],"world":3}"#);
}
