//! A decision that was taken is judged again, and said in words.
#![allow(clippy::unwrap_used)]

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use serin_api::{ModelDeployment, Outcome, Verdict};
use serin_engine::{
    explain::{Explanation, Trial, explain, html, text},
    measure::{Arms, Samples},
    paint::Paint,
};
use serin_judge::{PodCounters, Sample, Series};

/// First traffic; the trial lasts five minutes.
fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn deployment(reason: Option<&str>, outcome: &str) -> ModelDeployment {
    let (from, at) = (start(), start() + Duration::minutes(5));
    let failed = reason.map(|reason| {
        json!({"revision": "r1-new", "version": "v2", "digest": "d", "reason": reason,
            "message": "as it was said then", "at": at})
    });
    serde_json::from_value(json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "ModelDeployment",
        "metadata": {"name": "wine", "uid": "00000000-0000-0000-0000-000000000000"},
        "spec": {
            "model": {"artifact": {"uri": "pvc://m/wine", "digest": format!("sha256:{}", "0".repeat(64))}},
            "server": {"image": "registry.example/wine:1"},
        },
        "status": {
            "history": [
                {"revision": "r1-new", "version": "v2", "digest": "d", "outcome": outcome, "at": at, "trial": {
                    "against": "r1-old", "from": from,
                    "weights": [{"weight": 10, "at": from}, {"weight": 50, "at": from + Duration::minutes(2)}],
                }},
                {"revision": "r1-old", "version": "v1", "digest": "d", "outcome": "Deployed", "at": from},
            ],
            "lastFailed": failed.unwrap_or(Value::Null),
        },
    }))
    .unwrap()
}

/// Ten requests a second, of which this share fails.
fn pod(name: &str, share: f64) -> PodCounters {
    let counted = |share: f64| {
        let scrapes = (-2..=20).map(|n| n * 15);
        scrapes
            .map(|s| Sample {
                at_ms: (start().timestamp() + s) * 1000,
                value: (10.0 * share * f64::from(i32::try_from(s + 60).unwrap())).floor(),
            })
            .collect()
    };
    let series =
        [(true, share), (false, 1.0 - share)].map(|(error, share)| Series { error, samples: counted(share) });
    PodCounters { pod: name.into(), series: series.into(), ..PodCounters::default() }
}

fn explained(deployment: &ModelDeployment, canary: f64) -> Explanation {
    let status = deployment.status.clone().unwrap();
    let trial = Trial::find(&status, None, start() + Duration::hours(1)).unwrap();
    let m = trial.measurement(deployment);
    let samples = Arms { canary: vec![pod("new", canary)], stable: vec![pod("old", 0.01)] };
    explain("wine", &deployment.spec, trial, &m, &[Samples::Errors(samples)])
}

#[test]
fn a_rollback_is_judged_again_and_the_moment_is_found() {
    let e = explained(&deployment(Some("AnalysisFailed"), "RolledBack"), 0.2);
    assert_eq!((e.verdict, e.trial.outcome), (Verdict::Fail, Some(Outcome::RolledBack)));
    let decided = e.decided_at.unwrap();
    assert!(decided > e.trial.from && decided < e.trial.from + Duration::minutes(3), "{decided}");
    assert!(e.because[0].contains("sent back at 50 %"), "{:?}", e.because);
    assert!(e.because[1].starts_with("It is worse than allowed: errors: 20"), "{:?}", e.because);
    assert!(e.because[2].contains("fewer than 1 in "), "{:?}", e.because);
    // Until then nothing was clear, and what was clear stays so.
    let first = e.curve.iter().position(|p| p.verdict == Verdict::Fail).unwrap();
    assert!(first > 0 && e.curve[first..].iter().all(|p| p.verdict == Verdict::Fail));
}

#[test]
fn what_the_metrics_did_not_decide_is_not_ascribed_to_them() {
    let by_hand = explained(&deployment(Some("Aborted"), "RolledBack"), 0.01);
    assert!(by_hand.because.iter().any(|s| s == "The metrics did not decide this."), "{:?}", by_hand.because);
    let forgotten = explained(&deployment(Some("AnalysisFailed"), "RolledBack"), 0.01);
    assert!(forgotten.because.iter().any(|s| s.contains("has other samples now")), "{:?}", forgotten.because);
}

