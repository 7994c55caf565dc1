//! What a failed test tells: the status, the children, the calls and the operator's last words.

use std::fmt::Write as _;

use crate::invariants;
use crate::operator::Operator;
use crate::world::World;

/// Calls and lines of the log that are worth reading at once.
const TAIL: usize = 25;
/// Lines about objects that are worth reading at once.
const OBJECTS: usize = 400;
/// Longest line shown at once.
const WIDTH: usize = 180;

/// The end of it, and where the rest is written.
pub fn tell(world: &World) -> String {
    let calls: Vec<String> = world.proxy.calls().all().iter().map(ToString::to_string).collect();
    let log = world.operator.as_ref().map(Operator::log).unwrap_or_default();
    let lines: Vec<String> = log.lines().map(ToOwned::to_owned).collect();
    let objects = objects(world);

    let file = world.folder().join("story.txt");
    let whole = [("objects", &objects), ("calls", &calls), ("log", &lines)]
        .map(|(title, lines)| format!("=== {title}\n{}\n", lines.join("\n")));
    std::fs::write(&file, whole.concat()).unwrap();

    let mut text = format!("--- namespace {}; the whole story: {}\n", world.namespace, file.display());
    append(&mut text, &objects[..objects.len().min(OBJECTS)]);
    let _ = writeln!(text, "--- the last calls of {}", calls.len());
    append(&mut text, &calls[calls.len().saturating_sub(TAIL)..]);
    let _ = writeln!(text, "--- the operator's last words");
    let told: Vec<String> = lines.iter().filter(|line| !line.contains("\"DEBUG\"")).cloned().collect();
    append(&mut text, &told[told.len().saturating_sub(TAIL)..]);
    text
}

fn append(text: &mut String, lines: &[String]) {
    for line in lines {
        let short: String = line.chars().take(WIDTH).collect();
        let _ = writeln!(text, "{short}");
    }
}

fn objects(world: &World) -> Vec<String> {
    let now = world.history.now();
    let mut lines = Vec::new();
    for model in now.all("ModelDeployment") {
        let mut status = model["status"].clone();
        // Long, and never what a test is about.
        status["stable"]["spec"] = serde_json::Value::Null;
        let status = serde_saphyr::to_string(&status).unwrap_or_default();
        lines.push(format!(
            "ModelDeployment {} generation {}",
            model["metadata"]["name"], model["metadata"]["generation"]
        ));
        lines.extend(status.lines().map(|line| format!("  {line}")));
    }
    for kind in ["TrainingRun", "ModelVersion"] {
        for object in now.all(kind) {
            let status = serde_saphyr::to_string(&object["status"]).unwrap_or_default();
            lines.push(format!("{kind} {}", object["metadata"]["name"]));
            lines.extend(status.lines().map(|line| format!("  {line}")));
        }
    }
    for job in now.all("Job") {
        let (meta, status) = (&job["metadata"], &job["status"]);
        lines.push(format!(
            "Job {} suspended {} deleted {} status {status}",
            meta["name"], job["spec"]["suspend"], meta["deletionTimestamp"],
        ));
    }
    for deployment in now.all("Deployment") {
        let (meta, status) = (&deployment["metadata"], &deployment["status"]);
        lines.push(format!(
            "Deployment {} slot {} replicas {} available {} deleted {}",
            meta["name"],
            meta["labels"]["serin.dev/slot"],
            deployment["spec"]["replicas"],
            status["availableReplicas"],
            meta["deletionTimestamp"],
        ));
    }
    for route in now.all("HTTPRoute") {
        let (meta, weights) = (&route["metadata"], invariants::weights(route));
        let journal = &meta["annotations"]["serin.dev/journal"];
        lines.push(format!(
            "HTTPRoute {} {weights:?} journal {journal} generation {}",
            meta["name"], meta["generation"]
        ));
    }
    for pod in now.all("Pod") {
        let (name, image) = (&pod["metadata"]["name"], &pod["spec"]["containers"][0]["image"]);
        lines.push(format!("Pod {name} {image} {}", pod["status"]["phase"]));
    }
    lines
}
