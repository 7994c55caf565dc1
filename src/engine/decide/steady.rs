//! Nothing to try: the stable version is kept as it should be.

use serin_api::{LastFailed, Reason, Stable, Verdict};

use super::{Draft, channel};
use crate::revision::Revision;

/// The spec is what serves.
pub(super) fn keep(d: &mut Draft<'_>, stable: &Stable) {
    d.all_to(stable);
    d.report(Reason::Complete, format!("{} serves", stable.version));
}

/// The rejection that still stands for `target`, if any.
pub(super) fn rejected(d: &Draft<'_>, target: &Revision) -> Option<LastFailed> {
    let failed = d.status.last_failed.clone().filter(|f| f.revision == target.id)?;
    d.retry_asked(&target.id).is_none().then_some(failed)
}

/// The spec is the rejected one: the stable version goes on serving, and the status says what would change that.
pub(super) fn keep_rejected(d: &mut Draft<'_>, stable: &Stable, failed: &LastFailed) {
    if channel::went_back(d, stable, failed) {
        return;
    }
    d.all_to(stable);
    d.status.verdict = Some(Verdict::RolledBack);
    // What was revoked is not tried again, whoever asks.
    let again = if failed.reason == Reason::VersionRevoked.as_str() {
        String::new()
    } else {
        format!(
            ", or ask for another try with the annotation {}={}",
            serin_api::labels::RETRY,
            failed.revision
        )
    };
    let message = format!(
        "{} was rejected ({}): {}; {} serves. Change the spec{again}",
        failed.version, failed.reason, failed.message, stable.version
    );
    d.report(Reason::Rejected, message);
}
