//! `evaluate`: the program of an evaluation. Runs it, reads what it measured, and binds that to what was measured:
//! candidate, champion and data are hashed again as they lie on the disk, after the program had them in its hands.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serin_wire::places::exit;
use serin_wire::{
    Evaluate, EvaluationResult, Layout, Manifest, Metric, Model, Report, manifest, places, result,
};

use crate::digest::Digest;
use crate::environment;
use crate::folder::Folder;
use crate::output;
use crate::places::Places;
use crate::prepare::file_of;
use crate::publish::publish;
use crate::run::{Failure, make, supervise, to_message};
use crate::snapshot::{self, Hashed};
use crate::source::Source;
use crate::stores::Stores;

/// Most bytes of what a program measured.
const RESULT_MAX: u64 = 64 << 10;
/// Longest name of a metric or a slice.
const NAME_MAX: usize = 128;

/// What the program writes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Measured {
    metrics: Vec<Metric>,
}

/// Runs one evaluation; gives the termination message.
pub async fn evaluate(
    evaluate: &Evaluate,
    command: Vec<OsString>,
    places: &Places,
    stores: &Arc<Stores>,
) -> Result<String, Failure> {
    let reports = Folder::parse(&evaluate.reports, &places.claims(), stores)
        .map_err(|reason| Failure::new(exit::USAGE, reason))?;
    make(&[places.result_dir()])?;
    supervise(command, environment::of_evaluation(evaluate, places), places).await?;

    let metrics = read(&places.at(places::RESULT)).map_err(|reason| Failure::new(exit::NO_OUTPUT, reason))?;
    let model_digest = digest_of(&evaluate.candidate, &places.at(places::CANDIDATE_DIR), places).await?;
    let champion_digest = match &evaluate.champion {
        Some(champion) => Some(digest_of(champion, &places.at(places::CHAMPION_DIR), places).await?),
        None => None,
    };
    let data = places.at(places::DATA_DIR).join(&evaluate.dataset.name);
    let eval_set_digest = digest_of_file(&evaluate.dataset.uri, &data, places).await?;

    let report = publish(&places.result_dir(), "the folder of $SERIN_RESULT", &reports).await;
    let report = report.map_err(|error| Failure::new(error.exit_code(), error.to_string()))?;
    to_message(&EvaluationResult {
        schema: EvaluationResult::SCHEMA.to_owned(),
        run_uid: evaluate.run_uid.clone(),
        number: evaluate.number,
        nonce: evaluate.nonce.clone(),
        model_digest,
        champion_digest,
        eval_set_digest,
        metrics,
        report: Some(Report { uri: report.uri, digest: report.digest }),
    })
}

/// Reads what the program measured; the error says what to change.
fn read(path: &Path) -> Result<Vec<Metric>, String> {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(RESULT_MAX + 1).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(r#"the program left no $SERIN_RESULT; write {"metrics": [...]} there"#.into());
        }
        Err(error) => return Err(format!("$SERIN_RESULT cannot be read: {error}")),
        Ok(_) if text.len() as u64 > RESULT_MAX => {
            return Err(format!(
                "$SERIN_RESULT is longer than {RESULT_MAX} bytes; put what is more into files beside it"
            ));
        }
        Ok(_) => {}
    }
    let measured: Measured = serde_json::from_str(&text).map_err(|error| {
        let hint = if text.contains("NaN") || text.contains("Infinity") {
            "; NaN and Infinity are no JSON: leave such a metric out"
        } else {
            ""
        };
        format!("$SERIN_RESULT cannot be read: {error}{hint}")
    })?;
    check(&measured.metrics)?;
    Ok(measured.metrics)
}

fn check(metrics: &[Metric]) -> Result<(), String> {
    if metrics.is_empty() || metrics.len() > result::METRICS_MAX {
        return Err(format!(
            "$SERIN_RESULT has {} metrics; 1 to {} are allowed",
            metrics.len(),
            result::METRICS_MAX
        ));
    }
    let mut seen = BTreeSet::new();
    for metric in metrics {
        let Metric { name, arm, slice, value, ci_low, ci_high, n: _ } = metric;
        let too_long = |text: &str| text.is_empty() || text.len() > NAME_MAX;
        if too_long(name) || slice.as_deref().is_some_and(too_long) {
            return Err(format!("a metric's name and slice have 1 to {NAME_MAX} bytes; {name:.40?} has not"));
        }
        if ![Some(*value), *ci_low, *ci_high].into_iter().flatten().all(f64::is_finite) {
            return Err(format!("metric {name:?} is not a finite number"));
        }
        if !seen.insert((name, arm, slice)) {
            return Err(format!("metric {name:?} is there twice for the same model and slice"));
        }
    }
    Ok(())
}

