//! Just enough PromQL: one selector, with or without a range.

use std::collections::BTreeMap;

use regex::Regex;

/// `series{label="value",other=~"pattern"}[60s]`.
#[derive(Debug)]
pub struct Selector {
    /// Names of the series.
    pub series: Vec<String>,
    /// Length of the range.
    pub range_ms: Option<i64>,
    matchers: Vec<Matcher>,
}

#[derive(Debug)]
struct Matcher {
    label: String,
    pattern: Regex,
    wanted: bool,
}

impl Selector {
    /// Reads a query; `None` if it is anything else.
    pub fn parse(query: &str) -> Option<Self> {
        let shape = Regex::new(r"^\s*([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*(?:\{(.*)\})?\s*(?:\[([0-9a-z]+)\])?\s*$")
            .unwrap();
        let found = shape.captures(query)?;
        let mut series: Vec<String> = found.get(1).map(|name| name.as_str().to_owned()).into_iter().collect();
        let mut matchers = Vec::new();
        let matcher =
            Regex::new(r#"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*,?"#).unwrap();
        let inside = found.get(2).map_or("", |inside| inside.as_str());
        for part in matcher.captures_iter(inside) {
            let value: String = serde_json::from_str(&format!("\"{}\"", &part[3])).ok()?;
            if &part[1] == "__name__" && matches!(&part[2], "=" | "=~") {
                // Of patterns only alternatives of names.
                series.extend(value.split('|').map(|name| name.replace('\\', "")));
                continue;
            }
            let text = if part[2].ends_with('~') { value } else { regex::escape(&value) };
            // A matcher of PromQL speaks of the whole value.
            let pattern = Regex::new(&format!("^(?:{text})$")).ok()?;
            matchers.push(Matcher { label: part[1].to_owned(), pattern, wanted: !part[2].starts_with('!') });
        }
        let range_ms = match found.get(3) {
            Some(range) => Some(duration_ms(range.as_str())?),
            None => None,
        };
        (!series.is_empty()).then_some(Self { series, range_ms, matchers })
    }

    /// Whether a series with these labels is meant.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matchers.iter().all(|matcher| {
            // A label that is not there is like an empty one.
            let value = labels.get(&matcher.label).map_or("", String::as_str);
            matcher.pattern.is_match(value) == matcher.wanted
        })
    }
}

fn duration_ms(text: &str) -> Option<i64> {
    let part = Regex::new("([0-9]+)(ms|[smhdw])").unwrap();
    let mut total = 0;
    for found in part.captures_iter(text) {
        let unit = match &found[2] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => 604_800_000,
        };
        total += found[1].parse::<i64>().ok()? * unit;
    }
    (total > 0).then_some(total)
}

/// A time as the API takes it: seconds since 1970, or RFC 3339.
pub fn time_ms(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        #[expect(clippy::cast_possible_truncation, reason = "times of this century fit")]
        return Some((seconds * 1000.0).round() as i64);
    }
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_with_a_range() {
        let query = r#"{__name__="http_requests_total",namespace="a",pod=~"wine-1a2b-.*"}[95s]"#;
        let selector = Selector::parse(query).unwrap();
        assert_eq!(
            (selector.series.as_slice(), selector.range_ms),
            (["http_requests_total".to_owned()].as_slice(), Some(95_000))
        );
        let labels =
            |pod: &str| [("namespace", "a"), ("pod", pod)].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert!(selector.matches(&labels("wine-1a2b-xyz")));
        assert!(!selector.matches(&labels("wine-1a2c-xyz")));
        assert!(!selector.matches(&labels("other-wine-1a2b-xyz")));
    }

    #[test]
    fn other_forms() {
        let selector = Selector::parse(r#"up{pod!="a", job=~"x|y"}"#).unwrap();
        assert_eq!((selector.series.concat(), selector.range_ms), ("up".to_owned(), None));
        assert!(selector.matches(&[("job".to_owned(), "y".to_owned())].into()));
        let two = Selector::parse(r#"{__name__=~"took_sum|took\\:count"}[5s]"#).unwrap();
        assert_eq!(two.series, ["took_sum", "took:count"]);
        assert_eq!(Selector::parse("up[1m30s]").unwrap().range_ms, Some(90_000));
        assert!(Selector::parse("sum(rate(up[1m]))").is_none());
        assert!(Selector::parse("{}").is_none());
    }

    #[test]
    fn times() {
        assert_eq!(time_ms("1700000000.25"), Some(1_700_000_000_250));
        assert_eq!(time_ms("1970-01-01T00:00:01Z"), Some(1000));
    }
}
