//! Evidence and verdicts for a canary, computed from counters and gauges alone.
//!
//! Everything here is a pure function: no I/O, no clock, no randomness, no state between calls. The caller
//! passes the raw samples of the whole analysis window and the present time; the judge replays them and gives
//! the verdict. The same samples give the same bits, so a restarted operator reaches the same verdict at the
//! same tick, and explaining a rollback is running it again.
//!
//! The pieces, in the order data flow through them:
//! - [`Sample`], [`Series`], [`PodCounters`], [`HistogramPod`], [`MeanPod`], [`QualityPod`], [`GaugePod`], [`Window`]:
//!   what was scraped and when. [`WarmUp`]: what young pods did, left out.
//! - `counters`, `histogram`: cumulative counters become deltas (resets, gaps, new pods, unusable values).
//! - `ticks`: deltas of both arms become comparable ticks on one grid.
//! - [`ErrorTest`]: the anytime-valid error-ratio test, also for quality ([`judge_quality`]). [`LatencyTest`]: the same
//!   at the edges of a histogram. [`MeanTest`]: mean latency, asymptotic. [`ScoreTest`]: bounded scores, by betting.
//!   [`ThresholdTest`]: a plain bound on a gauge.
//! - [`judge_all`]: several metrics under one budget. [`merge`]: one verdict from many.
//! - [`TrafficCheck`]: whether the canary gets its share. [`conclude`]: what follows, and when time is up.
//! - [`first_rung`], [`next_rung`]: the traffic ramp. [`ratio_interval`]: how much worse, at any time.
//!
//! Method: conditional two-sample e-process with a tolerated ratio (the null of Lindon and Malek,
//! arXiv 2011.03567, with a margin), mixed over unknown start times (Shin, Ramdas and Rinaldo,
//! arXiv 2203.03532), stopped by Ville's inequality, merged as in Vovk and Wang (Annals of Statistics 2021).
//! Where another method is used, its module names the source.

mod analysis;
mod confidence;
mod counters;
mod dispersion;
mod eprocess;
mod error;
mod forecast;
mod histogram;
mod horizon;
mod input;
mod joint;
mod latency;
mod mean;
mod merge;
mod normal;
mod params;
mod profile;
mod quality;
mod ramp;
mod running;
mod score;
mod tail;
mod threshold;
mod ticks;
mod traffic;
mod warmup;

pub use analysis::{Analysis, Metric, MetricVerdict, Test, judge_all};
pub use confidence::{RatioInterval, ratio_interval};
pub use dispersion::dispersion_prior;
pub use error::{ArmTotals, ErrorInput, ErrorTest, ErrorVerdict, TracePoint};
pub use histogram::{Bucket, Histogram, HistogramPod};
pub use horizon::{AtHorizon, Conclusion, Horizon, Inconclusive, Progress, conclude};
pub use input::{GaugePod, PodCounters, Sample, Series, Window};
pub use latency::{EdgeVerdict, EvidencePoint, LatencyInput, LatencyNoData, LatencyTest, LatencyVerdict};
pub use mean::{MeanInput, MeanPod, MeanTest, MeanVerdict};
pub use merge::{MetricState, NoDataReason, Overall, State, merge};
pub use params::{
    CoarseEdges, Direction, ErrorParams, LatencyParams, MeanParams, ParamError, ScoreParams, ThresholdParams,
};
pub use profile::LatencyProfile;
pub use quality::{Part, QualityInput, QualityPod, judge_quality};
pub use ramp::{LADDER, first_rung, needed_per_tick, next_rung};
pub use running::{ErrorEvidence, LatencyCounts, dispersion_of};
pub use score::{ScoreInput, ScoreTest, ScoreVerdict};
pub use threshold::{ThresholdTest, ThresholdVerdict};
pub use traffic::{TrafficCheck, TrafficParams, TrafficState, TrafficVerdict, WeightStep};
pub use warmup::WarmUp;