/// Digest of a model as it is now. Of a changed one it is another digest, which the operator refuses.
async fn digest_of(model: &Model, folder: &Path, places: &Places) -> Result<String, Failure> {
    match model.layout {
        Layout::File => digest_of_file(&model.uri, folder, places).await,
        Layout::Directory => digest_of_directory(folder).await,
    }
}

async fn digest_of_file(uri: &str, folder: &Path, places: &Places) -> Result<String, Failure> {
    let source = Source::parse(uri, &places.claims()).map_err(|reason| Failure::new(exit::USAGE, reason))?;
    let file = file_of(&source, folder)
        .ok_or_else(|| Failure::new(exit::USAGE, format!("{source} does not end in the name of a file")))?;
    let hashed = tokio::task::spawn_blocking({
        let file = file.clone();
        move || output::digest_of(&file)
    });
    let hashed = hashed.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    match hashed {
        Ok((digest, _)) => Ok(digest.to_string()),
        Err(error) => Err(gone(&file, &error)),
    }
}

/// The manifest's digest if every file that it lists is still what it says, otherwise that of a manifest of what is
/// there. What the program added beside them, such as caches of an interpreter, is not looked at.
async fn digest_of_directory(folder: &Path) -> Result<String, Failure> {
    let listing = folder.join(manifest::NAME);
    let bytes = fs::read(&listing).map_err(|error| gone(&listing, &error))?;
    let manifest = Manifest::parse(&bytes).map_err(|reason| Failure::new(exit::INPUTS_REFUSED, reason))?;
    let refused = |error: snapshot::SnapshotError| Failure::new(exit::INPUTS_REFUSED, error.to_string());
    let listed: BTreeSet<&str> = manifest.files.iter().map(|file| file.path.as_str()).collect();
    let mut entries = snapshot::list(folder, &[manifest::NAME]).map_err(refused)?;
    entries.retain(|entry| listed.contains(entry.path.as_str()));
    let now = snapshot::hash(entries).await.map_err(refused)?;
    let now = Manifest::of(now.iter().map(Hashed::listed).collect());
    if now.files == manifest.files {
        return Ok(Digest::of_bytes(&bytes).to_string());
    }
    let bytes = now.to_bytes().map_err(|error| Failure::new(exit::USAGE, error.to_string()))?;
    Ok(Digest::of_bytes(&bytes).to_string())
}

fn gone(file: &Path, error: &std::io::Error) -> Failure {
    let reason = format!(
        "cannot read {} after the evaluation: {error}; the program must not remove it",
        file.display()
    );
    Failure::new(exit::INPUTS_REFUSED, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<Metric>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.json");
        fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn results_are_read_strictly() {
        let good = of(
            r#"{"metrics": [{"name": "accuracy", "value": 0.5}, {"name": "accuracy", "arm": "champion", "value": 1}]}"#,
        );
        assert_eq!(good.unwrap().len(), 2);
        let one = r#"{"name": "a", "value": 1}"#;
        for (text, expected) in [
            (String::new(), "EOF"),
            (r#"{"metrics": []}"#.into(), "0 metrics"),
            (r#"{"metrics": [{"name": "a", "value": NaN}]}"#.into(), "leave such a metric out"),
            (r#"{"metrics": [{"name": "a", "value": 1e999}]}"#.into(), "out of range"),
            (format!(r#"{{"metrics": [{one}, {one}]}}"#), "twice"),
            (format!(r#"{{"metrics": [{one}], "score": 1}}"#), "score"),
            (format!(r#"{{"metrics": [{one}]}} trailing"#), "trailing"),
            (r#"{"metrics": [{"name": "", "value": 1}]}"#.into(), "1 to 128 bytes"),
            (" ".repeat(70_000), "longer than"),
        ] {
            let error = of(&text).unwrap_err();
            assert!(error.contains(expected) && !error.contains('\n'), "{text:.60}: {error}");
        }
        let many: Vec<String> = (0..25).map(|n| format!(r#"{{"name": "m{n}", "value": 1}}"#)).collect();
        assert!(of(&format!(r#"{{"metrics": [{}]}}"#, many.join(","))).unwrap_err().contains("25 metrics"));
        assert!(read(Path::new("/nowhere/at/all")).unwrap_err().contains("left no $SERIN_RESULT"));
    }
}
