//! What a version's status has to say about its life: who serves it, what came of it, whether it was revoked. Pure, and
//! without effect where it was said already.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serin_api::{
    LiveOutcome, ModelVersionStatus, Reason, Role, Serving,
    conditions::{self, State, Type},
};

use super::{
    object::{OutcomeKey, Recorded, VersionView},
    served::Served,
};

/// Most outcomes kept; the newest.
const OUTCOMES: usize = 20;
/// Most deployments named.
const DEPLOYMENTS: usize = 100;

/// What is known of a version beside its status.
#[derive(Clone, Copy, Debug)]
pub struct Life<'a> {
    /// Why it must not be served any more.
    pub revoked: Option<&'a str>,
    /// Declared by a person. Of a trained one the run says that it is complete.
    pub imported: bool,
}

/// Whether the status of a version says already what [`update`] would.
pub fn is_recorded(view: &VersionView, served: &Served, now: DateTime<Utc>) -> bool {
    let before = outline(&view.recorded, now);
    update(&before, &view.life(), served, None, now) == before
}

/// The status with everything that `served` and a revocation bring.
pub fn update(
    status: &ModelVersionStatus,
    life: &Life<'_>,
    served: &Served,
    generation: Option<i64>,
    now: DateTime<Utc>,
) -> ModelVersionStatus {
    let mut new = status.clone();
    new.deployments = deployments(&status.deployments, served);
    new.outcomes = outcomes(&status.outcomes, &served.outcomes);
    let was_revoked = conditions::is_true(&status.conditions, Type::Revoked);
    let mut set = |ty: Type, holds: bool, reason: Reason, message: &str| {
        let wanted = if holds { "True" } else { "False" };
        if conditions::get(&new.conditions, ty).is_none_or(|c| c.status != wanted) {
            conditions::set(&mut new.conditions, ty, State::from(holds), reason, message, generation, now);
        }
    };
    // One way: what was revoked stays revoked, also without the annotation.
    if was_revoked || life.revoked.is_some() {
        set(Type::Revoked, true, Reason::Revoked, life.revoked.unwrap_or_default());
        set(Type::Ready, false, Reason::Revoked, "a person revoked this version");
        // Or whoever waits for it to be Ready would wait for ever.
        set(Type::Stalled, true, Reason::Revoked, "a person revoked this version");
    } else if life.imported {
        set(Type::Ready, true, Reason::Recorded, "");
    }
    let in_use = !new.deployments.is_empty();
    if in_use || conditions::get(&status.conditions, Type::InUse).is_some() {
        set(Type::InUse, in_use, if in_use { Reason::Serving } else { Reason::NotServing }, "");
    }
    new
}

/// What is recorded already keeps its `since`, as long as its role is the same.
fn deployments(before: &[Serving], served: &Served) -> Vec<Serving> {
    let told = |uid: &str| served.deployments.iter().any(|d| d.uid == uid);
    let kept = before.iter().filter(|d| served.unknown.contains(&d.uid) && !told(&d.uid)).cloned();
    let now = served.deployments.iter().map(|d| {
        let same = |b: &&Serving| b.uid == d.uid && b.role == d.role;
        before.iter().find(same).map_or_else(|| d.clone(), |b| Serving { since: b.since, ..d.clone() })
    });
    let mut all: Vec<Serving> = kept.chain(now).collect();
    // What serves comes first, so that it is not what falls over the edge.
    let rank = |role: Role| match role {
        Role::Stable => 0,
        Role::Candidate => 1,
    };
    all.sort_by(|a, b| (rank(a.role), &a.name, &a.uid).cmp(&(rank(b.role), &b.name, &b.uid)));
    all.truncate(DEPLOYMENTS);
    let ids = |list: &[Serving]| -> BTreeSet<(String, String, bool)> {
        list.iter().map(|d| (d.uid.clone(), d.name.clone(), d.role == Role::Stable)).collect()
    };
    // Another order by somebody else's hand is no reason for a write.
    if ids(&all) == ids(before) && all.len() == before.len() { before.to_vec() } else { all }
}

fn outcomes(before: &[LiveOutcome], told: &[LiveOutcome]) -> Vec<LiveOutcome> {
    let new: Vec<&LiveOutcome> = told.iter().filter(|t| !before.iter().any(|b| key(b) == key(t))).collect();
    if new.is_empty() {
        return before.to_vec();
    }
    let mut all: Vec<LiveOutcome> = before.iter().chain(new).cloned().collect();
    all.sort_by(|a, b| (a.at, &a.uid, &a.revision).cmp(&(b.at, &b.uid, &b.revision)));
    // The same of those told twice: what fell off the old end once falls off again, and is no difference.
    let surplus = all.len().saturating_sub(OUTCOMES);
    all.split_off(surplus)
}

fn key(o: &LiveOutcome) -> OutcomeKey {
    OutcomeKey { uid: o.uid.clone(), revision: o.revision.clone(), result: o.result, at: o.at }
}

