//! Who plays when: first those that only work in their namespace, some beside each other; then, one after the other, those
//! that take something away from all. In any other order everybody would wait for the slowest before each of these.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Scenarios beside each other: they mostly wait, but each has pods and load.
pub const AT_ONCE: usize = 5;

/// Who plays, and who waits for it, in this process.
pub struct Turns {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    /// Play beside each other.
    together: usize,
    /// Wait to.
    waiting: usize,
    /// Whether one plays alone.
    alone: bool,
}

impl State {
    const fn may_join(self) -> bool {
        !self.alone && self.together < AT_ONCE
    }

    const fn may_be_alone(self) -> bool {
        !self.alone && self.together == 0 && self.waiting == 0
    }
}

/// Until it is dropped, also by a panic.
pub struct Turn<'a> {
    turns: &'a Turns,
    alone: bool,
}

impl Turns {
    pub const fn new() -> Self {
        Self {
            state: Mutex::new(State { together: 0, waiting: 0, alone: false }),
            ended: Notify::const_new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn beside others.
    pub async fn together(&self) -> Turn<'_> {
        self.state().waiting += 1;
        self.when(State::may_join, |state| {
            state.waiting -= 1;
            state.together += 1;
        })
        .await;
        Turn { turns: self, alone: false }
    }

    /// A turn that nobody shares, once nobody waits for one that is shared.
    pub async fn alone(&self) -> Turn<'_> {
        self.when(State::may_be_alone, |state| state.alone = true).await;
        Turn { turns: self, alone: true }
    }

    async fn when(&self, may: impl Fn(State) -> bool, take: impl Fn(&mut State)) {
        loop {
            // Before the look: an end between the two is not missed.
            let ended = self.ended.notified();
            {
                let mut state = self.state();
                if may(*state) {
                    return take(&mut state);
                }
            }
            ended.await;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        if self.alone {
            state.alone = false;
        } else {
            state.together -= 1;
        }
        self.turns.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn so_many_play_beside_each_other_and_not_one_more() {
        let turns = Turns::new();
        let mut playing: Vec<_> =
            (0..AT_ONCE).map(|_| turns.together().now_or_never().expect("there is room")).collect();
        let mut next = Box::pin(turns.together());
        assert!(next.as_mut().now_or_never().is_none());
        playing.pop();
        assert!(next.now_or_never().is_some());
    }

    #[test]
    fn whoever_plays_alone_comes_after_all_that_share() {
        let turns = Turns::new();
        let playing: Vec<_> = (0..AT_ONCE).filter_map(|_| turns.together().now_or_never()).collect();
        let mut shared = Box::pin(turns.together());
        let (mut first, mut second) = (Box::pin(turns.alone()), Box::pin(turns.alone()));
        assert!(shared.as_mut().now_or_never().is_none());
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        drop(playing);
        assert!(first.as_mut().now_or_never().is_none(), "one waits that shares");
        drop(shared.now_or_never().expect("the five have gone"));
        let alone = first.now_or_never().expect("nobody is left that shares");
        assert!(second.as_mut().now_or_never().is_none());
        assert!(turns.together().now_or_never().is_none());
        drop(alone);
    }

    #[test]
    fn a_panic_gives_the_turn_back() {
        let turns = Turns::new();
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _turn = turns.alone().now_or_never();
            panic!("a scenario that fails");
        }));
        assert!(played.is_err());
        assert!(turns.together().now_or_never().is_some());
    }
}
