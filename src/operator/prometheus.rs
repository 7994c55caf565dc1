//! Prometheus, asked for raw samples. The address comes from the operator's flag, never from a user's object; answers
//! are bounded in time and size, and redirects are not followed (a metrics server that redirects is not one).

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serin_engine::measure::Measurement;

use crate::error::StartError;

/// Deadline of one query, connect to last byte.
const DEADLINE: Duration = Duration::from_secs(5);
/// Largest answer read, after decompression (none is asked for).
const BODY_MAX: usize = 1 << 20;
/// Longest range of one query, in seconds: 600 s at a 2 s scrape are 8 kB a series, so that a hundred series fit.
const RANGE_MAX: i64 = 600;
/// Shortest range, in seconds: an answer that is too large is asked for in halves down to this.
const RANGE_MIN: i64 = 150;

/// The client.
#[derive(Clone, Debug)]
pub struct Prometheus {
    http: reqwest::Client,
    query: reqwest::Url,
}

/// Why there is no answer. A class, never the body: what a server says is not ours to repeat in a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No connection, or it broke.
    #[error("Prometheus cannot be reached")]
    Unreachable,
    /// No answer in time.
    #[error("Prometheus did not answer within 5 s")]
    Timeout,
    /// A redirect or another status.
    #[error("Prometheus answered with HTTP status {0}")]
    Status(u16),
    /// More than 1 MiB.
    #[error("Prometheus answered with more than 1 MiB")]
    TooLarge,
    /// Not the JSON that its API promises.
    #[error("Prometheus answered with something that is not its API's JSON")]
    NotJson,
    /// `status: error`.
    #[error("Prometheus refused the query")]
    Refused,
    /// One pod's series under two scrape targets that live: every request would count twice.
    #[error("a pod is scraped under two targets; its requests would count twice")]
    TwoTargets,
}

/// One series as Prometheus returns it.
#[derive(Clone, Debug, Deserialize)]
pub struct RawSeries {
    /// Labels.
    pub metric: std::collections::BTreeMap<String, String>,
    /// Seconds and value; the value is text because of NaN.
    #[serde(default)]
    pub values: Vec<(f64, String)>,
    /// Seconds and value, of an answer for one moment.
    #[serde(default)]
    pub value: Option<(f64, String)>,
    /// Seconds and native histogram; a series has these or `values`.
    #[serde(default)]
    pub histograms: Vec<(f64, RawHistogram)>,
}

/// A native histogram at a moment.
#[derive(Clone, Debug, Deserialize)]
pub struct RawHistogram {
    /// Observations.
    pub count: String,
    /// Rule of the boundaries, lower and upper one, and observations between them. Empty ones are left out.
    #[serde(default)]
    pub buckets: Vec<(u8, String, String, String)>,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    #[serde(default)]
    result: Vec<RawSeries>,
}

