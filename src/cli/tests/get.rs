//! `serin get` and `serin watch` as a person calls them in a pipe, against an apiserver that knows three namespaces.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

#[allow(dead_code, reason = "each program takes what it needs")]
#[path = "../fixtures.rs"]
mod fixtures;

use std::process::{Command, Output};

use serde_json::{Value, json};
use serin_api::ModelDeployment;
use tempfile::TempDir;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path, query_param, query_param_is_missing},
};

const GROUP: &str = "/apis/serin.dev/v1alpha1";

/// Its own thread: the program under test blocks this one.
struct Cluster {
    runtime: tokio::runtime::Runtime,
    server: MockServer,
    folder: TempDir,
}

impl Cluster {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = runtime.block_on(MockServer::start());
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "wine",
            "clusters": [{"name": "c", "cluster": {"server": server.uri()}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "wine", "context": {"cluster": "c", "user": "u", "namespace": "cellar"}}],
        });
        std::fs::write(folder.path().join("config"), kubeconfig.to_string()).unwrap();
        Self { runtime, server, folder }
    }

    fn mount(&self, mock: Mock) {
        self.runtime.block_on(mock.mount(&self.server));
    }

    /// Lists of this path have these objects.
    fn lists(self, at: &str, items: &[Value]) -> Self {
        let list = json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "ModelDeploymentList",
            "metadata": {"resourceVersion": "7"}, "items": items,
        });
        let answer = ResponseTemplate::new(200).set_body_json(list);
        let asked = Mock::given(method("GET")).and(path(format!("{GROUP}{at}")));
        self.mount(asked.and(query_param_is_missing("watch")).respond_with(answer));
        self
    }

    /// `wine` is there, and then becomes this.
    fn has(self, now: &ModelDeployment, then: &ModelDeployment) -> Self {
        let one =
            Mock::given(method("GET")).and(path(format!("{GROUP}/namespaces/cellar/modeldeployments/wine")));
        self.mount(one.respond_with(ResponseTemplate::new(200).set_body_json(now)));
        let event = json!({"type": "MODIFIED", "object": versioned(then, "8")});
        let watched = Mock::given(method("GET"))
            .and(path(format!("{GROUP}/namespaces/cellar/modeldeployments")))
            .and(query_param("watch", "true"))
            .and(query_param("fieldSelector", "metadata.name=wine"));
        self.mount(watched.respond_with(ResponseTemplate::new(200).set_body_string(format!("{event}\n"))));
        self.lists("/namespaces/cellar/modeldeployments", &[versioned(now, "7")])
    }

    fn refuses(self, at: &str) -> Self {
        let refused = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
            "message": "modeldeployments.serin.dev is forbidden: User \"you\" cannot list",
        });
        let answer = ResponseTemplate::new(403).set_body_json(refused);
        self.mount(
            Mock::given(method("GET"))
                .and(path(format!("{GROUP}{at}")))
                .respond_with(answer)
                .with_priority(1),
        );
        self
    }

    fn ask(&self, args: &[&str]) -> Output {
        let kubeconfig = self.folder.path().join("config");
        Command::new(env!("CARGO_BIN_EXE_serin")).args(args).env("KUBECONFIG", kubeconfig).output().unwrap()
    }
}

fn versioned(deployment: &ModelDeployment, version: &str) -> Value {
    let mut object = serde_json::to_value(deployment).unwrap();
    object["metadata"]["resourceVersion"] = json!(version);
    object
}

fn object(deployment: &ModelDeployment) -> Value {
    versioned(deployment, "1")
}

fn broken(name: &str) -> Value {
    json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": "cellar"}, "spec": {"model": 7},
    })
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(output);
    assert_eq!(text.trim_end().lines().count(), 1, "one line: {text}");
    text
}

#[test]
fn a_list_is_a_table_without_colours_in_a_pipe() {
    let items = [object(&fixtures::trying()), object(&fixtures::resting())];
    let cluster = Cluster::new()
        .lists("/namespaces/cellar/modeldeployments", &items)
        .lists("/modeldeployments", &items);
    let table = stdout(&cluster.ask(&["get"]));
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("NAME  STABLE  CANDIDATE  WEIGHT"), "{table}");
    assert!(
        lines[1].starts_with("wine  v1      v2         ██░░░░░░  25 %  2/3   Undecided  errors 0.88 of 2.00")
    );
    assert_eq!((lines.len(), table.contains('\u{1b}')), (3, false));
    let everywhere = stdout(&cluster.ask(&["get", "-A"]));
    assert!(everywhere.lines().nth(1).unwrap().starts_with("cellar     wine"), "{everywhere}");
    let told: Value = serde_json::from_str(&stdout(&cluster.ask(&["get", "-o", "json"]))).unwrap();
    assert_eq!((&told["items"][0]["candidate"], &told["items"][0]["weight"]), (&json!("v2"), &json!(25)));
    assert_eq!(told["items"][0]["evidence"], json!({"metric": "errors", "log10E": 0.88, "limitLog10": 2.0}));
    assert_eq!(told["unreadable"], json!([]));
}

