//! `serin provenance` and `serin lineage` as a person calls them, against an apiserver that knows one version.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path, path_regex},
};

const DIGEST: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
const API: &str = "/apis/serin.dev/v1alpha1/namespaces/cellar";

fn imported() -> Value {
    json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "ModelVersion",
        "metadata": {"name": "wine-bought", "namespace": "cellar"},
        "spec": {
            "model": "wine", "origin": "Imported",
            "artifact": {"uri": "s3://models/wine/bought.onnx", "digest": DIGEST},
        },
    })
}

fn trained() -> Value {
    let mut version = imported();
    version["metadata"]["name"] = json!("wine-5f3a9c21d0");
    version["spec"]["origin"] = json!("Trained");
    version["spec"]["inputsDigest"] = json!(DIGEST);
    version["spec"]["build"] = json!({
        "buildType": "https://serin.dev/training/v1",
        "inputs": {"image": "train:1", "command": ["train"], "nodes": 1, "processesPerNode": 1, "launcher": "Plain"},
        "run": {
            "name": "wine-7", "uid": "u", "attempt": 1, "startedAt": "2026-08-01T10:00:00Z",
            "finishedAt": "2026-08-01T10:01:30Z", "runningSeconds": 90,
        },
        "builder": "https://serin.dev/operator@0.1.0",
    });
    version["spec"]["parent"] = json!("wine-bought");
    version
}

/// Its own thread: the program under test blocks this one.
struct Cluster {
    _runtime: tokio::runtime::Runtime,
    _server: MockServer,
    folder: TempDir,
}

impl Cluster {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = runtime.block_on(async {
            let server = MockServer::start().await;
            let mut answers = vec![];
            for version in [imported(), trained()] {
                answers.push((format!("{API}/modelversions/{}", version["metadata"]["name"].as_str().unwrap()), version));
            }
            // A stranger's object among ours is left out.
            let versions = json!([imported(), trained(), {"metadata": {"name": "broken"}, "spec": {"model": 7}}]);
            for (plural, items) in
                [("modelversions", versions), ("trainingruns", json!([])), ("modeldeployments", json!([]))]
            {
                let list = json!({"apiVersion": "serin.dev/v1alpha1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items});
                answers.push((format!("{API}/{plural}"), list));
            }
            for (at, answer) in answers {
                let answer = ResponseTemplate::new(200).set_body_json(answer);
                Mock::given(method("GET")).and(path(at)).respond_with(answer).mount(&server).await;
            }
            let refused = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
                "message": "modelversions.serin.dev \"secret\" is forbidden: User \"you\" cannot get",
            });
            let refused = ResponseTemplate::new(403).set_body_json(refused);
            let secret = format!("{API}/modelversions/secret");
            Mock::given(method("GET")).and(path(secret)).respond_with(refused).mount(&server).await;
            for namespace in ["cellar", "attic"] {
                let missing = json!({
                    "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
                    "message": "modelversions.serin.dev \"x\" not found",
                });
                let missing = ResponseTemplate::new(404).set_body_json(missing);
                let objects = format!("^/apis/serin.dev/v1alpha1/namespaces/{namespace}/modelversions/[^/]+$");
                Mock::given(method("GET")).and(path_regex(objects)).respond_with(missing).mount(&server).await;
            }
            server
        });
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "wine",
            "clusters": [{"name": "c", "cluster": {"server": server.uri()}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [
                {"name": "wine", "context": {"cluster": "c", "user": "u", "namespace": "cellar"}},
                {"name": "other", "context": {"cluster": "c", "user": "u", "namespace": "attic"}},
            ],
        });
        std::fs::write(folder.path().join("config"), kubeconfig.to_string()).unwrap();
        Self { _runtime: runtime, _server: server, folder }
    }

    fn ask(&self, args: &[&str]) -> Output {
        self.ask_as(Path::new(env!("CARGO_BIN_EXE_serin")), args)
    }

    fn ask_as(&self, program: &Path, args: &[&str]) -> Output {
        let kubeconfig = self.folder.path().join("config");
        Command::new(program).args(args).env("KUBECONFIG", kubeconfig).output().unwrap()
    }
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.trim_end().lines().count(), 1, "one line: {text}");
    text
}

#[test]
fn provenance_is_a_statement() {
    let cluster = Cluster::new();
    let statement: Value =
        serde_json::from_str(&said(&cluster.ask(&["provenance", "wine-5f3a9c21d0"]))).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], DIGEST.strip_prefix("sha256:").unwrap());
    assert_eq!(
        refused(&cluster.ask(&["provenance", "wine-bought"])),
        "serin: wine-bought was imported: how it was made is not recorded here\n"
    );
}

#[test]
fn lineage_is_a_tree_without_colours_in_a_pipe() {
    let cluster = Cluster::new();
    let text = said(&cluster.ask(&["lineage", "wine-5f3a9c21d0", "-n", "cellar"]));
    assert!(text.starts_with("wine-5f3a9c21d0 (Trained) sha256:2c26b46b68ff…\n"), "{text}");
    assert!(text.contains("└─ parent wine-bought (Imported)"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    let tree: Value =
        serde_json::from_str(&said(&cluster.ask(&["lineage", "wine-5f3a9c21d0", "-o", "json"]))).unwrap();
    assert_eq!(tree["kind"], "version");
}

#[test]
fn what_is_not_there_is_said_in_one_line() {
    let cluster = Cluster::new();
    for command in ["provenance", "lineage"] {
        assert_eq!(
            refused(&cluster.ask(&[command, "wine-9"])),
            "serin: there is no ModelVersion wine-9 in namespace cellar\n"
        );
    }
    // The namespace comes from the context, unless it is named.
    assert!(
        refused(&cluster.ask(&["lineage", "wine-bought", "--context", "other"])).contains("namespace attic")
    );
    assert!(refused(&cluster.ask(&["lineage", "secret"])).contains("is forbidden"));
    assert!(
        refused(&cluster.ask(&["lineage", "x", "-n", "nowhere"])).contains("are Serin's CRDs installed?")
    );
    assert!(refused(&cluster.ask(&["lineage", "x", "--context", "nobody"])).contains("nobody"));
}

#[cfg(unix)]
#[test]
fn kubectl_finds_it_under_another_name() {
    let cluster = Cluster::new();
    let plugin = cluster.folder.path().join("kubectl-serin");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_serin"), &plugin).unwrap();
    assert!(
        said(&cluster.ask_as(&plugin, &["lineage", "wine-bought"])).starts_with("wine-bought (Imported)")
    );
}
