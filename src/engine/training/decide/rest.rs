//! The run has ended. Nothing is made any more, whatever becomes of its Jobs; what is left of them goes in time.

use chrono::Duration;
use serin_api::Completion;

use super::Draft;
use crate::training::{Child, ObservedJob, Write};

pub(super) fn keep(d: &mut Draft<'_>, completion: &Completion) {
    let due = completion.at + Duration::seconds(d.input.spec.retention.jobs_seconds.max(0));
    let kept_long_enough = due <= d.now();
    let mut waits = false;
    for job in &d.world().jobs {
        // What still runs is of no use; what has ended is kept for its logs.
        if kept_long_enough || job.end.is_none() {
            d.delete(job);
        } else {
            waits = true;
        }
    }
    for service in &d.world().services {
        let over = d.world().job(Child::Attempt(service.attempt)).is_none_or(ObservedJob::is_over);
        if !kept_long_enough {
            waits = true;
        } else if over && !service.deleting {
            d.writes.push(Write::DeleteService { name: service.name.clone(), uid: service.uid.clone() });
        }
    }
    if waits {
        d.look_again_at(due);
    }
    let generation = d.input.generation;
    if d.status.observed_generation != generation {
        d.status.observed_generation = generation;
        for condition in &mut d.status.conditions {
            condition.observed_generation = generation;
        }
    }
}
