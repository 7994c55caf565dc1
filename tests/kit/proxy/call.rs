//! One request to the apiserver, in the terms of RBAC.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// What was asked of the apiserver, and what it answered.
#[derive(Debug, Clone)]
pub struct Call {
    /// When the request arrived.
    pub at: DateTime<Utc>,
    /// Until the answer's first byte.
    pub took: Duration,
    /// get, list, watch, create, update, patch, delete or deletecollection.
    pub verb: &'static str,
    /// API group; empty for the core group and for what is no resource.
    pub group: String,
    /// Plural; the path itself for what is no resource.
    pub resource: String,
    /// Subresource.
    pub subresource: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// The query string.
    pub query: String,
    /// HTTP status that the apiserver gave; 0 if it was never asked.
    pub status: u16,
    /// Who asked.
    pub user_agent: String,
    /// What was sent.
    pub body: String,
    /// Whether the one who asked got the answer.
    pub delivered: bool,
}

impl Call {
    /// Reads method, path and query.
    pub fn parse(method: &str, path: &str, query: &str) -> Self {
        let mut call = Self {
            at: Utc::now(),
            took: Duration::ZERO,
            verb: "get",
            group: String::new(),
            resource: path.to_owned(),
            subresource: None,
            namespace: None,
            name: None,
            query: query.to_owned(),
            status: 0,
            user_agent: String::new(),
            body: String::new(),
            delivered: true,
        };
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let rest = match parts.as_slice() {
            ["api", _version, rest @ ..] if !rest.is_empty() => rest,
            ["apis", group, _version, rest @ ..] if !rest.is_empty() => {
                (*group).clone_into(&mut call.group);
                rest
            }
            _ => {
                call.verb = verb(method, true, false);
                return call;
            }
        };
        let rest = match rest {
            // `namespaces/NAME/status` is about the namespace itself.
            ["namespaces", namespace, rest @ ..]
                if !rest.is_empty() && !matches!(rest, ["status" | "finalize"]) =>
            {
                call.namespace = Some((*namespace).to_owned());
                rest
            }
            rest => rest,
        };
        call.resource = rest.first().map(|&resource| resource.to_owned()).unwrap_or_default();
        call.name = rest.get(1).map(|&name| name.to_owned());
        call.subresource = rest.get(2).map(|&sub| sub.to_owned());
        let watch = query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"));
        call.verb = verb(method, call.name.is_some(), watch);
        call
    }

    /// Whether it changes something.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }

    /// A write that counts as one: not an Event, not the leader's lease.
    pub fn is_state_write(&self) -> bool {
        self.is_write() && !self.is_event() && !self.is_lease() && !self.is_review()
    }

    /// A write of an Event.
    pub fn is_event(&self) -> bool {
        self.resource == "events"
    }

    /// About a lease.
    pub fn is_lease(&self) -> bool {
        self.resource == "leases"
    }

    /// A question about permissions in the form of a POST.
    fn is_review(&self) -> bool {
        self.group == "authorization.k8s.io" || self.group == "authentication.k8s.io"
    }

    /// The rule that RBAC needs for it: group, resource (with subresource) and verb.
    pub fn rule(&self) -> (String, String, &'static str) {
        let resource = match &self.subresource {
            Some(sub) => format!("{}/{sub}", self.resource),
            None => self.resource.clone(),
        };
        (self.group.clone(), resource, self.verb)
    }
}

fn verb(method: &str, named: bool, watch: bool) -> &'static str {
    match (method, named) {
        ("GET" | "HEAD", _) if watch => "watch",
        ("GET" | "HEAD", true) => "get",
        ("GET" | "HEAD", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => "other",
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, resource, verb) = self.rule();
        let name = self.name.as_deref().unwrap_or("");
        let millis = self.took.as_secs_f64() * 1000.0;
        let at = self.at.format("%H:%M:%S%.3f");
        write!(f, "{at} {verb:<6} {resource:<24} {name:<28} {} in {millis:.1} ms", self.status)?;
        if !self.delivered {
            write!(f, " (answer lost)")?;
        }
        if self.is_write() && !self.body.is_empty() {
            let body: String = self.body.chars().take(240).collect();
            write!(f, " {body}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(method: &str, path: &str, query: &str) -> String {
        let call = Call::parse(method, path, query);
        let (group, resource, verb) = call.rule();
        let place = call.namespace.as_deref().unwrap_or("-");
        format!("{verb} {group}:{resource} {place} {}", call.name.as_deref().unwrap_or("-"))
    }

    #[test]
    fn requests_are_told_apart_as_rbac_does() {
        let cases = [
            ("GET", "/api/v1/namespaces/a/pods", "watch=true&x=1", "watch :pods a -"),
            ("GET", "/api/v1/namespaces/a/pods/p", "", "get :pods a p"),
            ("GET", "/apis/apps/v1/deployments", "limit=1", "list apps:deployments - -"),
            ("POST", "/apis/apps/v1/namespaces/a/deployments", "", "create apps:deployments a -"),
            (
                "PATCH",
                "/apis/serin.dev/v1alpha1/namespaces/a/modeldeployments/m/status",
                "",
                "patch serin.dev:modeldeployments/status a m",
            ),
            ("DELETE", "/apis/apps/v1/namespaces/a/deployments/d", "", "delete apps:deployments a d"),
            ("DELETE", "/apis/apps/v1/namespaces/a/deployments", "", "deletecollection apps:deployments a -"),
            ("GET", "/api/v1/namespaces/a", "", "get :namespaces - a"),
            ("PATCH", "/api/v1/namespaces/a/status", "", "patch :namespaces/status - a"),
            ("GET", "/version", "", "get :/version - -"),
            ("GET", "/apis/serin.dev/v1alpha1", "", "get :/apis/serin.dev/v1alpha1 - -"),
        ];
        for (method, path, query, expected) in cases {
            assert_eq!(told(method, path, query), expected);
        }
    }
}
