//! The state of the connection as a whole: late, or cut.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{StreamExt as _, stream};
use tokio::sync::watch;

/// How the connection is.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    cut: bool,
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

    /// Shows every change this much later in watches, as a busy apiserver does.
    pub fn lag(&self, lag: Duration) {
        self.0.send_modify(|state| state.lag = lag);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.0.borrow().cut
    }

    /// The body of a watch, late, until the connection is cut.
    pub(super) fn carry(&self, body: Body) -> Body {
        let state = (body.into_data_stream(), self.0.subscribe());
        Body::from_stream(stream::unfold(state, |(mut chunks, mut link)| async move {
            let chunk: Option<Result<Bytes, _>> = tokio::select! {
                chunk = chunks.next() => chunk,
                _ = link.wait_for(|state| state.cut) => None,
            };
            let lag = link.borrow().lag;
            tokio::time::sleep(lag).await;
            Some((chunk?, (chunks, link)))
        }))
    }
}
