//! The program itself, as process around other processes: signals, orphans, exit codes, messages, and whole trainings
//! and evaluations from `prepare` to the result.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

mod kit;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use axum::http::Method;
use kit::s3::{Fault, S3};
use kit::{CREDENTIALS, Root, digest, eventually, files, noise, write};
use serde_json::{Value, json};
use serin_wire::{EvaluationResult, Layout, LookResult, TrainingResult};

/// A pod: its places, its task and its environment.
struct Pod {
    root: Root,
    task: Value,
    index: u32,
}

impl Pod {
    fn train(task: Value) -> Self {
        let mut whole =
            json!({"kind": "train", "runUid": "f00d", "attempt": 1, "output": "pvc://models/wine"});
        let Value::Object(task) = task else { panic!("a task is an object") };
        whole.as_object_mut().unwrap().extend(task);
        Self { root: Root::new(), task: whole, index: 0 }
    }

    fn agent(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_serin-agent"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).envs(CREDENTIALS);
        command.env("SERIN_TASK", self.task.to_string()).env("JOB_COMPLETION_INDEX", self.index.to_string());
        command.arg(args[0]).arg("--root").arg(self.root.0.path()).args(&args[1..]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn prepare(&self) -> Output {
        self.agent(&["prepare"]).output().unwrap()
    }

    fn run(&self, script: &str) -> Output {
        self.agent(&["run", "--", "sh", "-c", script]).output().unwrap()
    }

    fn evaluate(&self, script: &str) -> Output {
        self.agent(&["evaluate", "--", "sh", "-c", script]).output().unwrap()
    }

    fn published(&self) -> Vec<String> {
        files(&self.root.at("/mnt/claims"))
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}

fn well(output: &Output) {
    assert_eq!(code(output), 0, "{}", String::from_utf8_lossy(&output.stderr));
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Starts a program and waits until it says `ready`.
fn started(pod: &Pod, script: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = pod.agent(&["run", "--", "sh", "-c", script]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (child, stdout)
}

#[test]
fn exit_codes_are_passed_on() {
    let pod = Pod::train(json!({}));
    for (script, expected) in
        [("exit 1", 1), ("exit 42", 42), ("exit 255", 255), ("kill -KILL $$", 137), ("kill -SEGV $$", 139)]
    {
        assert_eq!(code(&pod.run(script)), expected, "{script}");
    }
    assert!(pod.root.message().contains("signal 11"), "{}", pod.root.message());
    let missing = pod.agent(&["run", "--", "/no/such/program"]).output().unwrap();
    assert_eq!(code(&missing), 127);
    assert!(pod.root.message().contains("/no/such/program"));
    let denied = pod.agent(&["run", "--", "/dev/null"]).output().unwrap();
    assert_eq!(code(&denied), 126);
    assert!(pod.published().is_empty());
}

#[test]
fn a_defect_of_ours_has_its_own_code() {
    let mut pod = Pod::train(json!({}));
    pod.task = json!({"kind": "bake"});
    assert_eq!(code(&pod.run("true")), 62);
    assert!(pod.root.message().contains("SERIN_TASK cannot be read"));
    assert_eq!(code(&pod.agent(&["run"]).output().unwrap()), 62);
    let pod = Pod::train(json!({"output": "ftp://models"}));
    assert_eq!(code(&pod.run("echo started; true")), 62);
    assert!(pod.root.message().contains("ftp://models"));
}

#[test]
fn output_goes_through_unchanged_and_its_end_is_the_message() {
    let pod = Pod::train(json!({}));
    let output = pod.run(
        "i=0; while [ $i -lt 500 ]; do echo \"line $i\" >&2; i=$((i+1)); done; printf 'to stdout \\377'; exit 3",
    );
    assert_eq!(code(&output), 3);
    assert_eq!(output.stdout, b"to stdout \xff");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("line 0\nline 1\n") && stderr.contains("line 499\n"), "{stderr}");
    assert_eq!(stderr.matches("line 499").count(), 1);
    let message = pod.root.message();
    assert!(
        message.len() <= 1024 && message.starts_with("line ") && message.ends_with("line 499"),
        "{message}"
    );

    assert_eq!(code(&pod.run("exit 9")), 9);
    assert_eq!(pod.root.message(), "the program ended with exit code 9");
}

#[test]
fn what_torchelastic_left_is_the_message() {
    let pod = Pod::train(json!({}));
    let log = pod.root.at("/dev/termination-log");
    let error = r#"{"message": {"message": "RuntimeError: loss is NaN at step 7", "extraInfo": {}}}"#;
    let script = format!("echo '{error}' > {}; echo noise >&2; exit 1", log.display());
    assert_eq!(code(&pod.run(&script)), 1);
    assert_eq!(pod.root.message(), "RuntimeError: loss is NaN at step 7");
}

#[test]
fn signals_reach_the_program() {
    let pod = Pod::train(json!({}));
    for name in ["HUP", "USR1", "USR2"] {
        let script = format!(
            "trap 'echo got-{name}; echo done > $SERIN_OUTPUT_DIR/m; exit 0' {name}; echo ready; while :; do sleep 0.05; done"
        );
        let (mut child, mut stdout) = started(&pod, &script);
        signal(&child, name);
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, format!("got-{name}\n"));
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    for (name, expected) in [("TERM", 143), ("INT", 130)] {
        let (mut child, _stdout) = started(&pod, "echo ready; exec sleep 60");
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(expected));
    }
}

#[test]
fn a_program_that_was_told_to_stop_publishes_nothing() {
    let pod = Pod::train(json!({}));
    let script =
        "trap 'exit 0' TERM; echo half > $SERIN_OUTPUT_DIR/m; echo ready; while :; do sleep 0.05; done";
    let (mut child, _stdout) = started(&pod, script);
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(pod.root.message().contains("told to stop"));
    assert!(pod.published().is_empty());
}

#[test]
fn orphans_are_reaped_and_none_is_left_running() {
    let pod = Pod::train(json!({}));
    let pids = pod.root.at("/pids");
    // Orphans that end while the program runs, and one that writes to the output after it.
    let script = format!(
        "for i in 1 2 3; do (sh -c 'echo $$ >> {pids}; exit 0' &); done
         (setsid sh -c 'trap \"\" TERM HUP; echo $$ >> {pids}; while :; do sleep 0.01; date >> '$SERIN_OUTPUT_DIR'/m; done' &)
         echo ready; read nothing < {gate}; echo model > $SERIN_OUTPUT_DIR/m",
        pids = pids.display(),
        gate = pod.root.at("/gate").display(),
    );
    assert!(Command::new("mkfifo").arg(pod.root.at("/gate")).status().unwrap().success());
    let (mut child, _stdout) = started(&pod, &script);
    let four = eventually("four orphans", || {
        let pids: Vec<u32> =
            fs::read_to_string(&pids).ok()?.lines().filter_map(|pid| pid.parse().ok()).collect();
        (pids.len() == 4).then_some(pids)
    });
    let state = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    eventually("no zombies", || (four.iter().filter_map(state).count() == 1).then_some(()));
    let alive: Vec<String> = four.iter().filter_map(state).collect();
    assert!(!alive[0].contains(") Z "), "{alive:?}");
    write(&pod.root.at("/gate"), "\n");
    let status = child.wait().unwrap();
    assert_eq!(four.iter().filter_map(state).count(), 0, "it must not outlive the program");
    assert_eq!(status.code(), Some(0), "{}", pod.root.message());
}

#[test]
fn a_training_from_inputs_to_result() {
    let server = S3::start();
    let (data, base) = (noise(10_000, 1), noise(20_000, 2));
    server.put("data/train.csv", data.clone());
    let mut pod = Pod::train(json!({
        "datasets": [{"name": "train", "uri": "s3://data/train.csv", "digest": digest(&data)}],
        "base": {"uri": "pvc://models/base.bin", "digest": digest(&base)},
        "parameters": {"learning-rate": "0.1"},
        "seed": "7",
        "output": "s3://models/wine",
        "checkpoints": "s3://models/checkpoints",
        "storage": {"endpoint": server.endpoint},
    }));
    write(&pod.root.at("/mnt/claims/models/base.bin"), &base);
    well(&pod.prepare());
    let agent = pod.root.at("/serin/bin/serin-agent");
    assert!(Command::new(agent).arg("--version").status().unwrap().success());
    assert_eq!(fs::read(pod.root.at("/serin/data/train/train.csv")).unwrap(), data);
    assert_eq!(fs::read(pod.root.at("/serin/base/base.bin")).unwrap(), base);
    let parameters = fs::read(pod.root.at("/serin/parameters.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&parameters).unwrap(), json!({"learning-rate": "0.1"}));

    let script = r#"
        set -eu
        [ "$SERIN_SEED $SERIN_PARAM_LEARNING_RATE $SERIN_ATTEMPT" = "7 0.1 1" ]
        [ -z "${SERIN_TASK-}" ] && [ -z "${SERIN_RESUME_FROM-}" ]
        grep -q learning-rate "$SERIN_PARAMETERS"
        cat "$SERIN_DATA_DIR/train/train.csv" "$SERIN_BASE_DIR/base.bin" > "$SERIN_OUTPUT_DIR/model.bin"
        mkdir "$SERIN_CHECKPOINT_DIR/step-1" && echo one > "$SERIN_CHECKPOINT_DIR/step-1/state"
        touch "$SERIN_CHECKPOINT_DIR/step-1/.complete"
    "#;
    well(&pod.run(script));
    let result = TrainingResult::parse(&pod.root.message()).unwrap();
    let model = [data, base].concat();
    assert_eq!((result.run_uid.as_str(), result.attempt, result.resumed_from), ("f00d", 1, None));
    assert_eq!((result.output.digest, result.output.layout), (digest(&model), Layout::File));
    let path = result.output.uri.strip_prefix("s3://").unwrap();
    assert!(server.get(path).unwrap() == model);
    assert!(server.get("models/checkpoints/f00d/a1/step-1/.complete").is_some());

    // Another index does the same work, and keeps it to itself.
    let before = server.paths();
    fs::remove_dir_all(pod.root.at("/serin/checkpoints")).unwrap();
    pod.index = 1;
    well(&pod.run(script));
    assert_eq!((pod.root.message().as_str(), server.paths()), ("", before));
}

#[test]
fn inputs_that_are_wrong_are_told_from_inputs_that_do_not_come() {
    let server = S3::start();
    server.put("data/train.csv", "other bytes");
    let task = |uri: &str, digest: String| json!({"datasets": [{"name": "train", "uri": uri, "digest": digest}], "storage": {"endpoint": server.endpoint}});
    let pod = Pod::train(task("s3://data/train.csv", digest(b"bytes")));
    assert_eq!(code(&pod.prepare()), 50);
    assert!(pod.root.message().contains("spec.datasets[train]"), "{}", pod.root.message());
    let pod = Pod::train(task("s3://data/missing", digest(b"bytes")));
    assert_eq!(code(&pod.prepare()), 50);
    assert!(pod.root.message().contains("404"), "{}", pod.root.message());
    server.fail(Method::HEAD, "train", 100, Fault::Status(403, ""));
    let pod = Pod::train(task("s3://data/train.csv", digest(b"bytes")));
    assert_eq!(code(&pod.prepare()), 50);

    let pod = Pod::train(task("s3://data/train.csv", digest(b"bytes")));
    write(&pod.root.at("/serin/data"), "a file in the way");
    assert_eq!(code(&pod.prepare()), 60);
    let mut pod = Pod::train(task("s3://data/train.csv", digest(b"bytes")));
    pod.task["datasets"][0]["name"] = json!("../../etc");
    assert_eq!(code(&pod.prepare()), 50);
}

#[test]
fn nothing_to_publish_and_nowhere_to_publish_are_told_apart() {
    let server = S3::start();
    let pod = Pod::train(json!({"output": "s3://models/wine", "storage": {"endpoint": server.endpoint}}));
    assert_eq!(code(&pod.run("true")), 51);
    assert!(pod.root.message().contains("$SERIN_OUTPUT_DIR is empty"));
    server.fail(Method::PUT, "", 100, Fault::Status(403, "AccessDenied"));
    assert_eq!(code(&pod.run("echo x > $SERIN_OUTPUT_DIR/m")), 61);
    assert!(pod.root.message().contains("AccessDenied"), "{}", pod.root.message());
}

#[test]
fn a_stopped_training_goes_on_from_its_newest_whole_checkpoint() {
    let server = S3::start();
    let task = json!({
        "output": "s3://models/wine",
        "checkpoints": "s3://models/checkpoints/",
        "storage": {"endpoint": server.endpoint},
    });
    let mut first = Pod::train(task.clone());
    let script = r#"
        save() { mkdir "$SERIN_CHECKPOINT_DIR/$1"; echo "$1" > "$SERIN_CHECKPOINT_DIR/$1/state"; }
        trap 'save step-300; touch "$SERIN_CHECKPOINT_DIR/step-300/.complete"; exit 0' TERM
        save step-200; touch "$SERIN_CHECKPOINT_DIR/step-200/.complete"; save unfinished
        echo ready; while :; do sleep 0.05; done
    "#;
    let (mut child, _stdout) = started(&first, script);
    let marker = |name: &str| server.get(&format!("models/checkpoints/f00d/a1/{name}/.complete"));
    eventually("uploaded while the program runs", || marker("step-200"));
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(marker("step-300").is_some() && marker("unfinished").is_none());

    let mut second = Pod::train(task.clone());
    second.task["attempt"] = json!(2);
    well(&second.prepare());
    assert_eq!(files(&second.root.at("/serin/resume")), [".complete", "state"]);
    let script = r#"cp "$SERIN_RESUME_FROM/state" "$SERIN_OUTPUT_DIR/state""#;
    well(&second.run(script));
    let result = TrainingResult::parse(&second.root.message()).unwrap();
    assert_eq!((result.attempt, result.resumed_from.as_deref()), (2, Some("a1/step-300")));

    // One that is not what its marker says is passed over; an attempt does not see its own or later ones.
    server.put("models/checkpoints/f00d/a1/step-300/state", "step-3oo\n");
    let third = Pod::train(task.clone());
    first.task["attempt"] = json!(2);
    well(&first.prepare());
    assert_eq!(fs::read_to_string(first.root.at("/serin/resume/state")).unwrap(), "step-200\n");
    well(&third.prepare());
    assert!(!third.root.at("/serin/resume").exists());
}

fn evaluation(server: &S3) -> Pod {
    server.put("models/wine/candidate.bin", "candidate");
    server.put("data/eval.csv", "eval");
    let listing = json!({"schema": "serin.dev/manifest/v1", "files": [
        {"path": "a/weights.bin", "size": 8, "digest": digest(b"champion")},
    ]});
    // Not as we would write it: the digest is that of the bytes which are there.
    let listing = serde_json::to_string_pretty(&listing).unwrap();
    server.put("models/champion/manifest.json", listing.clone());
    server.put("models/champion/a/weights.bin", "champion");
    let task = json!({
        "kind": "evaluate", "runUid": "f00d", "number": 3, "nonce": "0123456789abcdef0123456789abcdef",
        "candidate": {"uri": "s3://models/wine/candidate.bin", "digest": digest(b"candidate")},
        "champion": {"uri": "s3://models/champion/manifest.json", "digest": digest(listing.as_bytes()), "layout": "Directory"},
        "dataset": {"name": "eval", "uri": "s3://data/eval.csv", "digest": digest(b"eval")},
        "reports": "s3://models/wine/reports",
        "storage": {"endpoint": server.endpoint},
    });
    Pod { root: Root::new(), task, index: 0 }
}

const MEASURE: &str = r#"
    set -eu
    mkdir "$SERIN_CHAMPION_DIR/__pycache__" && touch "$SERIN_CHAMPION_DIR/__pycache__/x"
    cat "$SERIN_DATA_DIR/eval/eval.csv" "$SERIN_CANDIDATE_DIR/candidate.bin" "$SERIN_CHAMPION_DIR/a/weights.bin"
    echo '{"metrics": [{"name": "accuracy", "value": 0.75, "ciLow": 0.7, "n": 100},
                       {"name": "accuracy", "arm": "champion", "value": 0.5}]}' > "$SERIN_RESULT"
"#;

#[test]
fn an_evaluation_from_inputs_to_result() {
    let server = S3::start();
    let pod = evaluation(&server);
    well(&pod.prepare());
    let output = pod.evaluate(MEASURE);
    well(&output);
    assert_eq!(output.stdout, b"evalcandidatechampion");
    let result = EvaluationResult::parse(&pod.root.message()).unwrap();
    assert_eq!((result.number, result.nonce.as_str()), (3, "0123456789abcdef0123456789abcdef"));
    assert_eq!(result.model_digest, digest(b"candidate"));
    assert_eq!(result.champion_digest.as_deref(), pod.task["champion"]["digest"].as_str());
    assert_eq!(result.eval_set_digest, digest(b"eval"));
    assert_eq!(result.metrics.len(), 2);
    let report = result.report.unwrap();
    let path = report.uri.strip_prefix("s3://").unwrap();
    assert!(path.starts_with("models/wine/reports/") && path.ends_with("/metrics.json"), "{path}");
    assert_eq!(digest(&server.get(path).unwrap()), report.digest);
}

#[test]
fn an_evaluation_that_changed_what_it_measured_says_so() {
    let server = S3::start();
    let pod = evaluation(&server);
    well(&pod.prepare());
    let script = format!(
        "{MEASURE}\necho forged > $SERIN_CANDIDATE_DIR/candidate.bin; echo forged > $SERIN_CHAMPION_DIR/a/weights.bin"
    );
    well(&pod.evaluate(&script));
    let result = EvaluationResult::parse(&pod.root.message()).unwrap();
    assert_eq!(result.model_digest, digest(b"forged\n"));
    assert_ne!(result.champion_digest.as_deref(), pod.task["champion"]["digest"].as_str());
    assert_eq!(result.eval_set_digest, digest(b"eval"));

    well(&pod.prepare());
    let removed = pod.evaluate("rm $SERIN_DATA_DIR/eval/eval.csv; echo '{\"metrics\":[{\"name\":\"a\",\"value\":1}]}' > $SERIN_RESULT");
    assert_eq!(code(&removed), 50);
}

#[test]
fn an_evaluation_without_a_result_fails() {
    let server = S3::start();
    let pod = evaluation(&server);
    well(&pod.prepare());
    let nan = r#"echo '{"metrics": [{"name": "a", "value": NaN}]}' > $SERIN_RESULT"#;
    for (script, expected, words) in [
        ("true", 51, "left no $SERIN_RESULT"),
        (nan, 51, "leave such a metric out"),
        ("echo broken >&2; exit 4", 4, "broken"),
    ] {
        assert_eq!(code(&pod.evaluate(script)), expected, "{script}");
        assert!(pod.root.message().contains(words), "{}", pod.root.message());
    }
    // 24 metrics are allowed, but not with names that long: a cut result would be none.
    let metrics: Vec<String> =
        (0..24).map(|n| format!(r#"{{"name":"m{n}{}","value":1}}"#, "x".repeat(80))).collect();
    let script = format!("echo '{{\"metrics\":[{}]}}' > $SERIN_RESULT", metrics.join(","));
    assert_eq!(code(&pod.evaluate(&script)), 51);
    assert!(pod.root.message().contains("2048 are allowed"), "{}", pod.root.message());
    assert!(!server.paths().iter().any(|path| path.contains("TrainingResult")));
}

#[test]
fn a_store_that_is_down_for_a_moment_does_not_end_a_training() {
    let server = S3::start();
    let pod = Pod::train(json!({"output": "s3://models/wine", "storage": {"endpoint": server.endpoint}}));
    server.fail(Method::PUT, "", 1, Fault::Status(500, "InternalError"));
    server.fail(Method::HEAD, "", 1, Fault::Slow(Duration::from_millis(100)));
    let output = pod.run("echo x > $SERIN_OUTPUT_DIR/m");
    well(&output);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("500 Internal Server Error (InternalError); again in 1.0 s"), "{stderr}");
}

#[test]
fn a_look_says_what_lies_at_its_addresses_and_leaves_nothing() {
    let server = S3::start();
    let model = noise(9_000_000, 3);
    server.put("data/big.bin", model.clone());
    server.put("data/none", "");
    let mut pod = Pod::train(json!({}));
    pod.task = json!({
        "kind": "look", "policyUid": "cafe", "number": 7, "storage": {"endpoint": server.endpoint},
        "objects": [
            {"name": "big", "uri": "s3://data/big.bin"},
            {"name": "none", "uri": "s3://data/none"},
            {"name": "mine", "uri": "pvc://claim/folder/file.csv"},
        ],
    });
    write(&pod.root.at("/mnt/claims/claim/folder/file.csv"), "a,b\n1,2\n");
    let look = || pod.agent(&["look"]).output().unwrap();
    well(&look());
    let result = LookResult::parse(&pod.root.message()).unwrap();
    assert_eq!((result.policy_uid.as_str(), result.number), ("cafe", 7));
    let seen: Vec<_> = result.objects.iter().map(|o| (o.name.as_str(), o.digest.clone(), o.bytes)).collect();
    let expected =
        [("big", digest(&model), 9_000_000), ("none", digest(b""), 0), ("mine", digest(b"a,b\n1,2\n"), 8)];
    assert_eq!(seen, expected);
    assert!(files(&pod.root.at("/serin")).is_empty(), "{:?}", files(&pod.root.at("/serin")));

    // The same once more, after it has changed.
    write(&pod.root.at("/mnt/claims/claim/folder/file.csv"), "a,b\n1,3\n");
    well(&look());
    let again = LookResult::parse(&pod.root.message()).unwrap();
    assert_eq!(again.objects[0], result.objects[0]);
    assert_ne!(again.objects[2].digest, result.objects[2].digest);

    fs::remove_file(pod.root.at("/mnt/claims/claim/folder/file.csv")).unwrap();
    assert_eq!(code(&look()), 50);
    assert!(pod.root.message().contains("spec.data[mine]"), "{}", pod.root.message());
}
