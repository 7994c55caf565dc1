//! `model.channel`: what it leads to is said in the status, and what was rolled back is barred, in the status and on the
//! ModelVersion, where it outlives this object.
//!
//! The bar stands in the status together with the decision to go back, and on the version before the end of the rollback is
//! told: whoever deletes this object after that finds it barred when they make it again. What is being tried is not held up
//! by a bar, so that a crash anywhere in between ends in the same rollback. Lifted it is in the same order: first on the version, then, with the order that asked for it, here.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serin_api::{
    Bar, Candidate, Channel, ChannelStatus, Digest, LastFailed, Reason, RevisionSpec, Stable, Verdict,
    VersionBar,
};

use super::{Draft, Input, hand, target};
use crate::{
    Revision,
    channel::{Choice, choose},
    plan::Write,
};

/// Bars that the status keeps. Those on the versions count, too.
const BARS: usize = 50;

impl Input<'_> {
    /// Every bar that is recorded, newest first, one a digest.
    fn recorded_bars(&self, channel: &Channel) -> Vec<Bar> {
        let own = self.status.channel.iter().flat_map(|known| &known.bars).cloned();
        let versions = self.world.versions.iter().filter(|(_, version)| version.model == channel.model);
        let on_versions = versions.filter_map(|(name, version)| {
            let VersionBar { revision, reason, at, .. } = version.bar.clone()?;
            let digest = version.artifact.digest.clone();
            Some(Bar { version: name.clone(), digest, revision, reason, at })
        });
        // What was rejected before the channel was asked for stays so.
        let before = self.status.last_failed.as_ref().filter(|_| self.status.channel.is_none());
        let before =
            before.filter(|failed| self.speaks_against(&failed.digest, &failed.reason)).map(|failed| Bar {
                version: failed.version.clone(),
                digest: Digest(failed.digest.clone()),
                revision: failed.revision.clone(),
                reason: failed.reason.clone(),
                at: failed.at,
            });
        let mut all: Vec<Bar> = own.chain(on_versions).chain(before).collect();
        all.sort_by(|a, b| (b.at, &a.digest).cmp(&(a.at, &b.digest)));
        let mut bars: Vec<Bar> = Vec::new();
        for bar in all {
            if bars.iter().all(|known| known.digest != bar.digest) {
                bars.push(bar);
            }
        }
        bars
    }

    /// Whether a rollback speaks against the model. Not if that serves already: then it was the server that changed. What
    /// is revoked needs no bar.
    fn speaks_against(&self, digest: &str, reason: &str) -> bool {
        let serves = self.status.stable.as_ref().is_some_and(|stable| stable.digest == digest);
        !serves && reason != Reason::VersionRevoked.as_str()
    }

    /// Whether a bar is no longer: a person wants another try, or it took over all the same.
    fn lifted(&self, bar: &Bar) -> bool {
        self.retried(bar) || self.status.stable.as_ref().is_some_and(|stable| stable.digest == bar.digest.0)
    }
    /// Whether a person wants another try; what is still on its way back has to get there first.
    fn retried(&self, bar: &Bar) -> bool {
        let tried = self.status.candidate.as_ref().is_some_and(|c| c.revision == bar.revision);
        !tried
            && hand::asked(self.orders.retry, self.status.handled_retry.as_deref(), &bar.revision).is_some()
    }

    /// What the channel leads to.
    fn choice(&self, channel: &Channel) -> Choice {
        let mut bars = self.recorded_bars(channel);
        // What is being tried is judged to its end.
        let tried = self.status.candidate.as_ref().map(|c| c.digest.as_str());
        bars.retain(|bar| !self.lifted(bar) && Some(bar.digest.0.as_str()) != tried);
        choose(channel, &self.world.versions, &bars, self.gone(channel))
    }

    /// The version that serves, if its record was deleted.
    fn gone(&self, channel: &Channel) -> Option<(&str, DateTime<Utc>)> {
        let name = self.status.stable.as_ref()?.spec.model.version_ref.as_deref()?;
        let known = self.status.channel.as_ref().filter(|known| known.model == channel.model)?;
        let at = known.stable_recorded_at?;
        (!self.world.versions.contains_key(name)).then_some((name, at))
    }

    /// The revision that the channel leads to. Where that is nowhere, what is there stays as it is.
    pub(super) fn by_channel(&self, channel: &Channel) -> Result<Revision, target::Unusable> {
        let choice = self.choice(channel);
        let stable = self.status.stable.as_ref();
        if let Some(name) = &choice.version {
            let model = match (self.world.versions.get(name), stable) {
                (None, Some(stable)) => Some(stable.spec.model.clone()),
                (known, _) => known.map(|version| target::of(name, version, &self.spec.model)),
            };
            if let Some(model) = model {
                return Ok(Revision::of(self.spec, model));
            }
        }
        let candidate = self.status.candidate.as_ref();
        let present = stable.map(|s| (&s.revision, &s.spec)).or(candidate.map(|c| (&c.revision, &c.spec)));
        present.map(|(id, spec)| Revision { id: id.clone(), spec: spec.clone() }).ok_or_else(|| {
            target::Unusable { reason: Reason::NoVersion, message: choice.nothing(&channel.model) }
        })
    }
}

