//! That a deployment rolled a version back, written onto the version: there it outlives the deployment.

use serde_json::{Value, json};
use serin_api::{ModelVersion, VersionBar};

use crate::{
    error::Error,
    fresh::Kind,
    write::{Applied, Target, Writer},
};

/// Most deployments that are named; the newest.
const BARS: usize = 100;

/// Records that `deployment` rolled the version back, or (`None`) that it did not any more. Valid only for what is read
/// just before: others write to this status, too.
pub async fn set_bar(
    writer: &Writer<'_>,
    deployment: &str,
    name: &str,
    uid: &str,
    bar: Option<&VersionBar>,
) -> Result<Applied, Error> {
    let target = Target::of::<ModelVersion>(Kind::Version);
    let Some(latest) = writer.read(&target, name).await? else { return Ok(Applied::Outrun) };
    if latest.metadata.uid.as_deref() != Some(uid) {
        // Another one of that name: the watch will tell.
        return Ok(Applied::Outrun);
    }
    let old = latest.data.pointer("/status/bars").cloned().unwrap_or_else(|| json!([]));
    let new = json!(changed(&old, deployment, bar));
    writer.status(&target, &latest.metadata, &json!({"bars": old}), &json!({"bars": new})).await
}

/// The list with this deployment's word in it; what cannot be read is left out.
fn changed(old: &Value, deployment: &str, bar: Option<&VersionBar>) -> Vec<VersionBar> {
    let known = old.as_array().into_iter().flatten().filter_map(|b| serde_json::from_value(b.clone()).ok());
    let others = known.filter(|b: &VersionBar| b.deployment != deployment);
    let mut all: Vec<VersionBar> = others.chain(bar.cloned()).collect();
    all.sort_by(|a, b| (a.at, &a.deployment).cmp(&(b.at, &b.deployment)));
    let surplus = all.len().saturating_sub(BARS);
    all.split_off(surplus)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(deployment: &str, second: u32) -> VersionBar {
        serde_json::from_value(json!({
            "deployment": deployment, "revision": "r1-1", "reason": "AnalysisFailed",
            "at": format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60),
        }))
        .unwrap()
    }

    #[test]
    fn one_word_a_deployment_and_nobody_elses_is_touched() {
        let old = json!([bar("wine", 1), bar("pear", 2), {"deployment": 7}]);
        assert_eq!(changed(&old, "wine", Some(&bar("wine", 3))), [bar("pear", 2), bar("wine", 3)]);
        assert_eq!(changed(&old, "wine", None), [bar("pear", 2)]);
        assert_eq!(changed(&json!("?"), "wine", Some(&bar("wine", 3))), [bar("wine", 3)]);
    }

    #[test]
    fn the_oldest_go() {
        let old: Vec<VersionBar> = (0..120).map(|n| bar(&format!("d{n}"), n)).collect();
        let all = changed(&json!(old), "wine", Some(&bar("wine", 200)));
        assert_eq!((all.len(), all[0].deployment.as_str()), (100, "d21"));
        assert_eq!(all[99].deployment, "wine");
    }
}
