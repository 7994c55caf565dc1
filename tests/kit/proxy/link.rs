//! The state of the connection as a whole: late, or cut.

use std::time::Duration;

use axum::body::Body;
use futures::{StreamExt as _, stream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Call;

/// How the connection is.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    cut: bool,
    held: bool,
    no_lease: bool,
    lag: Duration,
}

/// The connection between the operator and the apiserver.
#[derive(Debug, Clone)]
pub struct Link(watch::Sender<State>);

impl Default for Link {
    fn default() -> Self {
        Self(watch::channel(State::default()).0)
    }
}

impl Link {
    /// Breaks every watch and every request from now on, or mends the connection.
    pub fn cut(&self, cut: bool) {
        self.0.send_modify(|state| state.cut = cut);
    }

    /// Keeps the answers to writes, which happen all the same, or lets them go. Those about the lease come through.
    pub fn hold(&self, held: bool) {
        self.0.send_modify(|state| state.held = held);
    }

    /// Returns when answers are let go.
    pub(super) async fn let_go(&self) {
        // An error would mean that the sender is gone, which is in here.
        let _ = self.0.subscribe().wait_for(|state| !state.held).await;
    }

    /// Lets no request about the lease through (503), and everything else; or mends that.
    pub fn no_lease(&self, refused: bool) {
        self.0.send_modify(|state| state.no_lease = refused);
    }

    pub(super) fn refuses(&self, call: &Call) -> bool {
        self.0.borrow().no_lease && call.is_lease()
    }

    /// Shows every change this much later in watches, as a busy apiserver does.
    pub fn lag(&self, lag: Duration) {
        self.0.send_modify(|state| state.lag = lag);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.0.borrow().cut
    }

    /// The body of a watch, late, until the connection is cut.
    pub(super) fn carry(&self, body: Body) -> Body {
        // Each change has its own moment: what comes together is late together.
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut cut = self.0.subscribe();
        tokio::spawn(async move {
            let mut chunks = body.into_data_stream();
            loop {
                let chunk = tokio::select! {
                    chunk = chunks.next() => chunk,
                    _ = cut.wait_for(|state| state.cut) => None,
                    () = sender.closed() => None,
                };
                let Some(chunk) = chunk else { return };
                if sender.send((Instant::now(), chunk)).is_err() {
                    return;
                }
            }
        });
        let state = (receiver, self.0.subscribe());
        Body::from_stream(stream::unfold(state, |(mut chunks, mut link)| async move {
            let (came, chunk) = tokio::select! {
                chunk = chunks.recv() => chunk?,
                _ = link.wait_for(|state| state.cut) => return None,
            };
            let lag = link.borrow().lag;
            tokio::time::sleep_until(came + lag).await;
            Some((chunk, (chunks, link)))
        }))
    }
}
