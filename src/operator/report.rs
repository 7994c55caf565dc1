//! Step 5: Events and counters, after everything that they speak of was written. An Event that is lost is logged; it
//! never fails a reconcile.

use kube::Resource;
use kube_runtime::events::{Event, EventType};
use serin_engine::Note;

use crate::{context::Context, observe::Object};

/// Publishes what happened.
pub async fn report(ctx: &Context, object: &Object<'_>, notes: &[Note]) {
    for note in notes {
        ctx.telemetry.decided(note.reason);
        let (namespace, name) = (&object.owner.namespace, &object.owner.name);
        tracing::info!(%namespace, %name, reason = %note.reason, action = %note.action, "{}", note.message);
        let event = Event {
            type_: if note.warning { EventType::Warning } else { EventType::Normal },
            reason: note.reason.as_str().to_owned(),
            action: note.action.clone(),
            note: Some(note.message.clone()),
            secondary: None,
        };
        if let Err(error) = ctx.recorder.publish(&event, &object.md.object_ref(&())).await {
            tracing::warn!(%namespace, %name, %error, "event lost");
        }
    }
}
