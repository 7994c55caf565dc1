//! What went wrong with a request, and how often and when it is tried again.

use std::time::Duration;

use crate::connector::Answer;

const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How patient to be.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Attempts in a row without progress before giving up.
    pub attempts: u32,
    /// Pause after the first failed attempt; it doubles with each further one.
    pub first_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { attempts: 8, first_pause: Duration::from_secs(1) }
    }
}

impl Patience {
    /// Pause after so many failed attempts.
    pub fn pause(&self, failed: u32) -> Duration {
        self.first_pause.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
    }

    /// Tries until it works, is hopeless, or was tried often enough.
    pub async fn insist<T>(
        &self,
        what: &str,
        mut attempt: impl AsyncFnMut() -> Result<T, object_store::Error>,
    ) -> Result<T, Trouble> {
        let mut failed = 0;
        loop {
            let trouble = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => Trouble::of(&error),
            };
            failed += 1;
            if !trouble.is_transient() || failed >= self.attempts {
                return Err(trouble);
            }
            let pause = self.pause(failed);
            eprintln!("{what}: {trouble}; again in {:.1} s", pause.as_secs_f64());
            tokio::time::sleep(pause).await;
        }
    }
}

/// Why a store did not do what it was asked. One line, without addresses: they can hold signatures.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct Trouble {
    /// What happened.
    pub reason: String,
    /// What it means.
    pub kind: TroubleKind,
}

/// What trouble means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// The object or the bucket is not there.
    Missing,
    /// Another try is pointless.
    Final,
    /// Another try may work.
    Transient,
}

impl Trouble {
    /// Pointless to repeat.
    pub fn lasting(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind: TroubleKind::Final }
    }

    /// Worth another try.
    pub fn transient(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kind: TroubleKind::Transient }
    }

    /// What an error of the store's client means.
    pub fn of(error: &object_store::Error) -> Self {
        if let Some(answer) = find::<Answer>(error) {
            return answer.trouble();
        }
        // What does not come from a connection comes from what the server sent or from what was asked for.
        let reason = one_line(error);
        match error {
            object_store::Error::NotFound { .. } => Self { reason, kind: TroubleKind::Missing },
            object_store::Error::Generic { .. } => Self::transient(reason),
            _ => Self::lasting(reason),
        }
    }

    /// Worth another try?
    pub fn is_transient(&self) -> bool {
        self.kind == TroubleKind::Transient
    }
}

/// The innermost text of an error; the outer ones repeat it, with addresses.
fn one_line(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    let text = innermost.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect()
}

fn find<'e, T: std::error::Error + 'static>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
