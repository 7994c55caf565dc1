//! What is written into a version's status, and that asking twice is asking once.

use serin_api::{EvaluationRecord, Level, ModelVersionStatus, Replay, ReplayOutcome, conditions};
use serin_engine::training::{VersionEvent, VersionNews, record};

use crate::sim::at;

fn judgement(n: i64, passed: bool) -> EvaluationRecord {
    EvaluationRecord {
        passed,
        message: format!("judgement {n}"),
        spec_hash: None,
        eval_set_digest: String::new(),
        evaluator_image: String::new(),
        champion_digest: None,
        champion: None,
        metrics: Vec::new(),
        report: None,
        at: at(n),
    }
}

fn tell(
    status: &ModelVersionStatus,
    level: Option<Level>,
    event: VersionEvent,
    n: i64,
) -> ModelVersionStatus {
    let news = VersionNews { level, event };
    let told = record(status, &news, Some(1), at(n));
    assert_eq!(record(&told, &news, Some(1), at(n + 500)), told, "told twice");
    told
}

#[test]
fn the_last_judgement_counts_and_the_oldest_go() {
    let mut status = tell(
        &ModelVersionStatus::default(),
        Some(Level::Pinned),
        VersionEvent::Recorded(Some(judgement(0, true))),
        0,
    );
    assert!(conditions::is_true(&status.conditions, conditions::Type::Evaluated));
    for n in 1..=25 {
        status = tell(&status, None, VersionEvent::Judged(judgement(n, n != 25)), n);
    }
    assert!(!conditions::is_true(&status.conditions, conditions::Type::Evaluated));
    assert_eq!((status.evaluations.len(), status.evaluations[0].at), (20, at(6)));
    assert_eq!(status.level, Some(Level::Pinned));
}

#[test]
fn levels_only_rise() {
    let replay = |uid: &str, outcome| {
        VersionEvent::Replayed(Replay {
            run: "again".to_owned(),
            uid: uid.to_owned(),
            outcome,
            message: String::new(),
            at: at(1),
        })
    };
    let status = tell(
        &ModelVersionStatus::default(),
        Some(Level::Identical),
        replay("1", ReplayOutcome::Identical),
        1,
    );
    let status = tell(&status, Some(Level::Replayed), replay("2", ReplayOutcome::WithinTolerance), 2);
    let status = tell(&status, None, replay("3", ReplayOutcome::Different), 3);
    assert_eq!(status.level, Some(Level::Identical));
    assert_eq!(status.replays.len(), 3);
}

#[test]
fn nobody_was_asked() {
    let status =
        tell(&ModelVersionStatus::default(), Some(Level::Traceable), VersionEvent::Recorded(None), 1);
    let evaluated = conditions::get(&status.conditions, conditions::Type::Evaluated).unwrap();
    assert_eq!((evaluated.status.as_str(), evaluated.reason.as_str()), ("Unknown", "NotEvaluated"));
}
