//! What a person asks for by annotation. An order names the revision that it is about and counts once a value: a click on
//! an old screen, or an annotation that Git applies again every minute, does nothing.

use std::time::Duration;

use serin_api::{Candidate, Phase, Reason, Stable, TakesOver};

use super::{Draft, canary, retreat, start};

/// Values of the annotations: `REVISION`, or `REVISION WORD` for a second time; of a skip `REVISION STEP`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orders<'a> {
    /// Try a rejected revision again.
    pub retry: Option<&'a str>,
    /// Promote the candidate without further evidence.
    pub promote: Option<&'a str>,
    /// Send the candidate back.
    pub abort: Option<&'a str>,
    /// Leave a step behind.
    pub skip: Option<&'a str>,
}

/// What an order says, if it is about `revision` and new.
pub(super) fn asked(order: Option<&str>, handled: Option<&str>, revision: &str) -> Option<String> {
    let about = order?.split_whitespace().next() == Some(revision);
    (about && order != handled).then(|| order.map(str::to_owned))?
}

/// Records a new order about the candidate; what follows is done when that is recorded. `true`: there was one.
pub(super) fn record(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) -> bool {
    let Orders { promote, abort, skip, .. } = d.input.orders;
    if let Some(order) = asked(abort, d.status.handled_abort.as_deref(), &c.revision) {
        d.status.handled_abort = Some(order);
        if c.phase != Phase::Retreating {
            retreat::begin(d, stable, c, Reason::Aborted, "sent back by hand".to_owned(), true);
            return true;
        }
    }
    if let Some(order) = asked(skip, d.status.handled_skip.as_deref(), &c.revision)
        && skipped(d, c, order)
    {
        return true;
    }
    let Some(order) = asked(promote, d.status.handled_promote.as_deref(), &c.revision) else { return false };
    d.decisive = true;
    d.status.handled_promote = Some(order);
    if let Some(candidate) = &mut d.status.candidate {
        candidate.takes_over = Some(TakesOver::ByHand);
        if candidate.phase == Phase::Retreating {
            candidate.phase = if candidate.analysis_from.is_some() { Phase::Canary } else { Phase::Starting };
            candidate.retreat = None;
        }
    }
    let message = format!("{} is promoted by hand", c.version);
    d.note(false, Reason::Promoting, "ByHand", message.clone());
    d.report(Reason::Promoting, message);
    d.look_again(Duration::from_millis(50));
    true
}

/// Records that a step is left behind, if it is the one that the candidate is at. `true`: it is.
fn skipped(d: &mut Draft<'_>, c: &Candidate, order: String) -> bool {
    let step = order.split_whitespace().nth(1).and_then(|step| step.parse().ok());
    d.status.handled_skip = Some(order);
    if c.phase != Phase::Canary || step != Some(c.step_index) {
        return false;
    }
    d.decisive = true;
    if let Some(candidate) = &mut d.status.candidate {
        candidate.skipped_step = step;
    }
    let message = format!("{} goes on from step {} by hand", c.version, c.step);
    d.note(false, Reason::Analyzing, format!("Skip{}", c.step_index), message.clone());
    d.report(Reason::Analyzing, message);
    d.look_again(Duration::from_millis(50));
    true
}

/// A candidate that takes over without evidence: as soon as its pods can take over. Only a crash loop, and
/// pods that never come, still send it back.
pub(super) fn promote(d: &mut Draft<'_>, stable: &Stable, c: &Candidate) {
    if retreat::if_crashing(d, stable, c) {
        return;
    }
    if d.replicas > 0 && d.world().available(&c.revision) == 0 {
        return match c.phase {
            Phase::Starting => start::go_on(d, stable, c),
            Phase::Canary | Phase::Retreating => canary::go_on(d, stable, c),
        };
    }
    canary::promote(d, stable, c);
}
