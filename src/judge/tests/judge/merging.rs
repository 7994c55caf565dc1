//! One verdict from several.

use serin_judge::State::{Fail, NoData, Pass, Undecided};
use serin_judge::{MetricState, State, merge};

fn overall(metrics: &[(&str, State, f64)]) -> (State, Option<String>) {
    let metrics: Vec<_> = metrics
        .iter()
        .map(|(name, state, evidence_log10)| MetricState {
            name,
            state: *state,
            evidence_log10: *evidence_log10,
        })
        .collect();
    let got = merge(&metrics);
    (got.state, got.metric)
}

#[test]
fn any_fail_fails_and_the_strongest_is_named() {
    let got = overall(&[("a", NoData, 9.0), ("b", Fail, 2.1), ("c", Fail, 5.0), ("d", Fail, 5.0)]);
    assert_eq!(got, (Fail, Some("c".into())));
    assert_eq!(overall(&[("odd", Fail, f64::NAN)]), (Fail, Some("odd".into())));
}

#[test]
fn passing_needs_all() {
    assert_eq!(overall(&[("a", Pass, 0.0), ("b", Pass, 0.0)]), (Pass, None));
    assert_eq!(overall(&[("a", Pass, 0.0), ("b", Undecided, 0.0)]), (Undecided, Some("b".into())));
    assert_eq!(
        overall(&[("a", Undecided, 0.0), ("b", NoData, 0.0), ("c", Pass, 0.0)]),
        (NoData, Some("b".into()))
    );
}

#[test]
fn no_metric_is_no_data() {
    assert_eq!(overall(&[]), (NoData, None));
}
