//! `serin promote|abort|retry|skip|pause|resume|undo`: what a person decides about a rollout.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use serin_api::{ModelDeployment, Phase, labels};

use crate::{Failure, cluster, output, undo};

/// Arguments of each.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the ModelDeployment.
    name: String,
    #[command(flatten)]
    cluster: cluster::Flags,
}

/// What a person decides.
#[derive(Clone, Copy)]
pub enum Order {
    /// The candidate takes over without further evidence.
    Promote,
    /// The candidate goes back, and stays rejected.
    Abort,
    /// The rejected version is tried again.
    Retry,
    /// The present step is left behind.
    Skip,
    /// The version before is asked for again.
    Undo,
    /// The weight is held.
    Pause,
    /// It is no longer.
    Resume,
}

/// Gives an order and says to whom.
pub fn run(args: &Args, order: Order) -> Result<(), Failure> {
    let said = cluster::block_on(give(args, order))?;
    output::print(&format!("{said}\n"))
}

async fn give(args: &Args, order: Order) -> Result<String, Failure> {
    let cluster = args.cluster.connect().await?;
    let deployment: ModelDeployment = cluster.get(&args.name).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let (change, said) = change(&deployment, order, now)?;
    cluster.patch::<ModelDeployment>(&args.name, &change).await?;
    Ok(format!("modeldeployment {}: {said}", args.name))
}

/// The merge patch, and what it means in words. `now` makes an order new; the revision makes it about what was seen.
fn change(deployment: &ModelDeployment, order: Order, now: u64) -> Result<(Value, String), Failure> {
    let status = deployment.status.clone().unwrap_or_default();
    let stable = status.stable.as_ref().map_or("nothing", |stable| &stable.version);
    let mark =
        |key: &str, revision: &str| json!({"metadata": {"annotations": {key: format!("{revision} {now}")}}});
    let nobody = || Failure::from(format!("no version is being tried; {stable} serves"));
    match order {
        Order::Promote => {
            let candidate = status.candidate.as_ref().ok_or_else(nobody)?;
            let said = format!("{} ({}) is to take over now", candidate.version, candidate.revision);
            Ok((mark(labels::PROMOTE, &candidate.revision), said))
        }
        Order::Abort => {
            let candidate = status.candidate.as_ref().ok_or_else(nobody)?;
            let said = format!("{} ({}) is to go back to {stable}", candidate.version, candidate.revision);
            Ok((mark(labels::ABORT, &candidate.revision), said))
        }
        Order::Retry => {
            let failed = status.last_failed.as_ref().ok_or("no version was rejected")?;
            let said = format!("{} ({}) is to be tried again", failed.version, failed.revision);
            Ok((mark(labels::RETRY, &failed.revision), said))
        }
        Order::Skip => {
            let candidate = status.candidate.as_ref().ok_or_else(nobody)?;
            let at = candidate.step_index;
            let steps = status.resolved.as_ref().map_or(&[][..], |resolved| &resolved.steps);
            let present = usize::try_from(at - 1).ok().and_then(|i| steps.get(i));
            let Some(present) = present.filter(|_| candidate.phase == Phase::Canary) else {
                return Err(
                    format!("{} is at no step: it is {:?}", candidate.version, candidate.phase).into()
                );
            };
            if usize::try_from(at).is_ok_and(|at| at >= steps.len()) && !present.pause {
                let version = &candidate.version;
                return Err(format!("{version} is at its last step; `promote` lets it take over").into());
            }
            let said = format!("{} is to go on from step {}", candidate.version, candidate.step);
            let order = format!("{} {at} {now}", candidate.revision);
            Ok((json!({"metadata": {"annotations": {labels::SKIP: order}}}), said))
        }
        Order::Undo => undo::change(deployment, &status),
        Order::Pause | Order::Resume => {
            let pause = matches!(order, Order::Pause);
            if deployment.spec.rollout.paused == pause {
                return Err(if pause { "it is paused already" } else { "it is not paused" }.into());
            }
            let said = if pause { "the weight is held where it is" } else { "the rollout goes on" };
            Ok((json!({"spec": {"rollout": {"paused": pause}}}), said.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn deployment(status: &Value) -> ModelDeployment {
        serde_json::from_value(json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "wine"},
            "spec": {
                "model": {"artifact": {"uri": "pvc://m/wine", "digest": format!("sha256:{}", "0".repeat(64))}},
                "server": {"image": "registry.example/wine:1"},
            },
            "status": status,
        }))
        .unwrap()
    }

    fn rejected() -> ModelDeployment {
        deployment(&json!({"lastFailed": {
            "revision": "r1-2", "version": "v2", "digest": "sha256:2", "reason": "AnalysisFailed", "message": "worse",
            "at": "2026-08-01T10:00:00Z",
        }}))
    }

    #[test]
    fn an_order_names_the_revision_and_is_new_each_time() {
        let (patch, said) = change(&rejected(), Order::Retry, 7).unwrap();
        assert_eq!(patch["metadata"]["annotations"]["serin.dev/retry"], "r1-2 7");
        assert_eq!(said, "v2 (r1-2) is to be tried again");
    }

    #[test]
    fn nothing_is_ordered_where_there_is_nothing_to_decide() {
        for (order, says) in [
            (Order::Promote, "no version is being tried"),
            (Order::Abort, "no version is being tried"),
            (Order::Resume, "it is not paused"),
        ] {
            let error = change(&rejected(), order, 7).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
        }
        let error = change(&deployment(&json!({})), Order::Retry, 7).unwrap_err().to_string();
        assert_eq!(error, "no version was rejected");
    }

    #[test]
    fn a_pause_is_a_field_of_the_spec() {
        let (patch, _) = change(&rejected(), Order::Pause, 7).unwrap();
        assert_eq!(patch, json!({"spec": {"rollout": {"paused": true}}}));
    }
}
