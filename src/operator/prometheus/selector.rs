//! What Prometheus is asked: our own namespace and our own pods, always. Names are quoted although their patterns leave
//! nothing to quote: a rule in a schema is not a reason to trust text here.

use std::{collections::BTreeSet, fmt::Write as _};

/// Selects these series of the pods of these Deployments.
pub fn selector(series: &BTreeSet<String>, namespace: &str, deployments: &[&str]) -> String {
    let series: Vec<String> = series.iter().map(|name| escape_regex(name)).collect();
    let pods: Vec<String> = deployments.iter().map(|name| escape_regex(name)).collect();
    let pods = format!("(?:{})-.+", pods.join("|"));
    let (series, namespace, pods) = (quote(&series.join("|")), quote(namespace), quote(&pods));
    format!("{{__name__=~{series},namespace={namespace},pod=~{pods}}}")
}

/// At most what a name adds to the address of a query: escaped, quoted, encoded, and with what stands between two.
pub fn width(name: &str) -> usize {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { 1 } else { 9 * c.len_utf8() })
        .sum::<usize>()
        + 3
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

    #[test]
    fn names_cannot_leave_their_quotes() {
        let series = BTreeSet::from(["x\"} or vector(1)".to_owned(), "up:a".to_owned()]);
        let s = selector(&series, "n\\", &["wine-b", "wine.a\"}", "x|.*"]);
        assert_eq!(
            s,
            r#"{__name__=~"up\\:a|x\\\"\\}\\ or\\ vector\\(1\\)",namespace="n\\",pod=~"(?:wine-b|wine\\.a\\\"\\}|x\\|\\.\\*)-.+"}"#
        );
    }
}
