//! What the operator asked the apiserver for, from the apiserver's own log.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serin_bed::Bed;

use crate::Error;

/// The operator's ServiceAccount.
pub const OPERATOR: &str = "system:serviceaccount:serin-system:serin";

/// Group, resource (with its subresource) and verb, as rights are granted.
pub type Right = (String, String, String);

/// One call of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `get`, `list`, `watch`, `create`, `patch`, `delete` …
    pub verb: String,
    /// API group; empty for the core.
    pub group: String,
    /// `modeldeployments/status`; a path such as `/apis` for what is no resource.
    pub resource: String,
    /// Namespace, if any.
    pub namespace: String,
    /// Name, if any.
    pub name: String,
    /// HTTP status of the answer.
    pub code: u16,
    /// When it arrived.
    pub at: DateTime<Utc>,
    /// Whether the rights did not allow it.
    pub forbidden: bool,
}

impl Call {
    /// The right that it takes; `None` for paths that are no resource, which are everybody's.
    pub fn right(&self) -> Option<Right> {
        let is_resource = !self.resource.starts_with('/');
        is_resource.then(|| (self.group.clone(), self.resource.clone(), self.verb.clone()))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}/{} {}", self.verb, self.resource, self.namespace, self.name, self.code)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(default)]
    request_received_timestamp: DateTime<Utc>,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: User,
    #[serde(default)]
    object_ref: Option<ObjectRef>,
    #[serde(default)]
    response_status: Option<ResponseStatus>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

impl From<Line> for Call {
    fn from(line: Line) -> Self {
        let path = line.request_uri.split('?').next().unwrap_or_default().to_owned();
        let about = line.object_ref.unwrap_or_default();
        let resource = match (about.resource.as_str(), about.subresource.as_str()) {
            ("", _) => path,
            (resource, "") => resource.to_owned(),
            (resource, sub) => format!("{resource}/{sub}"),
        };
        let decision = line.annotations.get("authorization.k8s.io/decision");
        Self {
            verb: line.verb,
            group: about.api_group,
            resource,
            namespace: about.namespace,
            name: about.name,
            at: line.request_received_timestamp,
            code: line.response_status.map_or(0, |s| s.code),
            forbidden: decision.is_some_and(|d| d == "forbid"),
        }
    }
}

/// A place in the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark(u64);

/// The end of the log as it is now.
pub fn mark(bed: &Bed) -> Mark {
    // No log yet: everything is still to come.
    Mark(std::fs::metadata(bed.audit_log()).map_or(0, |m| m.len()))
}

/// The operator's calls since then.
pub fn since(bed: &Bed, mark: Mark) -> Result<Vec<Call>, Error> {
    let mut file = std::fs::File::open(bed.audit_log())?;
    file.seek(SeekFrom::Start(mark.0))?;
    let mut calls = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line?;
        // Most lines are others'; reading them as JSON would take most of the time.
        if !line.contains(OPERATOR) {
            continue;
        }
        // The last line may be half written.
        let Ok(line) = serde_json::from_str::<Line>(&line) else { continue };
        if line.user.username == OPERATOR {
            calls.push(line.into());
        }
    }
    Ok(calls)
}

/// What a stretch of time cost the apiserver in one namespace.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// Writes besides Events.
    pub writes: Vec<Call>,
    /// Events.
    pub events: usize,
    /// Reads of single objects.
    pub reads: usize,
}

impl Cost {
    /// Of a namespace, since then.
    pub fn of(bed: &Bed, mark: Mark, namespace: &str) -> Result<Self, Error> {
        let mut cost = Self::default();
        for call in since(bed, mark)?.into_iter().filter(|c| c.namespace == namespace) {
            match call.verb.as_str() {
                "create" | "patch" if call.resource == "events" => cost.events += 1,
                "create" | "patch" | "update" | "delete" | "deletecollection" => cost.writes.push(call),
                "get" => cost.reads += 1,
                _ => {}
            }
        }
        Ok(cost)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorts: BTreeMap<String, usize> = BTreeMap::new();
        for call in &self.writes {
            *sorts.entry(format!("{} {}", call.verb, call.resource)).or_default() += 1;
        }
        let sorts: Vec<String> = sorts.into_iter().map(|(sort, n)| format!("{n} {sort}")).collect();
        let Self { writes, events, reads } = self;
        write!(f, "{} writes ({}), {events} events, {reads} reads", writes.len(), sorts.join(", "))
    }
}

/// Rights used by calls.
pub fn used(calls: &[Call]) -> BTreeSet<Right> {
    calls.iter().filter_map(Call::right).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_call() {
        let line = r#"{"verb":"patch","requestURI":"/apis/serin.dev/v1alpha1/namespaces/a/modeldeployments/b/status?x=y",
            "user":{"username":"system:serviceaccount:serin-system:serin"},
            "objectRef":{"apiGroup":"serin.dev","resource":"modeldeployments","subresource":"status","namespace":"a","name":"b"},
            "responseStatus":{"code":403},"annotations":{"authorization.k8s.io/decision":"forbid"}}"#;
        let call: Call = serde_json::from_str::<Line>(line).unwrap().into();
        assert!(call.forbidden);
        assert_eq!(
            call.right().unwrap(),
            ("serin.dev".into(), "modeldeployments/status".into(), "patch".into())
        );
    }

    #[test]
    fn discovery_takes_no_right() {
        let line = r#"{"verb":"get","requestURI":"/apis?timeout=32s","user":{"username":"x"}}"#;
        let call: Call = serde_json::from_str::<Line>(line).unwrap().into();
        assert_eq!((call.resource.as_str(), call.right()), ("/apis", None));
    }
}
