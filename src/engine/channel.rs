//! Which version a channel leads to: the newest that passed its evaluation, is approved where that is asked for, was not
//! revoked, and was not rolled back here.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serin_api::{Approval, Bar, Channel, PassedOver, Unserved};

use crate::world::ObservedVersion;

/// Most newer versions of which the status says why they are passed over.
const PASSED_OVER: usize = 10;

/// What a channel leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Name of the version; `None`: there is none that can be served.
    pub version: Option<String>,
    /// Newer ones, newest first, and why not them; bounded.
    pub passed_over: Vec<PassedOver>,
}

/// Chooses. `gone` is the version that serves, with the time when it was recorded, if its record was deleted since: nobody
/// said that it is bad, so only a newer one takes its place.
///
/// The newest is the one that was recorded last; of two in the same second, the one whose name comes later.
pub fn choose(
    channel: &Channel,
    versions: &BTreeMap<String, ObservedVersion>,
    bars: &[Bar],
    gone: Option<(&str, DateTime<Utc>)>,
) -> Choice {
    let known = versions.iter().filter(|(_, v)| v.model == channel.model);
    let known = known.map(|(name, v)| (v.recorded_at, name.as_str(), Some(v)));
    let mut newest_first: Vec<_> = known.chain(gone.map(|(name, at)| (at, name, None))).collect();
    newest_first.sort_by_key(|(at, name, _)| std::cmp::Reverse((*at, *name)));
    let mut passed_over = Vec::new();
    for (_, name, version) in newest_first {
        match version.and_then(|v| unserved(channel, name, v, bars)) {
            None => return Choice { version: Some(name.to_owned()), passed_over },
            Some((reason, message)) if passed_over.len() < PASSED_OVER => {
                passed_over.push(PassedOver { version: name.to_owned(), reason, message });
            }
            Some(_) => {}
        }
    }
    Choice { version: None, passed_over }
}

/// Why a version is not for this channel.
fn unserved(
    channel: &Channel,
    name: &str,
    version: &ObservedVersion,
    bars: &[Bar],
) -> Option<(Unserved, String)> {
    if let Some(why) = &version.revoked {
        return Some((Unserved::Revoked, format!("it was revoked: {why}")));
    }
    if !version.evaluated {
        let why = if version.refused { "it did not pass its evaluation" } else { "nobody has judged it" };
        return Some((Unserved::NotEvaluated, why.to_owned()));
    }
    if channel.approval == Approval::Manual && !version.approved {
        return Some((Unserved::NotApproved, format!("`kubectl serin approve {name}` lets it in")));
    }
    let bar = bars.iter().find(|bar| bar.digest == version.artifact.digest)?;
    let message = format!("it was rolled back here ({}); `kubectl serin retry` tries it again", bar.reason);
    Some((Unserved::Barred, message))
}

impl Choice {
    /// What to say where there is nothing to serve.
    pub(crate) fn nothing(&self, model: &str) -> String {
        match self.passed_over.first() {
            None => format!("model.channel: there is no version of {model} in this namespace yet"),
            Some(PassedOver { version, reason, message }) => format!(
                "model.channel: no version of {model} can be served; the newest is {version} ({reason:?}): {message}"
            ),
        }
    }
}
