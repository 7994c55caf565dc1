//! What a failed test tells: the status, the children, the calls and the operator's last words.

use std::fmt::Write as _;

use crate::invariants;
use crate::operator::Operator;
use crate::world::World;

/// Lines of the operator's log and calls that are worth reading.
const TAIL: usize = 40;

/// All of it.
pub fn tell(world: &World) -> String {
    let mut text = format!("--- namespace {}\n", world.namespace);
    let now = world.history.now();
    for model in now.all("ModelDeployment") {
        let name = model["metadata"]["name"].as_str().unwrap_or_default();
        let status = serde_saphyr::to_string(&model["status"]).unwrap_or_default();
        let _ = writeln!(
            text,
            "--- ModelDeployment {name}, generation {}\n{status}",
            model["metadata"]["generation"]
        );
    }
    for deployment in now.all("Deployment") {
        let (meta, status) = (&deployment["metadata"], &deployment["status"]);
        let _ = writeln!(
            text,
            "Deployment {} slot {} replicas {} available {} deleted {}",
            meta["name"],
            meta["labels"]["serin.dev/slot"],
            deployment["spec"]["replicas"],
            status["availableReplicas"],
            meta["deletionTimestamp"],
        );
    }
    for route in now.all("HTTPRoute") {
        let (meta, weights) = (&route["metadata"], invariants::weights(route));
        let _ = writeln!(
            text,
            "HTTPRoute {} {weights:?} journal {} generation {} parents {}",
            meta["name"],
            meta["annotations"]["serin.dev/journal"],
            meta["generation"],
            route["status"]["parents"],
        );
    }
    for pod in now.all("Pod") {
        let _ = writeln!(text, "Pod {} {}", pod["metadata"]["name"], pod["status"]["phase"]);
    }
    let calls = world.proxy.calls().all();
    let _ = writeln!(text, "--- the last calls of {}", calls.len());
    for call in calls.iter().skip(calls.len().saturating_sub(TAIL)) {
        let _ = writeln!(text, "{call}");
    }
    let log = world.operator.as_ref().map(Operator::log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let _ = writeln!(text, "--- the operator's last words");
    for line in lines.iter().skip(lines.len().saturating_sub(TAIL)) {
        let _ = writeln!(text, "{line}");
    }
    text
}
