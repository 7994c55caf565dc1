//! The server's metrics, in OpenMetrics text.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

/// The content type under which Prometheus reads OpenMetrics.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From the microseconds of a small tree to the seconds of a stuck machine.
const BUCKETS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: u16,
}

/// Everything `/metrics` shows.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Code, Counter>,
    duration: Histogram,
    labelled: Counter,
    wrong: Counter,
    resident: Gauge,
}

impl Metrics {
    /// Metrics of a server of the model `digest`, which has `features` columns.
    pub fn new(digest: &str, features: usize) -> Self {
        let mut registry = Registry::default();
        let requests = Family::<Code, Counter>::default();
        // The series must exist before its first increase: `rate` needs the zero to start from.
        drop(requests.get_or_create(&Code { code: 200 }));
        registry.register(
            "http_requests",
            "Answered requests by status code, probes excluded",
            requests.clone(),
        );
        let duration = Histogram::new(BUCKETS);
        registry.register(
            "http_request_duration_seconds",
            "Time to answer a request, probes excluded",
            duration.clone(),
        );
        let labels =
            vec![("digest".to_owned(), digest.to_owned()), ("features".to_owned(), features.to_string())];
        registry.register("model", "The model that answers", Info::new(labels));
        let (labelled, wrong) = (Counter::default(), Counter::default());
        registry.register(
            "wine_predictions_labelled",
            "Predictions whose right answer is known",
            labelled.clone(),
        );
        registry.register("wine_predictions_wrong", "Those of them that were wrong", wrong.clone());
        let resident = Gauge::default();
        registry.register("process_resident_memory_bytes", "Resident memory", resident.clone());
        let start = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
        start.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        registry.register("process_start_time_seconds", "Start of the process, in Unix time", start);
        Self { registry, requests, duration, labelled, wrong, resident }
    }

    /// Records one answered request.
    pub fn answered(&self, code: u16, took: Duration) {
        self.requests.get_or_create(&Code { code }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Records a prediction whose right answer is known.
    pub fn labelled(&self, right: bool) {
        self.labelled.inc();
        self.wrong.inc_by(u64::from(!right));
    }

    /// The text of a scrape.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        if let Some(bytes) = resident_bytes() {
            self.resident.set(bytes);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// `status` gives kilobytes where `statm` gives pages, whose size only a C call can tell.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of the sample whose name and labels are exactly `series`.
    fn value(text: &str, series: &str) -> Option<f64> {
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    #[test]
    fn the_series_of_successes_starts_at_zero() {
        let text = Metrics::new("abc", 11).text().unwrap();
        assert_eq!(value(&text, r#"http_requests_total{code="200"}"#), Some(0.0));
        assert_eq!(value(&text, r#"model_info{digest="abc",features="11"}"#), Some(1.0));
        assert!(value(&text, "process_resident_memory_bytes").unwrap() > 1e6);
        assert!(value(&text, "process_start_time_seconds").unwrap() > 1.7e9);
    }

    #[test]
    fn every_line_is_openmetrics() {
        let metrics = Metrics::new("abc", 11);
        metrics.answered(200, Duration::from_micros(80));
        metrics.answered(500, Duration::from_secs(9));
        let text = metrics.text().unwrap();
        assert!(text.ends_with("# EOF\n"));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, number) = line.rsplit_once(' ').unwrap();
            number.parse::<f64>().unwrap();
            let name = series.split('{').next().unwrap();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
            assert_eq!(series.contains('{'), series.ends_with('}'), "{line}");
        }
        assert_eq!(value(&text, r#"http_requests_total{code="500"}"#), Some(1.0));
        assert_eq!(value(&text, r#"http_request_duration_seconds_bucket{le="0.0001"}"#), Some(1.0));
        assert_eq!(value(&text, r#"http_request_duration_seconds_bucket{le="+Inf"}"#), Some(2.0));
        assert_eq!(value(&text, "http_request_duration_seconds_count"), Some(2.0));
    }
}
