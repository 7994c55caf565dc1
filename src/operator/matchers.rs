//! Whatever a user writes stays inside of the matcher that it is meant for, and the namespace is always asked for: tried on
//! any text, and read back by a reader that shares nothing with the writers but the grammar of PromQL.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serin_api::{Counter, Except};
use serin_engine::retrain::Question;

use crate::{count, prometheus};

/// Label, operator and value.
type Matcher = (String, String, String);

/// The matchers of a selector that begins here, and what stands behind it.
fn read(text: &str) -> Option<(Vec<Matcher>, &str)> {
    let mut rest = text.strip_prefix('{')?;
    let mut found = Vec::new();
    loop {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        let (label, after) = rest.split_at(end);
        if label.is_empty() || label.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let operator = ["=~", "!~", "!=", "="].into_iter().find(|operator| after.starts_with(operator))?;
        let (value, after) = literal(after.strip_prefix(operator)?)?;
        found.push((label.to_owned(), operator.to_owned(), value));
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Some((found, after.strip_prefix('}')?)),
        }
    }
}

/// A string in double quotes, with Go's escapes.
fn literal(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?.chars();
    let mut value = String::new();
    loop {
        match rest.next()? {
            '"' => return Some((value, rest.as_str())),
            '\n' => return None,
            '\\' => match rest.next()? {
                c @ ('\\' | '"') => value.push(c),
                'u' => {
                    let digits: String = rest.by_ref().take(4).collect();
                    value.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                _ => return None,
            },
            c => value.push(c),
        }
    }
}

/// Whether a value of `=~` takes this text. Prometheus' language lets every sign be escaped; this library has two that it
/// keeps for itself.
fn takes(pattern: &str, text: &str) -> bool {
    let mut plain = String::from("^(?s:");
    let mut signs = pattern.chars();
    while let Some(c) = signs.next() {
        match c {
            '\\' => match signs.next().unwrap() {
                c @ ('<' | '>') => plain.push(c),
                c => plain.extend(['\\', c]),
            },
            c => plain.push(c),
        }
    }
    plain.push_str(")$");
    regex::Regex::new(&plain).unwrap_or_else(|e| panic!("{pattern:?}: {e}")).is_match(text)
}

/// The selector for these series of the pods of two Deployments.
fn written(series: &BTreeSet<String>, namespace: &str, candidate: &str, stable: &str) -> String {
    prometheus::selector(series, namespace, &[candidate, stable])
}

/// Text that somebody might try, and any other.
fn text() -> impl Strategy<Value = String> {
    let tried = prop::sample::select(vec![
        "\"} or vector(1)",
        "\\",
        "\\\"",
        "a|b",
        ".*",
        "(?i)x",
        "up{namespace=\"other\"}",
        "\n",
        "é",
        "\u{0}",
        "",
        "x\"},namespace=~\".+\"",
        "[",
        "*",
        "<",
        "a\\",
    ]);
    prop_oneof![tried.prop_map(str::to_owned), any::<String>(), "[ -~]{0,20}"]
}

proptest! {
    #[test]
    fn whatever_a_user_writes_stays_in_its_matcher(
        series in prop::collection::btree_set(text(), 1..4),
        namespace in text(), candidate in text(), stable in text(), other in text(),
    ) {
        let written = written(&series, &namespace, &candidate, &stable);
        let (found, rest) = read(&written).ok_or_else(|| TestCaseError::fail(written.clone()))?;
        prop_assert_eq!(rest, "");
        let forms: Vec<_> = found.iter().map(|(label, operator, _)| (label.as_str(), operator.as_str())).collect();
        prop_assert_eq!(forms, [("__name__", "=~"), ("namespace", "="), ("pod", "=~")]);
        prop_assert_eq!(&found[1].2, &namespace);
        for name in &series {
            prop_assert!(takes(&found[0].2, name), "{}", found[0].2);
        }
        prop_assert_eq!(takes(&found[0].2, &other), series.contains(&other));
        for pods in [&candidate, &stable] {
            let pod = format!("{pods}-7f9c4-x1");
            prop_assert!(takes(&found[2].2, &pod));
        }
        let ours = [&candidate, &stable].iter().any(|pods| other.starts_with(&format!("{pods}-")));
        prop_assert!(ours || !takes(&found[2].2, &other), "{} takes {}", found[2].2, other);
    }

    #[test]
    fn what_a_policy_asks_stays_in_its_matchers(
        series in text(), namespace in text(), pods in text(), values in prop::collection::vec(text(), 1..4),
        label in "[a-z]\\PC{0,10}",
    ) {
        let counter = Counter { series: series.clone(), except: vec![Except { label, values }] };
        let question = Question {
            trigger: "t".into(), pods, all: counter.clone(), part: counter.clone(), window_seconds: 60,
        };
        let written = count::selector(&namespace, &question, &counter);
        let (found, rest) = read(&written).ok_or_else(|| TestCaseError::fail(written.clone()))?;
        prop_assert_eq!(rest, "");
        let forms: Vec<_> = found.iter().map(|(label, operator, _)| (label.as_str(), operator.as_str())).collect();
        prop_assert_eq!(&forms[..3], [("__name__", "="), ("namespace", "="), ("pod", "=~")]);
        prop_assert!(forms.len() == 4 && forms[3].1 == "!~");
        prop_assert_eq!((&found[0].2, &found[1].2), (&series, &namespace));
        // What is written there is a pattern that can be read.
        takes(&found[3].2, "x");
    }
}

#[test]
fn the_reader_is_strict() {
    assert_eq!(read(r#"{a="b"}x"#), Some((vec![("a".into(), "=".into(), "b".into())], "x")));
    for wrong in [r#"{a="b}"#, r#"{a="b",}"#, r#"{="b"}"#, r#"{a="\q"}"#, "{a=\"\n\"}"] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}
