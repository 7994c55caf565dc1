//! The lease as the Kubernetes API has it.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::{Value, json};
use serin_lease::{Claim, Record};

/// What counts of it.
pub fn record(lease: Lease) -> Record {
    let spec = lease.spec.unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok());
    Record {
        version: lease.metadata.resource_version.unwrap_or_default(),
        holder: spec.holder_identity,
        renewed: spec.renew_time.map(|time| time.0.to_string()).unwrap_or_default(),
        transitions: spec.lease_transitions.and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
        duration: seconds.map(Duration::from_secs),
    }
}

/// A whole new one.
pub fn create(name: &str, claim: &Claim, duration: Duration, now: DateTime<Utc>) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name},
        "spec": spec(claim, duration, now),
    })
}

/// The change of one that still has this version. A merge patch leaves alone what others wrote into its metadata.
pub fn update(version: &str, claim: &Claim, duration: Duration, now: DateTime<Utc>) -> Value {
    json!({"metadata": {"resourceVersion": version}, "spec": spec(claim, duration, now)})
}

fn spec(claim: &Claim, duration: Duration, now: DateTime<Utc>) -> Value {
    let now = now.to_rfc3339_opts(SecondsFormat::Micros, true);
    let mut spec = json!({
        // `null` takes it away; left out, the old holder would stay.
        "holderIdentity": claim.holder,
        "leaseDurationSeconds": duration.as_secs(),
        "leaseTransitions": claim.transitions,
        "renewTime": now,
    });
    if claim.acquires {
        spec["acquireTime"] = json!(now);
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let claim = Claim { holder: Some("me".to_owned()), transitions: 3, acquires: true };
        let now = DateTime::from_timestamp_micros(1_700_000_000_000_001).unwrap();
        let mut object = create("serin", &claim, Duration::from_secs(15), now);
        object["metadata"]["resourceVersion"] = json!("7");
        let first = record(serde_json::from_value(object.clone()).unwrap());
        assert_eq!((first.version.as_str(), first.holder(), first.transitions), ("7", Some("me"), 3));
        assert_eq!(first.duration, Some(Duration::from_secs(15)));
        object["spec"]["renewTime"] = json!("2023-11-14T22:13:20.000002Z");
        assert_ne!(
            first.renewed,
            record(serde_json::from_value(object).unwrap()).renewed,
            "a microsecond counts"
        );
    }

    #[test]
    fn given_back_it_has_no_holder() {
        let claim = Claim { holder: None, transitions: 3, acquires: false };
        let patch = update("7", &claim, Duration::from_secs(15), DateTime::UNIX_EPOCH);
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert!(patch["spec"].as_object().unwrap().contains_key("holderIdentity"));
        assert!(patch["spec"]["holderIdentity"].is_null() && patch["spec"]["acquireTime"].is_null());
        let empty: Lease = serde_json::from_value(json!({"metadata": {"name": "serin"}})).unwrap();
        assert_eq!(record(empty).holder(), None);
    }
}
