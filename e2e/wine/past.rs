//! The metrics as others have them who are not up to date: a pipeline with a queue, a cache that nobody refreshes.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How long texts are kept.
const KEPT: Duration = Duration::from_mins(5);

/// What was said so far.
#[derive(Debug)]
pub struct Past {
    first: (SystemTime, String),
    all: Mutex<VecDeque<(SystemTime, String)>>,
}

impl Past {
    /// Nothing was said before this.
    pub fn beginning(now: SystemTime, text: String) -> Self {
        Self { first: (now, text), all: Mutex::default() }
    }

    /// Keeps what is said now, and gives what was said so long ago, with the times of then; nothing where nobody asked then.
    pub fn late(&self, now: SystemTime, text: &str, by: Duration) -> Option<String> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back((now, text.to_owned()));
        let since = now.checked_sub(KEPT).unwrap_or(UNIX_EPOCH);
        all.retain(|(at, _)| *at >= since);
        let then = now.checked_sub(by)?;
        all.iter().rev().find(|(at, _)| *at <= then).map(|(at, text)| timed(text, *at))
    }

    /// What was said first, with the time of then.
    pub fn stuck(&self) -> String {
        timed(&self.first.1, self.first.0)
    }

    /// The same without a time: whoever reads it takes it for new.
    pub fn still(&self) -> &str {
        &self.first.1
    }
}

/// Each sample with its time.
fn timed(text: &str, at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    text.lines().fold(String::with_capacity(2 * text.len()), |mut all, line| {
        let _ = if line.starts_with('#') {
            writeln!(all, "{line}")
        } else {
            writeln!(all, "{line} {seconds:.3}")
        };
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_late_has_the_time_of_then() {
        let past = Past::beginning(at(1), String::new());
        let by = Duration::from_secs(4);
        let text = |n: u64| format!("# TYPE a counter\na_total {n}\n# EOF\n");
        assert_eq!(past.late(at(10), &text(1), by), None);
        assert_eq!(past.late(at(12), &text(2), by), None);
        let late = past.late(at(15), &text(3), by);
        assert_eq!(late.as_deref(), Some("# TYPE a counter\na_total 1 10.000\n# EOF\n"));
        assert_eq!(past.late(at(400), &text(4), by), None, "too long ago to be kept");
    }

    #[test]
    fn what_stands_still_is_the_first_text() {
        let past = Past::beginning(at(1), "a 1\n".to_owned());
        past.late(at(3), "a 2\n", Duration::ZERO);
        assert_eq!((past.stuck().as_str(), past.still()), ("a 1 1.000\n", "a 1\n"));
    }
}
