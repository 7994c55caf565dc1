//! `serin retrain`: a person's word to a RetrainPolicy.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use serin_api::{RetrainPolicy, labels};

use crate::{Failure, cluster, output};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the RetrainPolicy.
    name: String,
    #[command(flatten)]
    cluster: cluster::Flags,
}

/// Asks for a run and says what comes of it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let said = cluster::block_on(ask(args))?;
    output::print(&format!("{said}\n"))
}

async fn ask(args: &Args) -> Result<String, Failure> {
    let cluster = args.cluster.connect().await?;
    let policy: RetrainPolicy = cluster.get(&args.name).await?;
    let (change, said) = change(&policy, SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    cluster.patch::<RetrainPolicy>(&args.name, &change).await?;
    Ok(format!("retrainpolicy {}: {said}", args.name))
}

/// The merge patch, and what it means in words. `now` makes the word new.
fn change(policy: &RetrainPolicy, now: u64) -> Result<(Value, String), Failure> {
    if policy.spec.suspend {
        return Err("it is suspended: take spec.suspend away first".into());
    }
    let status = policy.status.as_ref();
    if let Some(active) = status.and_then(|s| s.active.as_ref()) {
        return Err(format!("TrainingRun {active} goes on; wait for its end").into());
    }
    let stopped = status.is_some_and(|s| s.stopped.is_some());
    let said =
        if stopped { "a run is to be started now, and the stop ends" } else { "a run is to be started now" };
    let word = json!({"metadata": {"annotations": {labels::RETRAIN_NOW: format!("by-hand-{now}")}}});
    Ok((word, said.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn policy(suspend: bool, status: &Value) -> RetrainPolicy {
        serde_json::from_value(json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "RetrainPolicy", "metadata": {"name": "weekly"},
            "spec": {
                "suspend": suspend,
                "triggers": [{"name": "stale", "maxAge": {"seconds": 86400}}],
                "template": {
                    "model": "wine", "trainer": {"image": "i", "command": ["train"]},
                    "output": {"uri": "s3://models/wine"},
                },
            },
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_word_is_new_each_time_and_says_what_it_does() {
        let (patch, said) = change(&policy(false, &json!({})), 7).unwrap();
        assert_eq!(patch["metadata"]["annotations"]["serin.dev/retrain"], "by-hand-7");
        assert_eq!(said, "a run is to be started now");
        let stopped = json!({"stopped": {"at": "2026-11-24T12:00:00Z", "generation": 1}});
        assert!(change(&policy(false, &stopped), 7).unwrap().1.contains("the stop ends"));
    }

    #[test]
    fn where_it_would_do_nothing_it_says_so() {
        let error = |suspend, status| change(&policy(suspend, &status), 7).unwrap_err().to_string();
        assert!(error(true, json!({})).contains("spec.suspend"));
        assert!(error(false, json!({"active": "weekly-1"})).contains("weekly-1 goes on"));
    }
}
