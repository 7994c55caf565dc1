//! What the apiserver itself wrote down about requests: who sent them, and when each began and was over by its one clock.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::world::World;

/// A place in the log.
#[derive(Debug, Clone, Copy)]
pub struct Mark(u64);

/// A request of an operator that changes something, whatever came of it.
#[derive(Debug, Clone)]
pub struct Write {
    /// The client, by its own word: `serin/0.1.0 (POD_RANDOM)`.
    pub agent: String,
    /// create, update, patch, delete or deletecollection.
    pub verb: String,
    /// Plural, with the subresource.
    pub resource: String,
    /// Name; empty for what was created.
    pub name: String,
    /// HTTP status of the answer.
    pub code: u64,
    /// When it arrived.
    pub at: DateTime<Utc>,
    /// When it was over.
    pub done: DateTime<Utc>,
}

impl Write {
    /// Whether it is about the lease itself.
    pub fn is_lease(&self) -> bool {
        self.resource == "leases"
    }
    /// A write that counts as one.
    pub fn is_state(&self) -> bool {
        !self.is_lease() && self.resource != "events"
    }
    /// Whether it happened.
    pub fn happened(&self) -> bool {
        self.code < 300
    }
}

/// The end of the log as it is now.
pub fn mark(world: &World) -> Mark {
    Mark(std::fs::metadata(world.cluster().bed().audit_log()).map_or(0, |m| m.len()))
}

/// The operators' writes in the test's namespace since then, in the order of their arrival.
pub fn since(world: &World, mark: Mark) -> Vec<Write> {
    let mut file = File::open(world.cluster().bed().audit_log()).unwrap();
    file.seek(SeekFrom::Start(mark.0)).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    // Most lines are others'; the last may be half written.
    let ours = text.lines().filter(|line| line.contains(&world.namespace) && line.contains("\"serin/"));
    let mut writes: Vec<Write> = ours
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter_map(|line: Value| write(&line))
        .collect();
    writes.sort_by_key(|write| write.at);
    writes
}

fn write(line: &Value) -> Option<Write> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (verb, agent) = (text(&line["verb"]), text(&line["userAgent"]));
    let changes = !matches!(verb.as_str(), "get" | "list" | "watch");
    let about = &line["objectRef"];
    let resource = match about["subresource"].as_str() {
        Some(sub) => format!("{}/{sub}", text(&about["resource"])),
        None => text(&about["resource"]),
    };
    (changes && agent.starts_with("serin/")).then(|| Write {
        agent,
        verb,
        resource,
        name: text(&about["name"]),
        code: line["responseStatus"]["code"].as_u64().unwrap_or(0),
        at: line["requestReceivedTimestamp"].as_str().unwrap_or_default().parse().unwrap_or_default(),
        done: line["stageTimestamp"].as_str().unwrap_or_default().parse().unwrap_or_default(),
    })
}
