//! The client against a server that says anything.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

use std::collections::BTreeSet;

use super::*;
use crate::looks::{self, Want};
use serin_judge::Sample;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path},
};

fn want(until: i64) -> Want {
    Want {
        series: BTreeSet::from(["http_requests_total".to_owned()]),
        deployments: vec!["wine-b".into(), "wine-a".into()],
        from: 1050,
        until,
    }
}

async fn ask(template: ResponseTemplate) -> Result<Vec<RawSeries>, QueryError> {
    let server = MockServer::start().await;
    Mock::given(method("GET")).and(path("/api/v1/query")).respond_with(template).mount(&server).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let p = Prometheus::new(&server.uri()).unwrap();
    looks::alone(&p, "ns", want(1060)).await
}

fn matrix(result: &str) -> ResponseTemplate {
    let body = format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":{result}}}}}"#);
    ResponseTemplate::new(200).set_body_raw(body, "application/json")
}

#[tokio::test]
async fn samples_are_read_as_they_are() {
    let got =
        ask(matrix(r#"[{"metric":{"pod":"wine-a-1","code":"200"},"values":[[1051.5,"3"],[1052.5,"NaN"]]}]"#))
            .await
            .unwrap();
    assert_eq!(got[0].values[0], Sample { at_ms: 1_051_500, value: 3.0 });
    assert!(got[0].values[1].value.is_nan());
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
    let series = |at: &[u32]| {
        let values: Vec<String> = at.iter().map(|at| format!(r#"[{at},"3"]"#)).collect();
        let labels = r#"{"__name__":"http_requests_total","pod":"wine-a-1","code":"200"}"#;
        matrix(&format!(r#"[{{"metric":{labels},"values":[{}]}}]"#, values.join(",")))
    };
    let big = ResponseTemplate::new(200).set_body_bytes(vec![b' '; BODY_MAX + 1]);
    asked("600s").respond_with(big).expect(1).mount(&server).await;
    // The second one tells its first moment again, as old versions do.
    asked("300s").respond_with(series(&[1100, 1350, 1351])).expect(2).mount(&server).await;
    asked("100s").respond_with(series(&[1650, 1700])).expect(1).mount(&server).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let p = Prometheus::new(&server.uri()).unwrap();
    let got = looks::alone(&p, "ns", want(1750)).await.unwrap();
    assert_eq!((got.len(), got[0].values.len()), (1, 4));
}
