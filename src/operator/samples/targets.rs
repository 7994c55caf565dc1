//! Under which of its scrape targets a pod's series count.
//!
//! Two targets that live double every request, and with it the evidence; nobody knows which of them is meant, so that there is
//! no answer. Of one that went away only the past is left: what is scraped still counts, as if the other had never been.

use std::collections::BTreeMap;

use crate::prometheus::{QueryError, RawSeries};

/// A target has gone when it missed so many of its own scrapes ...
const MISSED: f64 = 5.0;
/// ... and so many seconds.
const SLACK: f64 = 10.0;
/// Seconds between two scrapes of a target that had one.
const UNKNOWN: f64 = 60.0;

/// What tells one target from another: job, instance, and which of two Prometheus scraped it, where both are asked at once.
type Name<'a> = [Option<&'a str>; 3];

/// When a target was scraped.
#[derive(Clone, Copy, Debug)]
struct Scrapes {
    first: f64,
    newest: f64,
    most: usize,
}

/// Leaves the series of one target for each pod.
pub fn one_a_pod(raw: Vec<&RawSeries>) -> Result<Vec<&RawSeries>, QueryError> {
    let mut pods: BTreeMap<Option<&str>, BTreeMap<Name<'_>, Scrapes>> = BTreeMap::new();
    for series in &raw {
        let target = pods.entry(series.metric.get("pod")).or_default().entry(name(series));
        target.or_insert(Scrapes { first: f64::MAX, newest: f64::MIN, most: 0 }).add(series);
    }
    let mut counts = BTreeMap::new();
    for (pod, targets) in pods {
        let newest = targets.values().map(|t| t.newest).fold(f64::MIN, f64::max);
        let mut alive = targets.into_iter().filter(|(_, t)| t.lives(newest)).map(|(name, _)| name);
        match (alive.next(), alive.next()) {
            (_, Some(_)) => return Err(QueryError::TwoTargets),
            (one, None) => counts.insert(pod, one),
        };
    }
    let meant = |s: &&RawSeries| counts.get(&s.metric.get("pod")) == Some(&Some(name(s)));
    Ok(raw.into_iter().filter(meant).collect())
}

fn name(series: &RawSeries) -> Name<'_> {
    ["job", "instance", "prometheus_replica"].map(|label| series.metric.get(label))
}

impl Scrapes {
    #[allow(clippy::cast_precision_loss)] // milliseconds of this era
    fn add(&mut self, series: &RawSeries) {
        let (values, histograms) = (&series.values, &series.histograms);
        for at in values.iter().map(|sample| sample.at_ms).chain(histograms.iter().map(|(at, _)| *at)) {
            let at = at as f64 / 1000.0;
            self.first = self.first.min(at);
            self.newest = self.newest.max(at);
        }
        self.most = self.most.max(values.len() + histograms.len());
    }

    /// Whether it is still scraped, by when its pod was scraped last under whatever target.
    #[allow(clippy::cast_precision_loss)] // some thousand scrapes
    fn lives(&self, newest: f64) -> bool {
        let apart = if self.most > 1 { (self.newest - self.first) / (self.most - 1) as f64 } else { UNKNOWN };
        newest - self.newest <= MISSED * apart + SLACK
    }
}

#[cfg(test)]
mod tests {
    use serin_judge::Sample;

    use super::*;

    /// A series of a target, with samples every `apart` seconds.
    fn series(target: [&str; 3], code: &str, from: u32, until: u32, apart: usize) -> RawSeries {
        let [pod, job, replica] = target;
        let labels = [("pod", pod), ("job", job), ("prometheus_replica", replica), ("code", code)];
        RawSeries {
            metric: labels.into_iter().collect(),
            values: (from..=until)
                .step_by(apart)
                .map(|at| Sample { at_ms: i64::from(at) * 1000, value: 1.0 })
                .collect(),
            value: None,
            histograms: Vec::new(),
        }
    }

    fn left(raw: &[RawSeries]) -> Result<Vec<&str>, QueryError> {
        let found = one_a_pod(raw.iter().collect())?;
        Ok(found.iter().filter_map(|s| s.metric.get("job")).collect())
    }

    #[test]
    fn two_that_live_are_refused() {
        let of = |job, code| series(["p", job, "0"], code, 0, 100, 2);
        assert_eq!(left(&[of("a", "200"), of("b", "200")]), Err(QueryError::TwoTargets));
        assert_eq!(left(&[of("a", "200"), of("a", "500")]), Ok(vec!["a", "a"]));
        let other = series(["p", "a", "1"], "200", 1, 99, 2);
        assert_eq!(
            left(&[of("a", "200"), other]),
            Err(QueryError::TwoTargets),
            "two Prometheus asked at once"
        );
        let elsewhere = series(["q", "b", "0"], "200", 0, 100, 2);
        assert_eq!(left(&[of("a", "200"), elsewhere]), Ok(vec!["a", "b"]));
    }

    #[test]
    fn of_one_that_went_away_nothing_counts() {
        let stays = series(["p", "a", "0"], "200", 0, 100, 2);
        for (until, went) in [(70, true), (79, true), (80, false), (100, false)] {
            let other = series(["p", "b", "0"], "200", 40, until, 2);
            let both = [stays.clone(), other];
            let found = left(&both);
            assert_eq!(
                found,
                if went { Ok(vec!["a"]) } else { Err(QueryError::TwoTargets) },
                "until {until}"
            );
        }
        // A job with another name took over.
        let before = series(["p", "b", "0"], "200", 0, 30, 2);
        let after = series(["p", "a", "0"], "200", 32, 100, 2);
        assert_eq!(left(&[before, after]), Ok(vec!["a"]));
    }

    #[test]
    fn a_target_that_is_scraped_seldom_lives() {
        let often = series(["p", "a", "0"], "200", 0, 130, 2);
        let seldom = series(["p", "b", "0"], "200", 10, 70, 60);
        assert_eq!(left(&[often.clone(), seldom]), Err(QueryError::TwoTargets));
        let once = series(["p", "b", "0"], "200", 20, 20, 60);
        assert_eq!(left(&[often, once]), Err(QueryError::TwoTargets));
    }

    /// A series without samples is of no target that lives.
    #[test]
    fn nothing_is_left_of_nothing() {
        assert_eq!(left(&[]), Ok(vec![]));
    }
}
