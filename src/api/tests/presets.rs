//! What is written of the presets is what they are.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

use std::collections::BTreeSet;

use serin_api::{
    Preset, Server,
    preset::{Errors, Left, Times},
};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/presets.md");

fn left(except: Left) -> String {
    let of = |(label, values): &(&str, &[&str])| {
        format!("`{label}` {}", if *values == [""] { "empty".to_owned() } else { values.join(", ") })
    };
    let all: Vec<String> = except.iter().map(of).collect();
    if all.is_empty() { String::new() } else { format!(" without {}", all.join("; ")) }
}

fn table() -> String {
    let row = |preset: &Preset| {
        let p = preset.profile();
        let errors = match &p.errors {
            Errors::ByCode { series, label, codes, except } => {
                format!("`{series}` by `{label}`: {}{}", codes.join(", "), left(except))
            }
            Errors::Apart { failed, except, succeeded } => {
                format!("`{failed}`{} beside `{succeeded}`", left(except))
            }
            Errors::Failed { failed, all } => format!("`{failed}` of `{all}`"),
            Errors::Succeeded { succeeded, all } => format!("`{all}` less `{succeeded}`"),
        };
        let latency = match &p.times {
            Times::Histogram(series, unit, except) => format!("`{series}`, {unit:?}{}", left(except)),
            Times::Mean(sum, count, unit) => format!("mean: `{sum}` by `{count}`, {unit:?}"),
        };
        let probes = if p.readiness == p.liveness {
            p.readiness.to_owned()
        } else {
            format!("{}, {}", p.readiness, p.liveness)
        };
        format!(
            "| {} | {} | {}{} | {probes} | {} | {errors} | {latency} |\n",
            preset.name(),
            p.http,
            p.metrics.unwrap_or(p.http),
            p.metrics_path,
            if p.breaks_off { "cuts" } else { "finishes" },
        )
    };
    let head = "| preset | http | metrics | readiness, liveness | ends | errors | latency |\n|---|---|---|---|---|---|---|\n";
    [head.to_owned()].into_iter().chain(Preset::ALL.iter().map(row)).collect()
}

#[test]
fn the_page_says_what_they_are() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let begin = page.find("--test presets -->\n").unwrap() + "--test presets -->\n".len();
    let end = page.find("<!-- end -->").unwrap();
    let wanted = format!("{}\n{}\n{}", &page[..begin], table(), &page[end..]);
    if std::env::var_os("SERIN_UPDATE").is_some() {
        std::fs::write(PAGE, &wanted).unwrap();
        return;
    }
    assert!(
        page == wanted,
        "docs/presets.md is stale: SERIN_UPDATE=1 cargo test -p serin-api --test presets"
    );
}

#[test]
fn each_has_a_name_of_its_own_and_is_read_by_it() {
    let names: BTreeSet<&str> = Preset::ALL.iter().map(|preset| preset.name()).collect();
    assert_eq!(names.len(), Preset::ALL.len());
    for preset in Preset::ALL {
        let server = serde_json::json!({ "image": "x", "preset": preset.name() });
        let server: Server = serde_json::from_value(server).unwrap();
        assert_eq!(server.preset, Some(preset));
        assert_eq!(
            (server.http_port(), server.metrics_path()),
            (preset.profile().http, preset.profile().metrics_path)
        );
    }
}