/// Says in the status what the channel leads to, and takes a retry in. Gives what is wrong if it leads nowhere.
pub(super) fn record(d: &mut Draft<'_>) -> Option<String> {
    let input = d.input;
    let Some(channel) = &input.spec.model.channel else {
        d.status.channel = None;
        return None;
    };
    let choice = input.choice(channel);
    let mut bars = input.recorded_bars(channel);
    for bar in bars.iter().filter(|bar| input.retried(bar)) {
        d.decisive = true;
        d.status.handled_retry = input.orders.retry.map(str::to_owned);
        d.status.last_failed.take_if(|failed| failed.revision == bar.revision);
    }
    bars.retain(|bar| !input.lifted(bar));
    let version = choice.version.as_ref().map(|name| (name, input.world.versions.get(name)));
    let digest = version.and_then(|(_, known)| match known {
        Some(known) => Some(known.artifact.digest.0.clone()),
        None => input.status.stable.as_ref().map(|stable| stable.digest.clone()),
    });
    let stable_recorded_at = match &input.status.stable {
        Some(stable) => recorded_at(input, &stable.spec).or(input.gone(channel).map(|(_, at)| at)),
        None => None,
    };
    let nothing = choice.version.is_none().then(|| choice.nothing(&channel.model));
    d.status.channel = Some(ChannelStatus {
        model: channel.model.clone(),
        version: choice.version,
        digest,
        stable_recorded_at,
        passed_over: choice.passed_over,
        bars,
    });
    nothing
}

/// When the version that takes over was recorded, if it is of this channel.
fn recorded_at(input: &Input<'_>, spec: &RevisionSpec) -> Option<DateTime<Utc>> {
    let channel = input.spec.model.channel.as_ref()?;
    let version = input.world.versions.get(spec.model.version_ref.as_ref()?)?;
    (version.model == channel.model).then_some(version.recorded_at)
}

/// The candidate took over.
pub(super) fn took_over(d: &mut Draft<'_>, c: &Candidate) {
    let at = recorded_at(d.input, &c.spec);
    if let Some(channel) = &mut d.status.channel {
        channel.stable_recorded_at = at;
    }
}

/// The candidate goes back, and stays rejected: its digest is barred here.
pub(super) fn bar(d: &mut Draft<'_>, c: &Candidate, reason: Reason) {
    let (at, speaks) = (d.now(), d.input.speaks_against(&c.digest, reason.as_str()));
    let Some(channel) = d.status.channel.as_mut().filter(|_| speaks) else { return };
    if channel.bars.iter().any(|known| known.digest.0 == c.digest && known.revision == c.revision) {
        return;
    }
    channel.bars.retain(|known| known.digest.0 != c.digest);
    let bar = Bar {
        version: c.version.clone(),
        digest: Digest(c.digest.clone()),
        revision: c.revision.clone(),
        reason: reason.as_str().to_owned(),
        at,
    };
    channel.bars.insert(0, bar);
}

/// Instead of a rejection that holds everything up: what is barred is no longer asked for, and the channel leads elsewhere.
/// `true`: it is.
pub(super) fn went_back(d: &mut Draft<'_>, stable: &Stable, failed: &LastFailed) -> bool {
    let barred = |channel: &ChannelStatus| channel.bars.iter().any(|bar| bar.digest.0 == failed.digest);
    if !d.status.channel.as_ref().is_some_and(barred) {
        return false;
    }
    d.all_to(stable);
    d.status.verdict = Some(Verdict::RolledBack);
    let message = format!(
        "{} was rolled back ({}) and is barred; {} serves",
        failed.version, failed.reason, stable.version
    );
    d.report(Reason::RollingBack, message);
    d.look_again(Duration::from_millis(50));
    true
}

/// Each bar onto its version, and off those where it was lifted.
pub(super) fn keep_records(d: &mut Draft<'_>) {
    let input = d.input;
    let (Some(channel), Some(status)) = (&input.spec.model.channel, &mut d.status.channel) else { return };
    // A decision to go back is written before anything else, and the traffic waits for no record.
    let known = input.status.channel.iter().flat_map(|known| &known.bars);
    let tried = d.status.candidate.as_ref().map(|c| c.digest.as_str());
    let tried = tried.filter(|digest| known.clone().all(|bar| bar.digest.0 != *digest));
    for (name, version) in input.world.versions.iter().filter(|(_, v)| v.model == channel.model) {
        let digest = &version.artifact.digest;
        let barred = status.bars.iter().find(|bar| bar.digest == *digest);
        let bar = match (barred.filter(|bar| bar.version == *name), &version.bar) {
            (Some(bar), known) if known.as_ref().is_none_or(|known| known.at != bar.at) => Some(VersionBar {
                deployment: input.name.to_owned(),
                revision: bar.revision.clone(),
                reason: bar.reason.clone(),
                at: bar.at,
            }),
            (None, Some(_)) if barred.is_none() => None,
            _ => continue,
        };
        if bar.is_none() || tried != Some(digest.0.as_str()) {
            d.writes.push(Write::SetBar { version: name.clone(), uid: version.uid.clone(), bar });
        }
    }
    status.bars.truncate(BARS);
}
