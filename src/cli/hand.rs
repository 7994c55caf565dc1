//! `serin promote|abort|retry|skip|pause|resume|undo`: what a person decides about a rollout.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use serin_api::{ModelDeployment, ModelDeploymentStatus, Phase, labels};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// An order about what was seen when it was made: about that candidate, at that step, and about no other.
#[derive(Debug)]
pub struct Prepared {
    /// What a person is asked before it is sent.
    pub question: String,
    /// What it means, once it is sent.
    said: String,
    change: Value,
    order: Order,
    about: Subject,
}

/// What an order is about.
#[derive(Debug, PartialEq, Eq)]
struct Subject {
    uid: Option<String>,
    revision: Option<String>,
    step: Option<i32>,
}

/// Gives an order and says to whom.
pub fn run(args: &Args, order: Order) -> Result<(), Failure> {
    let said = cluster::block_on(give(args, order))?;
    output::print(&format!("{said}\n"))
}

async fn give(args: &Args, order: Order) -> Result<String, Failure> {
    let cluster = args.cluster.connect().await?;
    let deployment: ModelDeployment = cluster.get(&args.name).await?;
    let order = prepare(&deployment, order, SystemTime::now())?;
    send(&cluster, &args.name, &order).await
}

/// Makes an order from what is seen; an error says why there is nothing to order.
pub fn prepare(deployment: &ModelDeployment, order: Order, now: SystemTime) -> Result<Prepared, Failure> {
    let (change, said) = change(deployment, order, now.duration_since(UNIX_EPOCH)?.as_secs())?;
    let about = Subject::of(deployment, order);
    Ok(Prepared { question: question(deployment, order), said, change, order, about })
}

/// Sends it, and says what it means.
pub async fn send(cluster: &cluster::Cluster, name: &str, order: &Prepared) -> Result<String, Failure> {
    cluster.patch::<ModelDeployment>(name, &order.change).await?;
    Ok(format!("modeldeployment {name}: {}", order.said))
}

impl Prepared {
    /// Whether what it is about is still there.
    pub fn holds(&self, deployment: &ModelDeployment) -> bool {
        self.about == Subject::of(deployment, self.order)
    }
}

impl Subject {
    fn of(deployment: &ModelDeployment, order: Order) -> Self {
        let status = deployment.status.as_ref();
        let candidate = status.and_then(|s| s.candidate.as_ref());
        let revision = match order {
            Order::Retry => status.and_then(refused).map(|(_, revision)| revision),
            Order::Undo => status.and_then(|s| s.stable.as_ref()).map(|s| &s.revision),
            Order::Promote | Order::Abort | Order::Skip | Order::Pause | Order::Resume => {
                candidate.map(|c| &c.revision)
            }
        };
        let step = candidate.filter(|_| matches!(order, Order::Skip)).map(|c| c.step_index);
        Self { uid: deployment.metadata.uid.clone(), revision: revision.cloned(), step }
    }
}

/// The version that was rejected last, and its revision. One that is barred in a channel may be from before this object was
/// made.
fn refused(status: &ModelDeploymentStatus) -> Option<(&String, &String)> {
    let bars = status.channel.iter().flat_map(|channel| &channel.bars);
    let bars = bars.map(|bar| (bar.at, &bar.version, &bar.revision));
    let failed = status.last_failed.iter().map(|failed| (failed.at, &failed.version, &failed.revision));
    bars.chain(failed).max_by_key(|(at, ..)| *at).map(|(_, version, revision)| (version, revision))
}

fn question(deployment: &ModelDeployment, order: Order) -> String {
    let status = deployment.status.as_ref();
    let candidate = status.and_then(|s| s.candidate.as_ref());
    let whom = candidate.map_or(String::new(), |c| format!("{} ({})", c.version, c.revision));
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    match order {
        Order::Promote => format!("promote {whom}?"),
        Order::Abort => format!("abort {whom}?"),
        Order::Skip => format!("skip step {} of {whom}?", candidate.map_or("", |c| &c.step)),
        Order::Retry => {
            let refused = status.and_then(refused);
            refused.map_or(String::new(), |(version, revision)| format!("retry {version} ({revision})?"))
        }
        Order::Undo => format!("undo the last change of {name}?"),
        Order::Pause => format!("pause the rollout of {name}?"),
        Order::Resume => format!("resume the rollout of {name}?"),
    }
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
            let (version, revision) = refused(&status).ok_or("no version was rejected")?;
            let said = format!("{version} ({revision}) is to be tried again");
            Ok((mark(labels::RETRY, revision), said))
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
    use crate::fixtures;

    fn rejected() -> ModelDeployment {
        fixtures::deployment(&json!({"lastFailed": {
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
    fn what_is_barred_is_tried_again_also_where_nothing_failed_yet() {
        let bar = |version: &str, at: &str| {
            json!({"version": version, "digest": "sha256:2", "revision": format!("r1-{version}"),
                "reason": "AnalysisFailed", "at": at})
        };
        let bars = json!([bar("v3", "2026-08-01T09:00:00Z"), bar("v2", "2026-08-01T08:00:00Z")]);
        let made_again = fixtures::deployment(&json!({"channel": {"model": "wine", "bars": bars}}));
        let (patch, said) = change(&made_again, Order::Retry, 7).unwrap();
        assert_eq!(patch["metadata"]["annotations"]["serin.dev/retry"], "r1-v3 7");
        assert_eq!(said, "v3 (r1-v3) is to be tried again");
        let mut newer = rejected();
        newer.status.as_mut().unwrap().channel = made_again.status.unwrap().channel;
        assert_eq!(question(&newer, Order::Retry), "retry v2 (r1-2)?");
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
        let error = change(&fixtures::deployment(&json!({})), Order::Retry, 7).unwrap_err().to_string();
        assert_eq!(error, "no version was rejected");
    }

    #[test]
    fn an_order_is_about_what_was_seen() {
        let seen = fixtures::trying();
        let skip = prepare(&seen, Order::Skip, UNIX_EPOCH).unwrap();
        let promote = prepare(&seen, Order::Promote, UNIX_EPOCH).unwrap();
        assert_eq!(skip.question, "skip step 2/3 of v2 (r1-v2)?");
        assert_eq!(promote.question, "promote v2 (r1-v2)?");
        let mut next_step = seen.clone();
        next_step.status.as_mut().unwrap().candidate.as_mut().unwrap().step_index = 3;
        assert!(!skip.holds(&next_step) && promote.holds(&next_step));
        let mut another = seen.clone();
        another.status.as_mut().unwrap().candidate.as_mut().unwrap().revision = "r1-v3".to_owned();
        assert!(!promote.holds(&another) && !promote.holds(&fixtures::promoted()));
        let mut namesake = seen;
        namesake.metadata.uid = Some("u2".to_owned());
        assert!(!promote.holds(&namesake));
    }

    #[test]
    fn a_pause_is_a_field_of_the_spec() {
        let (patch, _) = change(&rejected(), Order::Pause, 7).unwrap();
        assert_eq!(patch, json!({"spec": {"rollout": {"paused": true}}}));
    }
}
