//! Whether a rollout is over, and how it ended.

use chrono::{DateTime, Utc};
use serin_api::{ModelDeployment, ModelDeploymentStatus, Outcome, Reason};
use serin_engine::paint::clean;

use crate::facts;

/// How a rollout ended, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// What the spec asks for serves.
    Good(String),
    /// It does not.
    Bad(String),
}

/// Follows a rollout from look to look.
#[derive(Debug, Default)]
pub struct Follow {
    tried: Option<Tried>,
}

/// The candidate that was seen last.
#[derive(Debug)]
struct Tried {
    revision: String,
    version: String,
    since: DateTime<Utc>,
}

impl Follow {
    /// Whether a candidate was seen.
    pub fn has_begun(&self) -> bool {
        self.tried.is_some()
    }

    /// The end, if this look shows it. A status that speaks of an older spec shows nothing.
    pub fn look(&mut self, deployment: &ModelDeployment) -> Option<Ending> {
        let status = deployment.status.as_ref()?;
        if let Some(c) = &status.candidate {
            self.tried =
                Some(Tried { revision: c.revision.clone(), version: c.version.clone(), since: c.started_at });
            return None;
        }
        if status.observed_generation != deployment.metadata.generation {
            return None;
        }
        let headline = facts::headline(status)?;
        if headline.reason == Reason::Complete.as_str() {
            return Some(self.settled(status, &headline.message));
        }
        // Refused for good; what only waits (for a ModelVersion, for the pods of a former revision) goes on.
        let refused = facts::is_stalled(status) && headline.status != "True";
        refused.then(|| Ending::Bad(clean(&format!("{}: {}", headline.reason, headline.message))))
    }

    fn settled(&self, status: &ModelDeploymentStatus, message: &str) -> Ending {
        let Some(tried) = &self.tried else { return Ending::Good(clean(message)) };
        let serves = status.stable.as_ref().is_some_and(|stable| stable.revision == tried.revision);
        let entry = status.history.iter().find(|e| e.revision == tried.revision && e.at >= tried.since);
        let version = &tried.version;
        match entry.map(|entry| entry.outcome) {
            Some(Outcome::Promoted) => Ending::Good(clean(&format!("{version} was promoted"))),
            Some(Outcome::Deployed) => Ending::Good(clean(&format!("{version} serves"))),
            None if serves => Ending::Good(clean(&format!("{version} serves"))),
            Some(Outcome::RolledBack) => Ending::Bad(clean(&format!("{version} was rolled back; {message}"))),
            Some(Outcome::Superseded) | None => {
                Ending::Bad(clean(&format!("{version} was superseded; {message}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    fn follow(looks: &[ModelDeployment]) -> Option<Ending> {
        let mut follow = Follow::default();
        looks.iter().find_map(|look| follow.look(look))
    }

    #[test]
    fn a_promotion_is_good_and_a_rollback_is_not() {
        let good = follow(&[fixtures::trying(), fixtures::promoted()]);
        assert_eq!(good, Some(Ending::Good("v2 was promoted".to_owned())));
        let Some(Ending::Bad(why)) = follow(&[fixtures::trying(), fixtures::rejected()]) else { panic!() };
        assert!(why.starts_with("Rejected: v2 was rejected (AnalysisFailed)"), "{why}");
        assert_eq!(follow(&[fixtures::trying()]), None);
    }

    #[test]
    fn without_a_candidate_it_is_what_stands() {
        assert_eq!(follow(&[fixtures::resting()]), Some(Ending::Good("v1 serves".to_owned())));
        assert!(matches!(follow(&[fixtures::rejected()]), Some(Ending::Bad(_))));
    }

    #[test]
    fn a_status_of_an_older_spec_says_nothing() {
        let mut applied = fixtures::resting();
        applied.metadata.generation = Some(3);
        assert_eq!(follow(&[applied.clone()]), None);
        applied.status = None;
        assert_eq!(follow(&[applied]), None);
    }

    #[test]
    fn what_waits_is_not_over() {
        let mut waits = fixtures::resting();
        let headline = &mut waits.status.as_mut().unwrap().conditions[0];
        (headline.status, headline.reason) = ("True".to_owned(), "Draining".to_owned());
        assert_eq!(follow(&[fixtures::trying(), waits]), None);
    }

    #[test]
    fn a_spec_that_was_put_back_is_no_promotion() {
        let mut back = fixtures::resting();
        let entry = serde_json::json!({"revision": "r1-v2", "version": "v2", "digest": "d",
            "outcome": "Superseded", "at": "2026-08-01T12:00:00Z"});
        back.status.as_mut().unwrap().history.insert(0, serde_json::from_value(entry).unwrap());
        let ending = follow(&[fixtures::trying(), back]);
        assert_eq!(ending, Some(Ending::Bad("v2 was superseded; v1 serves".to_owned())));
    }
}
