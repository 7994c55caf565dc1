//! The operator's page, as a person sees it: through `kubectl port-forward`, in a real browser.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, ChildStdout, Stdio},
    time::Duration,
};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::json;
use serin_api::Outcome;
use serin_e2e::{
    Error, client,
    images::{self, Version},
    install,
    ring::{Scene, run},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_the_evidence_and_can_change_nothing() {
    run("page", async |scene| {
        scene.begin().await?;
        let load = scene.load(100)?;
        scene.answers(&load, Version::V1).await?;
        scene.apply(Version::BadFeatures).await?;
        scene.ended("v3", Outcome::RolledBack).await?;
        load.stop().await?;
        let digest = &scene.ring.built.model(Version::V1)?.digest;
        let record = json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "ModelVersion",
            "metadata": {"name": "wine-bought", "namespace": scene.wine.namespace},
            "spec": {"model": "wine", "origin": "Imported", "artifact": {
                "uri": "https://models.example/wine", "digest": digest, "sizeBytes": 1, "format": "onnx",
            }},
        });
        client::apply(&scene.ring.bed, &record.to_string())?;

        let forward = Forward::start(scene, &leader(scene).await?)?;
        let namespace = scene.wine.namespace.clone();
        let (rollout, version) =
            (format!("/deployments/{namespace}/wine"), format!("/versions/{namespace}/wine-bought"));
        // The watch may be a moment behind the apply.
        client::until("the page of a version", Duration::from_secs(30), || async {
            let said = forward.ask("GET", &version).map_err(|e| e.to_string())?;
            if said.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(said) }
        })
        .await?;

        let list = forward.browse("/", "list").await?;
        assert!(list.contains(&rollout) && list.contains("RolledBack"), "{list}");
        let seen = forward.browse(&rollout, "rollout").await?;
        assert!(seen.contains("<h1>wine: v3") && seen.contains("Evidence against it"), "{seen}");
        assert!(
            seen.matches("<polyline").count() >= 4,
            "the evidence, both versions' errors, the weight: {seen}"
        );
        let lineage = forward.browse(&version, "lineage").await?;
        assert!(lineage.contains("wine-bought (Imported"), "{lineage}");

        for path in ["/", &rollout, &version] {
            let head = forward.ask("GET", path)?.to_lowercase();
            assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
            assert!(!head.contains("<script") && !head.contains("<form"), "{head}");
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                let said = forward.ask(method, path)?;
                assert!(said.starts_with("HTTP/1.1 405"), "{method} {path}: {said}");
            }
        }
        for path in ["/deployments/x/y", "/versions/x/..%2f..%2fsecrets", "/metrics", "/deployments/%00/%0a"]
        {
            let said = forward.ask("GET", path)?;
            assert!(said.starts_with("HTTP/1.1 404"), "{path}: {said}");
        }
        Ok(())
    })
    .await;
}

/// The pod that decides: it has the page. Its name stands in the lease, before a word of its own.
async fn leader(scene: &Scene) -> Result<String, Error> {
    let leases: Api<Lease> = Api::namespaced(scene.kube.clone(), install::NAMESPACE);
    let holder = leases.get("serin").await?.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
    let (pod, _) = holder.rsplit_once('_').ok_or_else(|| format!("{holder:?} is no holder of ours"))?;
    Ok(format!("pod/{pod}"))
}

/// `kubectl port-forward` to the operator; it ends with this.
struct Forward {
    child: Child,
    /// It says each connection, and ends when nobody listens.
    _said: BufReader<ChildStdout>,
    port: u16,
    browser: PathBuf,
}

impl Forward {
    fn start(scene: &Scene, pod: &str) -> Result<Self, Error> {
        let browser = serin_bed::chromium(&mut |line| eprintln!("{line}"))?;
        let mut command = scene.ring.bed.kubectl();
        command.args(["port-forward", "-n", install::NAMESPACE, pod]);
        command.arg(format!(":{}", install::PAGE_PORT));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().ok_or("no output of kubectl port-forward")?);
        said.read_line(&mut line)?;
        // Forwarding from 127.0.0.1:40123 -> 8081
        let port = line.split_once("127.0.0.1:").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        let Some(port) = port else {
            let _ = child.kill();
            return Err(format!("kubectl port-forward said {line:?}").into());
        };
        Ok(Self { child, _said: said, port, browser })
    }

    /// Head and body of an answer.
    fn ask(&self, method: &str, path: &str) -> Result<String, Error> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(15)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )?;
        let mut said = Vec::new();
        stream.read_to_end(&mut said)?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// What a browser made of a page; a picture of it stays in `target/e2e/page`.
    async fn browse(&self, path: &str, name: &str) -> Result<String, Error> {
        let folder = images::target().join("e2e/page");
        let profile = folder.join(format!("profile-{name}"));
        std::fs::create_dir_all(&profile)?;
        let mut command = tokio::process::Command::new(&self.browser);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.args(["--hide-scrollbars", "--window-size=900,1300", "--dump-dom"]);
        command.arg(format!("--user-data-dir={}", profile.display()));
        command.arg(format!("--screenshot={}", folder.join(format!("{name}.png")).display()));
        command.arg(format!("http://127.0.0.1:{}{path}", self.port));
        let output = tokio::time::timeout(Duration::from_mins(1), command.kill_on_drop(true).output());
        let output = output.await.map_err(|_| "chromium took more than a minute")??;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
