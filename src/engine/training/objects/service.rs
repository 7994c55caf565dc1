//! The headless Service of an attempt. A name of its own for each attempt, so that a late pod of the former one, or a
//! stale answer of the DNS, never leads into this one.

use serde_json::{Value, json};
use serin_api::labels;

use super::{PORT, Run};
use crate::training::Child;

/// Builds it; only attempts of more than one node need one.
pub fn service(run: &Run<'_>, attempt: i32) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": run.metadata(Child::Attempt(attempt)),
        "spec": {
            "clusterIP": "None",
            // Ranks look for each other before any of them is ready.
            "publishNotReadyAddresses": true,
            "selector": {labels::RUN_UID: run.uid, labels::ATTEMPT: attempt.to_string()},
            "ports": [{"name": "rendezvous", "port": PORT, "targetPort": PORT, "protocol": "TCP"}],
        },
    })
}

/// Whether an attempt of this run has one.
pub fn is_needed(nodes: i32) -> bool {
    nodes > 1
}
