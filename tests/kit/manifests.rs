//! Manifests of the repository, applied as a user would.

use std::io::Write as _;
use std::process::Stdio;

use serin_bed::Bed;

use crate::cluster::root;

/// Kinds that make up the operator's identity and permissions. Its Deployment is left out: the operator under test
/// is a process of the test.
const PERMISSIONS: &[&str] =
    &["Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];

/// The permissions in `deploy/`; empty while there are none.
pub fn permissions() -> String {
    let mut documents: Vec<String> = files("deploy")
        .iter()
        .flat_map(|text| split(text))
        .filter(|document| kind(document).is_some_and(|kind| PERMISSIONS.contains(&kind)))
        .collect();
    // A namespace stands before what is in it.
    documents.sort_by_key(|document| kind(document) != Some("Namespace"));
    documents.join("\n---\n")
}

/// A manifest of the repository.
pub fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn files(folder: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root().join(folder)) else { return Vec::new() };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "yaml"));
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn split(text: &str) -> Vec<String> {
    text.split("\n---").map(|document| document.trim_start_matches("---").to_owned()).collect()
}

/// The document's own kind, which stands at the beginning of a line.
pub fn kind(document: &str) -> Option<&str> {
    document.lines().find_map(|line| line.strip_prefix("kind:")).map(str::trim)
}

/// The documents of one kind in a folder, such as `deploy`.
pub fn of_kind(folder: &str, wanted: &str) -> Vec<serde_json::Value> {
    files(folder)
        .iter()
        .flat_map(|text| split(text))
        .filter(|document| kind(document) == Some(wanted))
        .map(|document| serde_saphyr::from_str(&document).unwrap())
        .collect()
}

/// Applies documents by server-side apply.
pub async fn apply(bed: &Bed, documents: &str) {
    if documents.trim().is_empty() {
        return;
    }
    let said = kubectl(bed, &["apply", "--server-side", "--force-conflicts", "-f", "-"], documents).await;
    said.unwrap_or_else(|said| panic!("kubectl apply: {said}"));
}

/// Returns when every definition is served.
pub async fn wait_for_crds(bed: &Bed) {
    let said =
        kubectl(bed, &["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"], "").await;
    said.unwrap_or_else(|said| panic!("kubectl wait: {said}"));
}

/// Runs kubectl as an administrator: what it printed, or what it complained of.
pub async fn kubectl(bed: &Bed, args: &[&str], input: &str) -> Result<String, String> {
    let mut command = bed.kubectl();
    command.args(args);
    let input = input.to_owned();
    let run = tokio::task::spawn_blocking(move || {
        let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = streams.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // A command that ends before it has read everything says why itself.
        let _ = pipe.write_all(input.as_bytes());
        drop(pipe);
        child.wait_with_output().unwrap()
    });
    let output = run.await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
