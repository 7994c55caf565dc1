//! Progress lines on standard error.

use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(5);
const MEGA: f64 = 1e6;

/// Prints how far a transfer is, at most every few seconds.
pub struct Progress {
    total: Option<u64>,
    started: Instant,
    printed: Instant,
    printed_bytes: u64,
}

impl Progress {
    /// Starts at `bytes`, of `total` if known.
    pub fn new(bytes: u64, total: Option<u64>) -> Self {
        let now = Instant::now();
        Self { total, started: now, printed: now, printed_bytes: bytes }
    }

    /// Says where the transfer is, if it is time.
    pub fn at(&mut self, bytes: u64) {
        if self.printed.elapsed() >= EVERY {
            let rate =
                (bytes.saturating_sub(self.printed_bytes)) as f64 / self.printed.elapsed().as_secs_f64();
            eprintln!("{}", line(bytes, self.total, rate));
            self.printed = Instant::now();
            self.printed_bytes = bytes;
        }
    }

    /// Says how long it took.
    pub fn end(&self, bytes: u64) {
        eprintln!("received {bytes} bytes in {:.1} s", self.started.elapsed().as_secs_f64());
    }
}

fn line(bytes: u64, total: Option<u64>, bytes_per_second: f64) -> String {
    let rate = bytes_per_second / MEGA;
    let done = bytes as f64 / MEGA;
    match total {
        Some(total) if total > 0 => {
            let percent = 100.0 * bytes as f64 / total as f64;
            format!("{done:.1} MB of {:.1} MB ({percent:.0} %), {rate:.1} MB/s", total as f64 / MEGA)
        }
        _ => format!("{done:.1} MB, {rate:.1} MB/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_line_has_bytes_rate_and_percent() {
        assert_eq!(line(25_000_000, Some(100_000_000), 5e6), "25.0 MB of 100.0 MB (25 %), 5.0 MB/s");
        assert_eq!(line(25_000_000, None, 5e6), "25.0 MB, 5.0 MB/s");
        assert_eq!(line(0, Some(0), 0.0), "0.0 MB, 0.0 MB/s");
    }
}