#[test]
fn what_cannot_be_read_is_counted() {
    let items = [object(&fixtures::resting()), broken("beer"), broken("gin")];
    let cluster = Cluster::new().lists("/namespaces/cellar/modeldeployments", &items);
    let output = cluster.ask(&["get"]);
    assert_eq!(stdout(&output).lines().count(), 2);
    let warning = "serin: 2 ModelDeployments could not be read by this version of serin: beer, gin\n";
    assert_eq!(stderr(&output), warning);
    let output = cluster.ask(&["get", "-o", "json"]);
    let told: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&told["unreadable"], stderr(&output).as_str()), (&json!(["beer", "gin"]), warning));

    let cluster = Cluster::new().lists("/namespaces/cellar/modeldeployments", &[broken("beer")]);
    let output = cluster.ask(&["get"]);
    assert!(stdout(&output).is_empty(), "that there are none would not be true");
    assert!(stderr(&output).contains("1 ModelDeployment could not be read"));
}

#[test]
fn nothing_is_said_in_one_line() {
    let cluster =
        Cluster::new().lists("/namespaces/cellar/modeldeployments", &[]).lists("/modeldeployments", &[]);
    assert_eq!(stdout(&cluster.ask(&["get"])), "no ModelDeployments in namespace cellar\n");
    assert_eq!(stdout(&cluster.ask(&["get", "-A"])), "no ModelDeployments in any namespace\n");
}

#[test]
fn a_refusal_is_one_line() {
    let cluster = Cluster::new()
        .refuses("/namespaces/cellar/modeldeployments")
        .refuses("/namespaces/cellar/modeldeployments/wine")
        .refuses("/modeldeployments");
    for args in [&["get"][..], &["get", "-A"], &["get", "wine"], &["watch", "wine"]] {
        let output = cluster.ask(args);
        assert!(refused(&output).contains("is forbidden: User \"you\" cannot list"), "{args:?}");
        assert!(output.stdout.is_empty());
    }
    assert_eq!(cluster.ask(&["get", "-A", "wine"]).status.code(), Some(2), "one name in which namespace?");
}

#[test]
fn one_is_told_with_its_message_and_its_metrics() {
    let cluster = Cluster::new().has(&fixtures::trying(), &fixtures::promoted());
    let text = stdout(&cluster.ask(&["get", "wine"]));
    assert!(
        text.contains("\nAnalyzing: v2: step 2/3 at 25 % of the traffic, gathering evidence\n"),
        "{text}"
    );
    assert!(text.contains("\nlatency  Pass "), "{text}");
    let told: Value = serde_json::from_str(&stdout(&cluster.ask(&["get", "wine", "-o", "json"]))).unwrap();
    assert_eq!((&told["step"], &told["metrics"][1]["metric"]), (&json!("2/3"), &json!("latency")));
}

#[test]
fn a_watch_in_a_pipe_is_a_log_with_an_end() {
    let cluster = Cluster::new().has(&fixtures::trying(), &fixtures::promoted());
    let log = stdout(&cluster.ask(&["watch", "wine", "--until-done", "--timeout", "60"]));
    let said: Vec<&str> =
        log.lines().map(|line| line.split_once("  ").map_or(line, |(_, said)| said)).collect();
    assert_eq!(
        said,
        [
            "cellar/wine: v1 serves; v2 (r1-v2) is tried: Canary, step 2/3 at 25 %",
            "Analyzing: v2: step 2/3 at 25 % of the traffic, gathering evidence",
            "v2 was promoted",
            "Complete: v2 serves",
            "v2 was promoted",
        ]
    );
    assert!(
        stdout(&cluster.ask(&["watch", "wine"])).ends_with("Complete: v2 serves\n"),
        "the rollout is over"
    );
}

#[test]
fn a_rollback_ends_a_watch_with_a_failure() {
    let cluster = Cluster::new().has(&fixtures::trying(), &fixtures::rejected());
    let output = cluster.ask(&["watch", "wine", "--until-done"]);
    assert!(refused(&output).starts_with("serin: Rejected: v2 was rejected (AnalysisFailed)"));
    let log = String::from_utf8(output.stdout).unwrap();
    assert!(log.contains("v2 was rolled back (AnalysisFailed)\n"), "{log}");
}

#[test]
fn a_watch_has_a_time_limit_and_needs_the_right_to_watch() {
    let cluster = Cluster::new().has(&fixtures::trying(), &fixtures::trying());
    let output = cluster.ask(&["watch", "wine", "--until-done", "--timeout", "1"]);
    assert!(refused(&output).starts_with("serin: not over within 1 s; Analyzing: v2: step 2/3"));
    let cluster = cluster.refuses("/namespaces/cellar/modeldeployments");
    let output = cluster.ask(&["watch", "wine", "--until-done"]);
    assert!(refused(&output).contains("is forbidden"));
}
