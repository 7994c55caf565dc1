//! What a policy of retraining wants to know of Prometheus: how many of all live answers were of one kind. One query a
//! question; our own namespace and our own pods, always.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serin_api::Counter;
use serin_engine::retrain::{Question, Share};

use crate::prometheus::{Prometheus, QueryError, RawSeries, escape_regex, quote};

/// The label by which the parts of the answer are told apart.
const PART: &str = "serin";

impl Prometheus {
    /// Increases over the window until `now`, of all pods together. A series that no pod exports now is not counted,
    /// whatever it was before.
    pub async fn count(
        &self,
        namespace: &str,
        question: &Question,
        now: DateTime<Utc>,
    ) -> Result<Share, QueryError> {
        let answer = self.query(&query(namespace, question), now.timestamp(), "vector").await?;
        Ok(share(question, &answer))
    }
}

fn query(namespace: &str, q: &Question) -> String {
    let (all, part) = (selector(namespace, q, &q.all), selector(namespace, q, &q.part));
    let window = q.window_seconds;
    let named = |name: &str, what: String| format!("label_replace({what},\"{PART}\",\"{name}\",\"\",\"\")");
    [
        named("all", format!("sum(increase({all}[{window}s]))")),
        named("part", format!("sum(increase({part}[{window}s]))")),
        named("all now", format!("count({all})")),
        named("part now", format!("count({part})")),
    ]
    .join(" or ")
}

/// One series of the version that serves. Names are quoted although their patterns leave nothing to quote.
pub fn selector(namespace: &str, q: &Question, counter: &Counter) -> String {
    let pods = format!("(?:{})-.+", escape_regex(&q.pods));
    let (name, namespace, pods) = (quote(&counter.series), quote(namespace), quote(&pods));
    let mut selector = format!("{{__name__={name},namespace={namespace},pod=~{pods}");
    for except in &counter.except {
        let values = except.values.iter().map(|value| match value.strip_suffix('*') {
            Some(beginning) => format!("{}.*", escape_regex(beginning)),
            None => escape_regex(value),
        });
        let values = quote(&values.collect::<Vec<_>>().join("|"));
        let label: String = except.label.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let _ = write!(selector, ",{label}!~{values}");
    }
    selector.push('}');
    selector
}

fn share(q: &Question, answer: &[RawSeries]) -> Share {
    let part = |name: &str| -> Option<f64> {
        let series = answer.iter().find(|s| s.metric.get(PART) == Some(name))?;
        series.value.as_ref()?.1.parse().ok()
    };
    if part("all now").is_none() {
        return Share::Unknown(format!("no pod of the version that serves exports {}", q.all.series));
    }
    match part("all") {
        // One scrape so far.
        None => Share::Unknown(format!("{} was not there for long enough", q.all.series)),
        Some(all) => {
            let counted = part("part now").and_then(|_| part("part"));
            Share::Counted { all, part: counted }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_api::Except;

    fn question() -> Question {
        Question {
            trigger: "mistakes".into(),
            pods: "wine-1".into(),
            all: Counter { series: "labelled_total".into(), except: vec![] },
            part: Counter {
                series: "wrong_total".into(),
                except: vec![Except { label: "tenant".into(), values: vec!["t.st*".into(), String::new()] }],
            },
            window_seconds: 600,
        }
    }

    fn answer(parts: &[(&str, &str)]) -> Vec<RawSeries> {
        let series = |(part, value): &(&str, &str)| RawSeries {
            metric: [(PART, *part)].into_iter().collect(),
            values: vec![],
            value: Some((1.0, (*value).to_owned())),
            histograms: vec![],
        };
        parts.iter().map(series).collect()
    }

    #[test]
    fn the_query_is_about_our_pods_only() {
        let query = query("n\"s", &question());
        let all = r#"{__name__="labelled_total",namespace="n\"s",pod=~"(?:wine-1)-.+"}"#;
        assert!(query.contains(&format!("sum(increase({all}[600s]))")), "{query}");
        assert!(query.contains(r#",tenant!~"t\\.st.*|"}"#), "{query}");
    }

    #[test]
    fn what_is_not_exported_now_does_not_count() {
        let of = |parts: &[(&str, &str)]| share(&question(), &answer(parts));
        let all = [("all", "100"), ("part", "7"), ("all now", "2"), ("part now", "1")];
        assert_eq!(of(&all), Share::Counted { all: 100.0, part: Some(7.0) });
        assert_eq!(of(&all[..3]), Share::Counted { all: 100.0, part: None });
        assert!(matches!(of(&all[..2]), Share::Unknown(_)));
        assert!(matches!(of(&all[2..]), Share::Unknown(_)));
        assert!(matches!(of(&[]), Share::Unknown(_)));
    }
}
