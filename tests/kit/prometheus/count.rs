//! The one other form of query: how many of all answers were of one kind.

use regex::Regex;
use serde_json::{Value, json};

use super::query::Selector;

/// A part of the answer: its name, whether it is an increase, and of which series.
pub struct Part {
    name: String,
    increase: bool,
    selector: Selector,
}

/// Reads `label_replace(WHAT,"serin","NAME","","") or ...`; `None` if it is anything else.
pub fn parse(query: &str) -> Option<Vec<Part>> {
    let shape =
        Regex::new(r#"^label_replace\((sum\(increase\((.+)\)\)|count\((.+)\)),"serin","([a-z ]+)","",""\)$"#)
            .unwrap();
    query
        .split(" or label_replace(")
        .enumerate()
        .map(|(i, part)| {
            let part = if i == 0 { part.to_owned() } else { format!("label_replace({part}") };
            let found = shape.captures(&part)?;
            let increase = found.get(2).is_some();
            let selector = Selector::parse(found.get(2).or(found.get(3))?.as_str())?;
            Some(Part { name: found[4].to_owned(), increase, selector })
        })
        .collect()
}

/// What the series come to. Counters of the kit are never reset.
pub fn answer(parts: &[Part], series: impl Fn(&Selector) -> Vec<Value>) -> Vec<Value> {
    let of = |part: &Part| {
        let found = series(&part.selector);
        let value = if part.increase {
            let grown: Vec<f64> = found.iter().filter_map(grown).collect();
            (!grown.is_empty()).then(|| grown.iter().sum::<f64>())
        } else {
            (!found.is_empty()).then_some(found.len() as f64)
        };
        value.map(|value| json!({"metric": {"serin": part.name}, "value": [0, value.to_string()]}))
    };
    parts.iter().filter_map(of).collect()
}

fn grown(series: &Value) -> Option<f64> {
    let values = series["values"].as_array()?;
    let number = |pair: &Value| pair[1].as_str()?.parse::<f64>().ok();
    // One sample is no increase.
    (values.len() > 1).then(|| Some(number(values.last()?)? - number(values.first()?)?))?
}
