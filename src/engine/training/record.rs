//! What is written into a version's status. Asking twice is asking once.

use chrono::{DateTime, Utc};
use serin_api::{
    EvaluationRecord, ModelVersionStatus, Reason,
    conditions::{self, State, Type},
};

use super::plan::{VersionEvent, VersionNews};

/// Judgements and replays that are kept; the oldest go first.
const KEPT: usize = 20;

/// The status with the news in it; the same status, if they are in it already.
pub fn record(
    present: &ModelVersionStatus,
    news: &VersionNews,
    generation: Option<i64>,
    now: DateTime<Utc>,
) -> ModelVersionStatus {
    let mut status = present.clone();
    status.level = status.level.max(news.level);
    if conditions::get(&status.conditions, Type::Ready).is_none() {
        let all = &mut status.conditions;
        conditions::set(all, Type::Ready, State::True, Reason::Recorded, "", generation, now);
    }
    match &news.event {
        VersionEvent::Recorded(Some(judgement)) | VersionEvent::Judged(judgement) => {
            judged(&mut status, judgement, generation, now);
        }
        VersionEvent::Recorded(None) => {
            if conditions::get(&status.conditions, Type::Evaluated).is_none() {
                let message = "its run asked for no evaluation";
                let all = &mut status.conditions;
                conditions::set(
                    all,
                    Type::Evaluated,
                    State::Unknown,
                    Reason::NotEvaluated,
                    message,
                    generation,
                    now,
                );
            }
        }
        VersionEvent::Replayed(replay) => {
            if !status.replays.iter().any(|known| known.uid == replay.uid) {
                status.replays.push(replay.clone());
                keep_newest(&mut status.replays);
            }
        }
    }
    status
}

fn judged(
    status: &mut ModelVersionStatus,
    judgement: &EvaluationRecord,
    generation: Option<i64>,
    now: DateTime<Utc>,
) {
    if status.evaluations.contains(judgement) {
        return;
    }
    status.evaluations.push(judgement.clone());
    keep_newest(&mut status.evaluations);
    let reason = if judgement.passed { Reason::GatePassed } else { Reason::GateFailed };
    let (all, message) = (&mut status.conditions, judgement.message.clone());
    conditions::set(all, Type::Evaluated, judgement.passed.into(), reason, message, generation, now);
}

fn keep_newest<T>(list: &mut Vec<T>) {
    let surplus = list.len().saturating_sub(KEPT);
    list.drain(..surplus);
}