#[test]
fn a_preview_needs_nothing_in_its_favour() {
    let mut deployment = deployment(None, "Promoted");
    let trial = deployment.status.as_mut().unwrap().history[0].trial.as_mut().unwrap();
    trial.weights.truncate(1);
    trial.weights[0].weight = 0;
    let status = deployment.status.clone().unwrap();
    let trial = Trial::find(&status, None, start()).unwrap();
    let m = trial.measurement(&deployment);
    let nobody = Samples::Errors(Arms { canary: vec![], stable: vec![pod("old", 0.01)] });
    let e = explain("wine", &deployment.spec, trial, &m, &[nobody]);
    assert_eq!(e.because[0], "v2 took over all traffic after its preview.");
    assert!(e.because.last().unwrap().starts_with("A preview asks for nothing"), "{:?}", e.because);
}

#[test]
fn a_shadow_is_told_by_its_copies() {
    let told = |outcome: &str, canary| {
        let mut deployment = deployment((outcome == "RolledBack").then_some("AnalysisFailed"), outcome);
        deployment.spec.traffic =
            serde_json::from_value(json!({"gateway": {"parentRefs": [{"name": "gw"}]}})).unwrap();
        let trial = deployment.status.as_mut().unwrap().history[0].trial.as_mut().unwrap();
        trial.weights.truncate(1);
        (trial.weights[0].weight, trial.weights[0].mirror_percent) = (0, 100);
        explained(&deployment, canary)
    };
    let bad = told("RolledBack", 0.2);
    assert_eq!(bad.because[0], "v2 was sent back with copies of 100 % of the requests, on its metrics.");
    assert!(!bad.because.iter().any(|s| s.contains("not what the weights say")), "{:?}", bad.because);
    let drawn = text::render(&bad, Paint::Plain);
    assert!(drawn.contains("COPIES") && drawn.contains(" 100 % "), "{drawn}");
    assert!(html::render(&bad, "").contains("percent of the requests, as copies to the candidate"));
    assert_eq!(told("Promoted", 0.01).because[0], "v2 took over after copies of 100 % of the requests.");
}

#[test]
fn a_trial_that_is_not_there_is_named() {
    let status = deployment(None, "Promoted").status.unwrap();
    let error = Trial::find(&status, Some("r1-gone"), start() + Duration::hours(1)).unwrap_err();
    assert_eq!(error, "r1-gone is in no trial that is still recorded; these are: r1-new");
    let error = Trial::find(&serin_api::ModelDeploymentStatus::default(), None, start() + Duration::hours(1))
        .unwrap_err();
    assert_eq!(error, "no version has been compared with another one yet");
}

#[test]
fn text_shows_the_weight_and_the_evidence_over_time() {
    let drawn =
        text::render(&explained(&deployment(Some("AnalysisFailed"), "RolledBack"), 0.2), Paint::Plain);
    assert!(drawn.starts_with("wine: v2 · Fail\nr1-new beside r1-old\n"), "{drawn}");
    assert!(drawn.contains("<- enough to send it back"), "{drawn}");
    assert!(drawn.contains("  10 % ") && drawn.contains("  50 % "), "{drawn}");
    assert!(drawn.lines().count() < 40, "it fits on a screen: {drawn}");
}

#[test]
fn the_page_is_whole_and_takes_text_as_text() {
    let mut e = explained(&deployment(Some("AnalysisFailed"), "RolledBack"), 0.2);
    e.trial.version = "<script>v2</script>".to_owned();
    let page = html::render(&e, "");
    assert!(page.contains("&lt;script&gt;v2") && !page.contains("<script>"), "{page}");
    // Evidence, errors, traffic; nothing comes from elsewhere.
    assert_eq!(page.matches("<svg").count(), 3);
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("NaN"), "{page}");
}
