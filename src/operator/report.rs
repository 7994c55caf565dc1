//! Step 5: Events and counters, after everything that they speak of was written. An Event that is lost is logged; it
//! never fails a reconcile.

use kube_runtime::events::{Event, EventType};
use serin_engine::Note;

use crate::{
    context::Context,
    owner::{Main, Name},
};

/// Publishes what happened to an object.
pub async fn report<K: Main>(ctx: &Context, object: &K, notes: &[Note]) {
    for note in notes {
        ctx.telemetry.decided(note.reason);
        let Name { kind, namespace, name } = Name::of(object);
        let kind = kind.as_str();
        tracing::info!(kind, %namespace, %name, reason = %note.reason, action = %note.action, "{}", note.message);
        let event = Event {
            type_: if note.warning { EventType::Warning } else { EventType::Normal },
            reason: note.reason.as_str().to_owned(),
            action: note.action.clone(),
            note: Some(note.message.clone()),
            secondary: None,
        };
        if let Err(error) = ctx.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::warn!(kind, %namespace, %name, %error, "event lost");
        }
    }
}
