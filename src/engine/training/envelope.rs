//! Whether a result belongs to the run that it is read for. Anything in a pod can write a termination message: what is
//! not what was asked for is refused, and a gate fails closed without a result.

use serin_api::Digest;
use serin_wire::{Arm, EvaluationResult, Layout, Metric, TrainingResult, manifest, result::METRICS_MAX};

/// Longest address that a version can hold.
const URI_MAX: usize = 1024;
/// Longest name of a metric, a slice, a checkpoint.
const NAME_MAX: usize = 40;
const CHECKPOINT_MAX: usize = 253;
/// 1 PiB: what is larger is a mistake in the sum.
const SIZE_MAX: u64 = 1 << 50;

/// Reads what an attempt left; the error is one line.
pub fn training(text: &str, run_uid: &str, attempt: i32, output_uri: &str) -> Result<TrainingResult, String> {
    let result = TrainingResult::parse(text).map_err(|error| error.to_string())?;
    same("run UID", &result.run_uid, run_uid)?;
    same("attempt", &result.attempt, &attempt)?;
    let output = &result.output;
    let hex = hex("output.digest", &output.digest)?;
    let name = below(&output.uri, output_uri)
        .and_then(|path| path.strip_prefix(hex)?.strip_prefix('/'))
        .ok_or_else(|| {
            let folder = output_uri.trim_end_matches('/');
            format!("the result says {:?}, which is not {folder}/{hex}/FILE", shown(&output.uri))
        })?;
    let files = u32::try_from(manifest::FILES_MAX).unwrap_or(u32::MAX);
    let sane = match output.layout {
        Layout::File => output.files == 1 && !name.contains('/') && manifest::is_safe(name),
        Layout::Directory => (1..=files).contains(&output.files) && name == manifest::NAME,
    };
    if !sane {
        return Err(format!(
            "the result says layout {:?} with {} files at {:?}",
            output.layout,
            output.files,
            shown(&output.uri)
        ));
    }
    if !(1..=SIZE_MAX).contains(&output.size_bytes) {
        return Err(format!("the result says a model of {} bytes", output.size_bytes));
    }
    if let Some(checkpoint) = &result.resumed_from {
        word("resumedFrom", checkpoint, CHECKPOINT_MAX)?;
    }
    Ok(result)
}

/// What an evaluation's result must repeat.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// UID of the run.
    pub run_uid: &'a str,
    /// Number of the evaluation.
    pub number: i32,
    /// Its nonce.
    pub nonce: &'a str,
    /// The candidate.
    pub model_digest: &'a Digest,
    /// The champion, if there is one.
    pub champion_digest: Option<&'a Digest>,
    /// The data.
    pub eval_set_digest: &'a Digest,
}

/// Reads what an evaluation left; the error is one line.
pub fn evaluation(text: &str, expected: &Expected<'_>) -> Result<EvaluationResult, String> {
    let result = EvaluationResult::parse(text).map_err(|error| error.to_string())?;
    same("run UID", &result.run_uid, expected.run_uid)?;
    same("number", &result.number, &expected.number)?;
    if expected.nonce.is_empty() || result.nonce != expected.nonce {
        return Err("the result has another nonce: it is of another evaluation".to_owned());
    }
    same("model digest", &result.model_digest, &expected.model_digest.0)?;
    same("evaluation data's digest", &result.eval_set_digest, &expected.eval_set_digest.0)?;
    match (&result.champion_digest, expected.champion_digest) {
        (None, None) => {}
        (Some(found), Some(champion)) => same("champion's digest", found, &champion.0)?,
        (None, Some(_)) => return Err("the result says nothing of the champion".to_owned()),
        (Some(_), None) => return Err("the result speaks of a champion; there is none".to_owned()),
    }
    metrics(&result.metrics, expected.champion_digest.is_some())?;
    if let Some(report) = &result.report {
        hex("report.digest", &report.digest)?;
        word("report.uri", &report.uri, URI_MAX)?;
    }
    Ok(result)
}

fn metrics(all: &[Metric], champion: bool) -> Result<(), String> {
    if all.is_empty() || all.len() > METRICS_MAX {
        return Err(format!("the result has {} metrics; 1 to {METRICS_MAX} are read", all.len()));
    }
    for (i, metric) in all.iter().enumerate() {
        let name = &metric.name;
        word("metric", name, NAME_MAX)?;
        if let Some(slice) = metric.slice.as_ref().filter(|slice| !is_line(slice)) {
            return Err(format!(
                "the result has slice {:?}: 1 to {NAME_MAX} characters, one line",
                shown(slice)
            ));
        }
        if metric.arm == Arm::Champion && !champion {
            return Err(format!("the result has {name} of a champion; there is none"));
        }
        let key = |m: &Metric| (m.arm, m.name.clone(), m.slice.clone());
        if all[..i].iter().any(|other| key(other) == key(metric)) {
            return Err(format!("the result has {name} twice"));
        }
        let (low, high) = (metric.ci_low.unwrap_or(metric.value), metric.ci_high.unwrap_or(metric.value));
        if ![metric.value, low, high].into_iter().all(f64::is_finite) {
            return Err(format!("the result has no number for {name}"));
        }
        if low > metric.value || metric.value > high {
            return Err(format!("the result has {name} outside of its own confidence interval"));
        }
    }
    Ok(())
}

fn same<T: PartialEq<U> + std::fmt::Debug, U: std::fmt::Debug + ?Sized>(
    what: &str,
    found: &T,
    expected: &U,
) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("the result has another {what}: {}, not {expected:?}", shown(&format!("{found:?}"))))
}

/// The 64 digits of a digest.
fn hex<'a>(what: &str, digest: &'a str) -> Result<&'a str, String> {
    let well_formed = Digest(digest.to_owned()).is_well_formed();
    digest
        .strip_prefix("sha256:")
        .filter(|_| well_formed)
        .ok_or_else(|| format!("the result has {what} {:?}, which is no SHA-256", shown(digest)))
}

/// What follows a folder's address and `/`, if it stays below the folder.
fn below<'a>(uri: &'a str, folder: &str) -> Option<&'a str> {
    let path = uri.strip_prefix(folder.trim_end_matches('/'))?.strip_prefix('/')?;
    (uri.len() <= URI_MAX && uri.bytes().all(|b| b.is_ascii_graphic()) && manifest::is_safe(path))
        .then_some(path)
}

fn word(what: &str, text: &str, max: usize) -> Result<(), String> {
    if !text.is_empty() && text.len() <= max && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(format!("the result has {what} {:?}: 1 to {max} printable characters without blanks", shown(text)))
}

/// What a slice may be called: people write `age >= 60`.
fn is_line(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= NAME_MAX && !text.chars().any(char::is_control)
}

/// The beginning of a stranger's text.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}
