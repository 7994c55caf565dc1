//! What the judge is given: raw samples per pod, and the window they are judged in.

/// One raw sample of a counter or gauge, as stored by the metrics server (not a rate, not extrapolated).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Time of the scrape, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Value; for counters the cumulative count.
    pub value: f64,
}

/// One cumulative counter of one pod, for example its requests answered with status 503.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// Whether what it counts are errors. All series count as requests, the marked ones also as errors.
    pub error: bool,
    /// Samples in any order.
    pub samples: Vec<Sample>,
}

/// All counters of one pod (or of another scrape target, such as one gateway replica).
///
/// All series of a pod must come from one time range of one query evaluation time: a series that begins after
/// the pod's first scrape is taken for new and counts from zero.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PodCounters {
    /// Name, unique in its arm. Entries with the same name are treated as one pod.
    pub pod: String,
    /// When the pod started, milliseconds since the Unix epoch, if known. Its first sample counts from zero
    /// if the pod was younger than one interval then; otherwise it is only a baseline.
    pub started_ms: Option<i64>,
    /// Times of successful scrapes, from `up`, if known; may be empty. They tell a pod without traffic (labelled
    /// counters do not exist before their first increment) from a pod that was not scraped. They must come from
    /// the same time range as the series.
    pub scraped_ms: Vec<i64>,
    /// The counters.
    pub series: Vec<Series>,
}

/// A gauge of one canary pod.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GaugePod {
    /// Name of the pod.
    pub pod: String,
    /// Samples in any order; NaN means not scraped.
    pub samples: Vec<Sample>,
}

/// How long after the last sample data still count as current, beyond the intervals waited for: query
/// evaluation and ingestion delay.
const STALE_SLACK_MS: i64 = 10_000;
/// Scrape intervals to wait for the slower arm.
const WAIT_INTERVALS: i64 = 3;

/// The grid of ticks and the time of judgement. Tick `k` covers
/// `[origin_ms + k*interval_ms, origin_ms + (k+1)*interval_ms)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Start of the analysis, milliseconds since the Unix epoch. Earlier samples serve as baselines only, so
    /// query from at least one interval before.
    pub origin_ms: i64,
    /// Length of a tick, milliseconds: the scrape interval.
    pub interval_ms: i64,
    /// The query's evaluation time, milliseconds since the Unix epoch. Later samples are ignored, so judging
    /// again with an earlier `now_ms` shows what was known then.
    pub now_ms: i64,
    /// Data whose newest sample is older than this, milliseconds before `now_ms`, are stale.
    pub stale_after_ms: i64,
}

impl Window {
    /// A window with the default staleness: three intervals and ten seconds. An interval below 1 ms becomes 1 ms.
    pub fn new(origin_ms: i64, interval_ms: i64, now_ms: i64) -> Self {
        let interval_ms = interval_ms.max(1);
        let stale_after_ms = interval_ms.saturating_mul(WAIT_INTERVALS).saturating_add(STALE_SLACK_MS);
        Self { origin_ms, interval_ms, now_ms, stale_after_ms }
    }

    fn interval(&self) -> i64 {
        self.interval_ms.max(1)
    }

    /// Index of the tick that contains `at_ms`; negative before the origin.
    pub(crate) fn tick_of(&self, at_ms: i64) -> i64 {
        at_ms.saturating_sub(self.origin_ms).div_euclid(self.interval())
    }

    pub(crate) fn end_of(&self, tick: i64) -> i64 {
        self.origin_ms.saturating_add(tick.saturating_add(1).saturating_mul(self.interval()))
    }

    /// A tick is closed when its arms have been scraped at or after its end, or have had three intervals to be.
    pub(crate) fn is_closed(&self, end_ms: i64, all_scraped_at: Option<i64>) -> bool {
        all_scraped_at.is_some_and(|at| at >= end_ms)
            || self.now_ms.saturating_sub(end_ms) > self.interval().saturating_mul(WAIT_INTERVALS)
    }

    pub(crate) fn is_stale(&self, at_ms: i64) -> bool {
        self.now_ms.saturating_sub(at_ms) > self.stale_after_ms
    }

    /// Whether a pod that started then is younger than one interval at `at_ms`. Clock skew may make the start
    /// look a little later than the scrape; that is young too. If it is much later, a container was started anew,
    /// and nothing is known of the start of the one that was scraped.
    pub(crate) fn is_young(&self, started_ms: Option<i64>, at_ms: i64) -> bool {
        started_ms.is_some_and(|started| at_ms.abs_diff(started) < self.interval().unsigned_abs())
    }
}