impl Prometheus {
    /// Takes the base address, such as `http://prometheus.monitoring:9090`.
    pub fn new(url: &str) -> Result<Self, StartError> {
        let fail = |why: &str| StartError::Prometheus { url: url.to_owned(), why: why.to_owned() };
        let mut base = reqwest::Url::parse(url).map_err(|e| fail(&e.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(fail("must be http://HOST[:PORT][/PREFIX] or https://…"));
        }
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        let query = base.join("api/v1/query").map_err(|e| fail(&e.to_string()))?;
        // The operator's image is empty: public roots are built in, mounted ones (SSL_CERT_FILE) are added.
        let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
        let mounted = rustls_native_certs::load_native_certs().certs;
        let roots = public.chain(mounted).filter_map(|der| reqwest::Certificate::from_der(&der).ok());
        let http = reqwest::Client::builder()
            .tls_certs_only(roots)
            .timeout(DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(4)
            .build()
            .map_err(|e| fail(&format!("{e:?}")))?;
        Ok(Self { http, query })
    }

    /// Raw samples of these series from the pods of both arms, from `m.from` until `now`.
    pub async fn samples(
        &self,
        series: &BTreeSet<String>,
        namespace: &str,
        m: &Measurement,
        now: DateTime<Utc>,
    ) -> Result<Vec<RawSeries>, QueryError> {
        let selector = selector(series, namespace, m);
        let mut all: Vec<RawSeries> = Vec::new();
        let mut range = RANGE_MAX;
        let mut from = m.from.timestamp();
        let end = now.timestamp();
        while from < end && !series.is_empty() {
            let until = (from + range).min(end);
            let query = format!("{selector}[{}s]", until - from);
            match self.query(&query, until, "matrix").await {
                Ok(part) => {
                    merge(&mut all, part);
                    from = until;
                }
                Err(QueryError::TooLarge) if until - from > RANGE_MIN => {
                    range = ((until - from) / 2).max(RANGE_MIN);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(all)
    }

    /// Asks; `form` is the form of answer that the query has.
    pub async fn query(&self, query: &str, at: i64, form: &str) -> Result<Vec<RawSeries>, QueryError> {
        let request = self.http.get(self.query.clone()).query(&[("query", query), ("time", &at.to_string())]);
        let mut answer = request.send().await.map_err(|e| classify(&e))?;
        // 400 and 422 carry `status: error`; everything else but 200 has no body worth reading.
        let status = answer.status().as_u16();
        if !matches!(status, 200 | 400 | 422) {
            return Err(QueryError::Status(status));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| classify(&e))? {
            if body.len() + chunk.len() > BODY_MAX {
                return Err(QueryError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| QueryError::NotJson)?;
        match answer {
            Answer { status, data: Some(data) } if status == "success" && data.result_type == form => {
                Ok(data.result)
            }
            Answer { status, .. } if status == "success" => Err(QueryError::NotJson),
            Answer { .. } => Err(QueryError::Refused),
        }
    }
}

fn classify(e: &reqwest::Error) -> QueryError {
    if e.is_timeout() { QueryError::Timeout } else { QueryError::Unreachable }
}

/// Appends a later range to the series it belongs to.
fn merge(all: &mut Vec<RawSeries>, part: Vec<RawSeries>) {
    for series in part {
        match all.iter_mut().find(|s| s.metric == series.metric) {
            Some(known) => {
                known.values.extend(series.values);
                known.histograms.extend(series.histograms);
            }
            None => all.push(series),
        }
    }
}

/// The selector: our own namespace and our own pods, always. Names are quoted although their patterns leave nothing
/// to quote: a rule in a schema is not a reason to trust text here.
pub fn selector(series: &BTreeSet<String>, namespace: &str, m: &Measurement) -> String {
    let series: Vec<String> = series.iter().map(|name| escape_regex(name)).collect();
    let pods: Vec<String> = m.candidate.iter().chain([&m.stable]).map(|name| escape_regex(name)).collect();
    let pods = format!("(?:{})-.+", pods.join("|"));
    let (series, namespace, pods) = (quote(&series.join("|")), quote(namespace), quote(&pods));
    format!("{{__name__=~{series},namespace={namespace},pod=~{pods}}}")
}

/// A PromQL string literal.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// RE2 metacharacters escaped. It refuses a backslash before anything that is not ASCII.
pub fn escape_regex(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && c != '-' && c != '_' {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiremock::{
        Mock, MockServer, ResponseTemplate,
        matchers::{method, path},
    };

    fn measurement() -> Measurement {
        let at = |s| DateTime::from_timestamp(s, 0).unwrap();
        Measurement {
            candidate: Some("wine-b".into()),
            stable: "wine-a".into(),
            from: at(1000),
            origin: at(1000),
            metrics: vec![],
            weights: vec![],
        }
    }

    async fn ask(template: ResponseTemplate) -> Result<Vec<RawSeries>, QueryError> {
        let server = MockServer::start().await;
        Mock::given(method("GET")).and(path("/api/v1/query")).respond_with(template).mount(&server).await;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let p = Prometheus::new(&server.uri()).unwrap();
        let series = BTreeSet::from(["http_requests_total".to_owned()]);
        p.samples(&series, "ns", &measurement(), DateTime::from_timestamp(1060, 0).unwrap()).await
    }

    fn matrix(result: &str) -> ResponseTemplate {
        let body = format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":{result}}}}}"#);
        ResponseTemplate::new(200).set_body_raw(body, "application/json")
    }

    #[tokio::test]
    async fn samples_are_read_as_they_are() {
        let got = ask(matrix(
            r#"[{"metric":{"pod":"wine-a-1","code":"200"},"values":[[1001.5,"3"],[1002.5,"NaN"]]}]"#,
        ))
        .await
        .unwrap();
        assert_eq!(got[0].values, vec![(1001.5, "3".to_owned()), (1002.5, "NaN".to_owned())]);
    }

    #[tokio::test]
    async fn whatever_is_no_answer_is_an_error_and_never_an_empty_result() {
        let big = ResponseTemplate::new(200).set_body_bytes(vec![b' '; 10 << 20]);
        assert_eq!(ask(big).await.unwrap_err(), QueryError::TooLarge);
        let redirect = ResponseTemplate::new(302).insert_header("location", "http://127.0.0.1:1/");
        assert_eq!(ask(redirect).await.unwrap_err(), QueryError::Status(302));
        assert_eq!(ask(ResponseTemplate::new(503)).await.unwrap_err(), QueryError::Status(503));
        let text = ResponseTemplate::new(200).set_body_string("<html>");
        assert_eq!(ask(text).await.unwrap_err(), QueryError::NotJson);
        let refused = ResponseTemplate::new(422).set_body_string(r#"{"status":"error","error":"x"}"#);
        assert_eq!(ask(refused).await.unwrap_err(), QueryError::Refused);
        let scalar = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        let scalar = ResponseTemplate::new(200).set_body_string(scalar);
        assert_eq!(ask(scalar).await.unwrap_err(), QueryError::NotJson);
    }

    /// Ten minutes of many series do not fit, five do.
    #[tokio::test]
    async fn an_answer_that_is_too_large_is_asked_for_in_halves() {
        let server = MockServer::start().await;
        let asked = |range: &str| {
            let query = wiremock::matchers::query_param_contains("query", format!("[{range}]"));
            Mock::given(method("GET")).and(path("/api/v1/query")).and(query)
        };
        let series = |at: u32| {
            matrix(&format!(r#"[{{"metric":{{"pod":"wine-a-1","code":"200"}},"values":[[{at},"3"]]}}]"#))
        };
        let big = ResponseTemplate::new(200).set_body_bytes(vec![b' '; BODY_MAX + 1]);
        asked("600s").respond_with(big).expect(1).mount(&server).await;
        asked("300s").respond_with(series(1)).expect(2).mount(&server).await;
        asked("100s").respond_with(series(2)).expect(1).mount(&server).await;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let p = Prometheus::new(&server.uri()).unwrap();
        let names = BTreeSet::from(["http_requests_total".to_owned()]);
        let now = DateTime::from_timestamp(1700, 0).unwrap();
        let got = p.samples(&names, "ns", &measurement(), now).await.unwrap();
        assert_eq!((got.len(), got[0].values.len()), (1, 3));
    }

    #[test]
    fn names_cannot_leave_their_quotes() {
        let mut m = measurement();
        m.stable = "wine.a\"}".into();
        let series = BTreeSet::from(["x\"} or vector(1)".to_owned(), "up:a".to_owned()]);
        let s = selector(&series, "n\\", &m);
        assert_eq!(
            s,
            r#"{__name__=~"up\\:a|x\\\"\\}\\ or\\ vector\\(1\\)",namespace="n\\",pod=~"(?:wine-b|wine\\.a\\\"\\})-.+"}"#
        );
    }
}
