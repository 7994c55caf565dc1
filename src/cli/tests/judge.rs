//! `serin judge` on files, and `serin simulate`, as they are called.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

use std::fmt::Write as _;
use std::process::{Command, Output};

use serde_json::Value;

fn serin(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_serin")).args(args).output().unwrap()
}

/// Judges a file with this content.
fn judge(csv: &str, more: &[&str]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), csv).unwrap();
    let path = file.path().to_str().unwrap();
    serin(&[&["judge", "--input", path], more].concat())
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A scrape every 15 s; of the canary's 150 requests so many are errors, and so many take over half a second.
fn csv(rows: usize, errors: u32, slow: u32, cumulative: bool) -> String {
    let mut text = "t,arm,requests,errors,le=0.1,le=0.25,le=0.5\n".to_owned();
    for row in 1..=rows {
        let times = if cumulative { u32::try_from(row).unwrap() } else { 1 };
        for (arm, n, errors, over) in [("canary", 150, errors, slow), ("stable", 1350, 13, 81)] {
            let line = [n, errors, n / 10, n * 6 / 10, n - over].map(|count| (count * times).to_string());
            writeln!(text, "{},{arm},{}", 15 * row, line.join(",")).unwrap();
        }
    }
    text
}

#[test]
fn a_bad_canary_is_rolled_back_at_the_same_row_however_it_is_counted() {
    let scraped = json(&judge(&csv(40, 8, 9, false), &["--counts", "per-scrape", "-o", "json"]));
    assert_eq!(scraped["verdict"], "RollBack");
    let at = scraped["decidedAtSeconds"].as_f64().unwrap();
    assert!(at <= 60.0, "{at}");
    // The first row is only a baseline.
    let cumulative = json(&judge(&csv(40, 8, 9, true), &["-o", "json"]));
    assert_eq!(cumulative["decidedAtSeconds"].as_f64(), Some(at + 15.0));
    let errors = &scraped["metrics"][0];
    assert_eq!((&errors["name"], &errors["state"]), (&Value::from("errors"), &Value::from("Fail")));
    assert_eq!(errors["canary"]["errors"].as_f64(), Some(320.0));
    let low = errors["ratioInterval"]["low"].as_f64().unwrap();
    assert!((2.0..6.0).contains(&low), "{low}");
}

#[test]
fn a_slow_canary_is_found_by_its_buckets_and_a_good_one_promoted() {
    let more = &["--counts", "per-scrape", "--share", "0.1"];
    let text = String::from_utf8(judge(&csv(80, 1, 40, false), more).stdout).unwrap();
    assert!(text.starts_with("RollBack at ") && text.contains("latency: Fail"), "{text}");
    assert!(text.contains("edges are too far apart"), "{text}");
    let text = String::from_utf8(judge(&csv(80, 1, 9, false), more).stdout).unwrap();
    assert!(text.starts_with("Promote, first at "), "{text}");
    assert!(text.contains("traffic: 10.0 % of the requests, expected 10.0 %\n"), "{text}");
}

#[test]
fn wrong_traffic_is_inconclusive() {
    let args = ["--counts", "per-scrape", "--share", "0.5", "-o", "json"];
    assert_eq!(json(&judge(&csv(40, 1, 9, false), &args))["verdict"], "Inconclusive");
}

#[test]
fn what_cannot_be_read_is_one_line() {
    let why = |csv: &str, more: &[&str]| {
        let output = judge(csv, more);
        assert!(!output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    };
    assert!(why("t,arm,requests,errors\n15,red,1,0\n", &[]).contains("line 2: arm is canary or stable"));
    assert!(why("t,arm,requests,errors\n15,canary,1,0\n", &[]).contains("give --interval"));
    assert!(why(&csv(9, 1, 9, true), &["--max-error-ratio", "0.5"]).contains("between 1 and 100"));
    let mut falling = "t,arm,requests,errors\n".to_owned();
    for row in 0..20 {
        let count = 100 - 5 * row;
        writeln!(falling, "{0},canary,{count},0\n{0},stable,{count},0", 15 * row).unwrap();
    }
    assert!(why(&falling, &[]).contains("say --counts per-scrape"));
    let missing = serin(&["judge", "--input", "/nowhere.csv"]);
    assert!(String::from_utf8(missing.stderr).unwrap().starts_with("serin: /nowhere.csv: "));
}

#[test]
fn simulations_repeat() {
    let run = |threads: &str| {
        json(&serin(&["simulate", "--runs", "2", "--seed", "7", "--threads", threads, "-o", "json"]))
    };
    let one = run("1");
    assert_eq!(one, run("2"));
    assert!(one["goals"].as_array().unwrap().len() >= 20);
    let row = &one["report"]["rows"][0];
    assert!(row["rule"].is_string() && row["rolled_back"].is_number(), "{row}");
}
