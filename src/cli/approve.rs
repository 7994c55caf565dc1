//! `serin approve`: a person lets a ModelVersion into the channels that ask for it, or takes that back.

use serde_json::{Value, json};
use serin_api::{
    ModelVersion,
    conditions::{self, Type},
    labels,
};

use crate::{Failure, cluster, output};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the ModelVersion.
    name: String,
    /// Why; kept with the version, for people.
    #[arg(long, value_name = "WORDS", default_value = "by hand")]
    reason: String,
    /// Take the approval back: channels with approval Manual leave the version.
    #[arg(long)]
    withdraw: bool,
    #[command(flatten)]
    cluster: cluster::Flags,
}

/// Longest reason, in characters.
const REASON_MAX: usize = 300;

/// Approves, and says what it means.
pub fn run(args: &Args) -> Result<(), Failure> {
    let said = cluster::block_on(async {
        let cluster = args.cluster.connect().await?;
        let version: ModelVersion = cluster.get(&args.name).await?;
        let (change, said) =
            if args.withdraw { withdraw(&version) } else { approve(&version, &args.reason) }?;
        cluster.patch::<ModelVersion>(&args.name, &change).await?;
        Ok(said)
    })?;
    output::print(&format!("modelversion {}: {said}\n", args.name))
}

/// The merge patch, and what it means in words; an error says why it would change nothing.
fn approve(version: &ModelVersion, reason: &str) -> Result<(Value, String), Failure> {
    let name = version.metadata.name.as_deref().unwrap_or_default();
    let all = version.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    if conditions::is_true(all, Type::Revoked) || annotation(version, labels::REVOKED).is_some() {
        return Err(format!("{name} was revoked: no channel serves it any more").into());
    }
    if !conditions::is_true(all, Type::Evaluated) {
        return Err(format!("{name} has passed no evaluation: no channel serves it, approved or not").into());
    }
    if let Some(why) = annotation(version, labels::APPROVED) {
        return Err(format!("{name} is approved already ({why})").into());
    }
    if reason.chars().count() > REASON_MAX {
        return Err(format!("--reason is longer than {REASON_MAX} characters").into());
    }
    let said = "approved; channels with approval Manual may serve it".to_owned();
    Ok((json!({"metadata": {"annotations": {labels::APPROVED: reason}}}), said))
}

fn withdraw(version: &ModelVersion) -> Result<(Value, String), Failure> {
    if annotation(version, labels::APPROVED).is_none() {
        let name = version.metadata.name.as_deref().unwrap_or_default();
        return Err(format!("{name} is not approved").into());
    }
    let said = "no longer approved; channels with approval Manual leave it".to_owned();
    Ok((json!({"metadata": {"annotations": {labels::APPROVED: null}}}), said))
}

fn annotation<'a>(version: &'a ModelVersion, key: &str) -> Option<&'a String> {
    version.metadata.annotations.as_ref()?.get(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn version(annotations: &Value, conditions: &[(&str, &str)]) -> ModelVersion {
        let condition = |(ty, status): &(&str, &str)| {
            json!({"type": ty, "status": status, "reason": "X", "message": "",
            "lastTransitionTime": "2026-08-01T10:00:00Z"})
        };
        let conditions: Vec<Value> = conditions.iter().map(condition).collect();
        serde_json::from_value(json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "ModelVersion",
            "metadata": {"name": "wine-1", "annotations": annotations},
            "spec": {"model": "wine", "origin": "Imported", "artifact": {
                "uri": "s3://models/wine", "digest": format!("sha256:{}", "1".repeat(64)),
            }},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    const PASSED: (&str, &str) = ("Evaluated", "True");

    #[test]
    fn an_approval_is_an_annotation_and_goes_again() {
        let (patch, _) = approve(&version(&json!({}), &[PASSED]), "tasted").unwrap();
        assert_eq!(patch, json!({"metadata": {"annotations": {"serin.dev/approved": "tasted"}}}));
        let approved = version(&json!({"serin.dev/approved": "tasted"}), &[PASSED]);
        let (patch, _) = withdraw(&approved).unwrap();
        assert_eq!(patch, json!({"metadata": {"annotations": {"serin.dev/approved": null}}}));
    }

    #[test]
    fn what_would_change_nothing_is_said() {
        let says = |version: &ModelVersion| approve(version, "by hand").unwrap_err().to_string();
        assert_eq!(
            says(&version(&json!({}), &[("Evaluated", "Unknown")])),
            "wine-1 has passed no evaluation: no channel serves it, approved or not"
        );
        let revoked = "wine-1 was revoked: no channel serves it any more";
        assert_eq!(says(&version(&json!({}), &[PASSED, ("Revoked", "True")])), revoked);
        assert_eq!(says(&version(&json!({"serin.dev/revoked": "bad"}), &[PASSED])), revoked);
        assert_eq!(
            says(&version(&json!({"serin.dev/approved": "tasted"}), &[PASSED])),
            "wine-1 is approved already (tasted)"
        );
        assert_eq!(withdraw(&version(&json!({}), &[])).unwrap_err().to_string(), "wine-1 is not approved");
        let long = approve(&version(&json!({}), &[PASSED]), &"x".repeat(301)).unwrap_err();
        assert_eq!(long.to_string(), "--reason is longer than 300 characters");
    }
}
