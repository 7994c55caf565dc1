//! What live answers say of the version that serves. A series that is missing or too few answers are neither well nor
//! broken: nothing is done on what is not known.

use serin_api::{Counter, QualityDrop, RetrainPolicySpec, TriggerKind};

use super::world::World;

/// What is to be counted, of the pods of one version. Built from our own names and validated series names only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Name of the trigger.
    pub trigger: String,
    /// Name of the Deployment whose pods count.
    pub pods: String,
    /// Counter of all.
    pub all: Counter,
    /// Counter of a part of them.
    pub part: Counter,
    /// Over so many seconds until now.
    pub window_seconds: i64,
}

/// What was counted.
#[derive(Clone, Debug, PartialEq)]
pub enum Share {
    /// Increases over the window.
    Counted {
        /// Of all.
        all: f64,
        /// Of the part; `None`: no pod exports the series now.
        part: Option<f64>,
    },
    /// It cannot be said, and why.
    Unknown(String),
}

/// What has to be asked for a decision.
pub fn questions(spec: &RetrainPolicySpec, world: &World) -> Vec<Question> {
    let Some(pods) = world.deployment.as_ref().and_then(|d| d.pods.as_ref()) else { return Vec::new() };
    let question = |trigger: &serin_api::Trigger| {
        let TriggerKind::Quality(q) = trigger.kind()? else { return None };
        Some(Question {
            trigger: trigger.name.clone(),
            pods: pods.clone(),
            all: q.all.clone(),
            part: q.bad.as_ref().or(q.good.as_ref())?.clone(),
            window_seconds: q.window_seconds,
        })
    };
    spec.triggers.iter().filter_map(question).collect()
}

/// What a trigger makes of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// At or below the bound.
    Well(String),
    /// Above it.
    Broken(String),
    /// It cannot be said.
    Unknown(String),
}

/// Judges a share.
pub fn judge(q: &QualityDrop, share: &Share) -> Finding {
    let (all, part) = match share {
        Share::Unknown(why) => return Finding::Unknown(why.clone()),
        Share::Counted { all, part } => (*all, *part),
    };
    let series = &q.all.series;
    if !all.is_finite() || all < q.min_count as f64 {
        return Finding::Unknown(format!(
            "{:.0} of {series} in {} s; at least {} are needed to say anything",
            all.max(0.0),
            q.window_seconds,
            q.min_count
        ));
    }
    let bad = match (part, &q.bad, &q.good) {
        // A counter of mistakes often begins with the first mistake.
        (None, Some(_), _) => 0.0,
        (Some(part), Some(_), _) => part,
        (Some(part), None, _) => all - part,
        (None, None, good) => {
            let name = good.as_ref().map_or("", |g| &g.series);
            return Finding::Unknown(format!("no pod exports {name}"));
        }
    };
    if !bad.is_finite() {
        return Finding::Unknown("what was counted is no number".to_owned());
    }
    let permille = (bad / all * 1000.0).clamp(0.0, 1000.0);
    let words = format!(
        "{permille:.0} permille of {all:.0} were bad in {} s; up to {} are well",
        q.window_seconds, q.max_bad_permille
    );
    if permille > f64::from(q.max_bad_permille) { Finding::Broken(words) } else { Finding::Well(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(series: &str) -> Counter {
        Counter { series: series.into(), except: vec![] }
    }
    fn drop(bad: bool) -> QualityDrop {
        QualityDrop {
            all: counter("labelled_total"),
            bad: bad.then(|| counter("wrong_total")),
            good: (!bad).then(|| counter("right_total")),
            max_bad_permille: 200,
            window_seconds: 600,
            for_seconds: 0,
            min_count: 100,
        }
    }
    fn counted(all: f64, part: Option<f64>) -> Share {
        Share::Counted { all, part }
    }

    #[test]
    fn a_share_is_broken_above_the_bound_and_not_at_it() {
        assert!(matches!(judge(&drop(true), &counted(1000.0, Some(200.0))), Finding::Well(_)));
        assert!(matches!(judge(&drop(true), &counted(1000.0, Some(202.0))), Finding::Broken(_)));
        assert!(matches!(judge(&drop(false), &counted(1000.0, Some(700.0))), Finding::Broken(_)));
        assert!(matches!(judge(&drop(false), &counted(1000.0, Some(900.0))), Finding::Well(_)));
    }

    #[test]
    fn what_is_not_known_is_neither() {
        for share in [
            counted(99.0, Some(99.0)),
            counted(f64::NAN, Some(1.0)),
            counted(1000.0, Some(f64::NAN)),
            Share::Unknown("Prometheus cannot be reached".into()),
        ] {
            assert!(matches!(judge(&drop(true), &share), Finding::Unknown(_)), "{share:?}");
        }
        // Mistakes that nobody made yet are none; correct answers that nobody counts are not mistakes.
        assert!(matches!(judge(&drop(true), &counted(1000.0, None)), Finding::Well(_)));
        assert!(matches!(judge(&drop(false), &counted(1000.0, None)), Finding::Unknown(_)));
    }
}