/// A status that says what is recorded, as far as [`update`] looks at it.
fn outline(recorded: &Recorded, now: DateTime<Utc>) -> ModelVersionStatus {
    let condition = |ty: Type, holds: Option<bool>| -> Option<Condition> {
        let mut one = Vec::new();
        conditions::set(&mut one, ty, State::from(holds?), Reason::Recorded, "", None, now);
        one.pop()
    };
    let all = [
        (Type::InUse, recorded.in_use),
        (Type::Ready, recorded.ready),
        (Type::Revoked, recorded.revoked),
        (Type::Stalled, recorded.stalled),
    ];
    ModelVersionStatus {
        conditions: all.into_iter().filter_map(|(ty, holds)| condition(ty, holds)).collect(),
        deployments: recorded.deployments.clone(),
        outcomes: recorded
            .outcomes
            .iter()
            .map(|o| LiveOutcome {
                deployment: String::new(),
                uid: o.uid.clone(),
                revision: o.revision.clone(),
                result: o.result,
                reason: String::new(),
                message: String::new(),
                at: o.at,
            })
            .collect(),
        ..ModelVersionStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            object::tests::version,
            served::tests::{deployment, ended, revision, served},
        },
        *,
    };
    use serde_json::{Value, json};

    const PLAIN: Life<'_> = Life { revoked: None, imported: true };

    fn at(s: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(s, 0).unwrap()
    }
    fn view_of(status: &ModelVersionStatus) -> VersionView {
        let object = version("v1", &json!({}), &serde_json::to_value(status).unwrap());
        object.view.unwrap().as_ref().clone()
    }
    fn serving(since: &str) -> Served {
        let status = json!({
            "stable": revision("v1", &json!({})), "history": [ended("v1", "Deployed", since)],
        });
        served(&[deployment("wine", &status)], "v1")
    }

    #[test]
    fn saying_it_twice_is_saying_it_once() {
        let served = serving("2026-01-01T00:00:00Z");
        let empty = ModelVersionStatus::default();
        assert!(!is_recorded(&view_of(&empty), &served, at(1)));
        let once = update(&empty, &PLAIN, &served, Some(1), at(1));
        assert!(conditions::is_true(&once.conditions, Type::InUse));
        assert!(conditions::is_true(&once.conditions, Type::Ready));
        assert!(conditions::get(&once.conditions, Type::Revoked).is_none());
        assert_eq!((once.deployments.len(), once.outcomes.len()), (1, 1));
        assert_eq!(update(&once, &PLAIN, &served, Some(1), at(2)), once);
        assert!(is_recorded(&view_of(&once), &served, at(2)));
    }

    #[test]
    fn a_trained_version_that_nobody_serves_needs_no_write() {
        let run = Life { revoked: None, imported: false };
        let empty = ModelVersionStatus::default();
        assert_eq!(update(&empty, &run, &Served::default(), Some(1), at(1)), empty);
    }

    #[test]
    fn what_no_longer_serves_is_taken_out_and_its_outcome_stays() {
        let once =
            update(&ModelVersionStatus::default(), &PLAIN, &serving("2026-01-01T00:00:00Z"), Some(1), at(1));
        let gone = update(&once, &PLAIN, &Served::default(), Some(1), at(2));
        assert!(gone.deployments.is_empty() && !conditions::is_true(&gone.conditions, Type::InUse));
        assert_eq!(gone.outcomes, once.outcomes);
        let unknown = Served { unknown: BTreeSet::from(["uid-wine".to_owned()]), ..Served::default() };
        assert_eq!(update(&once, &PLAIN, &unknown, Some(1), at(2)), once);
    }

    #[test]
    fn revocation_is_one_way() {
        let empty = ModelVersionStatus::default();
        let revoked = update(
            &empty,
            &Life { revoked: Some("bad data"), imported: true },
            &Served::default(),
            Some(1),
            at(1),
        );
        let condition = conditions::get(&revoked.conditions, Type::Revoked).unwrap();
        assert_eq!((condition.status.as_str(), condition.message.as_str()), ("True", "bad data"));
        assert!(!conditions::is_true(&revoked.conditions, Type::Ready));
        assert!(conditions::is_true(&revoked.conditions, Type::Stalled), "to kstatus it has failed");
        assert!(is_recorded(&view_of(&revoked), &Served::default(), at(2)));
        assert_eq!(update(&revoked, &PLAIN, &Served::default(), Some(1), at(2)), revoked);
        let again = Life { revoked: Some("another word"), imported: true };
        assert_eq!(update(&revoked, &again, &Served::default(), Some(1), at(2)), revoked);
    }

    #[test]
    fn outcomes_that_fell_off_the_end_do_not_come_back() {
        let history: Vec<Value> =
            (0..30).map(|n| ended("v1", "RolledBack", &format!("2026-01-01T00:00:{n:02}Z"))).rev().collect();
        let all = served(&[deployment("wine", &json!({"history": history}))], "v1");
        assert_eq!(all.outcomes.len(), 30);
        let once = update(&ModelVersionStatus::default(), &PLAIN, &all, Some(1), at(1));
        assert_eq!(once.outcomes.len(), OUTCOMES);
        assert_eq!(once.outcomes.last().unwrap().at.timestamp() % 60, 29);
        assert_eq!(update(&once, &PLAIN, &all, Some(1), at(2)), once);
        assert!(is_recorded(&view_of(&once), &all, at(2)));
    }

    #[test]
    fn a_promotion_changes_the_role_and_its_time() {
        let candidate = json!({
            "phase": "Canary", "weight": 10, "step": "1/3", "stepIndex": 1, "startedAt": "2026-01-01T00:00:00Z",
        });
        let trying = served(&[deployment("wine", &json!({"candidate": revision("v1", &candidate)}))], "v1");
        let once = update(&ModelVersionStatus::default(), &PLAIN, &trying, Some(1), at(1));
        let then = update(&once, &PLAIN, &serving("2026-02-01T00:00:00Z"), Some(1), at(2));
        assert_eq!(then.deployments.len(), 1);
        assert_eq!(then.deployments[0].role, Role::Stable);
        assert_eq!(then.deployments[0].since, "2026-02-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap());
    }
}
