//! What can go wrong between the operator and the apiserver, at one chosen write.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use super::Call;

/// What happens to the chosen write.
#[derive(Clone)]
pub enum Fault {
    /// It is committed; then the operator is killed, and the answer is never delivered.
    Kill(Arc<dyn Fn() + Send + Sync>),
    /// It is committed; the connection breaks instead of the answer.
    LoseAnswer,
    /// It is committed; the answer says otherwise (504, as from a load balancer).
    AnswerAfterCommit(u16),
    /// It is not committed; the answer is this (429, 503).
    Refuse(u16),
    /// It is committed, this much later.
    Delay(Duration),
}

/// The fault that is armed, if any.
#[derive(Clone, Default)]
pub struct Faults(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    fired: Notify,
}

#[derive(Default)]
struct State {
    armed: Option<Armed>,
    /// A call was chosen, and its fault has not yet happened.
    happening: bool,
}

struct Armed {
    left: usize,
    fault: Fault,
    which: Box<dyn Fn(&Call) -> bool + Send>,
}

impl Faults {
    /// Lets `fault` happen at the `nth` call (from 1) that `which` picks.
    pub fn arm(&self, nth: usize, fault: Fault, which: impl Fn(&Call) -> bool + Send + 'static) {
        let armed = Armed { left: nth, fault, which: Box::new(which) };
        self.0.state.lock().unwrap().armed = Some(armed);
    }

    /// Takes a fault back; `true` if it had not happened yet.
    pub fn disarm(&self) -> bool {
        self.0.state.lock().unwrap().armed.take().is_some()
    }

    /// Whether a fault waits to happen.
    pub fn is_armed(&self) -> bool {
        let state = self.0.state.lock().unwrap();
        state.armed.is_some() || state.happening
    }

    /// Returns when the armed fault has happened; at once if none is armed.
    pub async fn fired(&self) {
        loop {
            let fired = self.0.fired.notified();
            tokio::pin!(fired);
            fired.as_mut().enable();
            if !self.is_armed() {
                return;
            }
            fired.await;
        }
    }

    /// The fault that is to happen to this call. It is used up.
    pub(super) fn take(&self, call: &Call) -> Option<Fault> {
        let mut state = self.0.state.lock().unwrap();
        let waiting = state.armed.as_mut().filter(|armed| (armed.which)(call))?;
        waiting.left -= 1;
        if waiting.left > 0 {
            return None;
        }
        state.happening = true;
        state.armed.take().map(|armed| armed.fault)
    }

    /// What was taken has happened.
    pub(super) fn happened(&self) {
        self.0.state.lock().unwrap().happening = false;
        self.0.fired.notify_waiters();
    }
}
