//! What the documentation shows is valid: every object of ours in the README, in `docs/` and in `deploy/examples/` is read
//! without losing a field, and passes the rules of the code and of the CRD.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

mod support;

use std::path::{Path, PathBuf};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use serin_api::{ModelDeployment, ModelVersion, RetrainPolicy, TrainingRun, validate};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Files below a folder of the repository with this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The documents of a YAML stream.
fn documents(yaml: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for line in yaml.lines() {
        match all.last_mut() {
            Some(last) if line.trim_end() != "---" => last.extend([line, "\n"]),
            _ => all.push(String::new()),
        }
    }
    all
}

/// The blocks of a Markdown text that are fenced as `yaml`.
fn yaml_blocks(markdown: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in markdown.lines() {
        match (&mut open, line.trim()) {
            (None, "```yaml") => open = Some(String::new()),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), _) => block.extend([line, "\n"]),
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// Checks our objects in a stream; gives how many there were.
fn check(place: &str, yaml: &str) -> usize {
    let is_ours = |d: &String| d.lines().any(|l| l.trim_end() == "apiVersion: serin.dev/v1alpha1");
    let ours = documents(yaml).into_iter().filter(is_ours);
    ours.map(|document| {
        let written: Value = serde_saphyr::from_str(&document).unwrap_or_else(|e| panic!("{place}: {e}"));
        let name = written["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let (whole, valid) = match written["kind"].as_str() {
            Some("ModelDeployment") => {
                let (typed, whole) = read::<ModelDeployment>(place, &written);
                (whole, validate::name(&name).and_then(|()| validate::spec(&typed.spec)))
            }
            Some("ModelVersion") => {
                let (typed, whole) = read::<ModelVersion>(place, &written);
                (whole, validate::model_version(&name, &typed.spec))
            }
            Some("RetrainPolicy") => {
                let (typed, whole) = read::<RetrainPolicy>(place, &written);
                (whole, validate::retrain_policy(&name, &typed.spec))
            }
            Some("TrainingRun") => {
                let (typed, whole) = read::<TrainingRun>(place, &written);
                (whole, validate::training_run(&name, &typed.spec))
            }
            other => panic!("{place}: nobody knows a {other:?}"),
        };
        assert_eq!(missing(&written, &whole, ""), Vec::<String>::new(), "{place}: fields that nobody reads");
        assert_eq!(valid, Ok(()), "{place}");
        assert_eq!(support::broken(&whole), Vec::<String>::new(), "{place}");
    })
    .count()
}

/// The object, and as the apiserver checks it: with its defaults.
fn read<T: DeserializeOwned + Serialize>(place: &str, written: &Value) -> (T, Value) {
    let typed: T = serde_json::from_value(written.clone()).unwrap_or_else(|e| panic!("{place}: {e}"));
    let whole = serde_json::to_value(&typed).unwrap();
    (typed, whole)
}

/// Paths of what is in `written` and not, or otherwise, in `read`.
fn missing(written: &Value, read: &Value, path: &str) -> Vec<String> {
    match (written, read) {
        (Value::Object(a), Value::Object(b)) => a
            .iter()
            .flat_map(|(k, v)| missing(v, b.get(k).unwrap_or(&Value::Null), &format!("{path}/{k}")))
            .collect(),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .flat_map(|(i, (x, y))| missing(x, y, &format!("{path}/{i}")))
            .collect(),
        (a, b) if a == b => Vec::new(),
        _ => vec![path.to_owned()],
    }
}

#[test]
fn every_example_is_valid() {
    let examples = files(&root().join("deploy/examples"), "yaml");
    assert!(!examples.is_empty());
    for path in examples {
        let count = check(&path.display().to_string(), &std::fs::read_to_string(&path).unwrap());
        assert!(count > 0 || is_of_another(&path), "{} shows no object of ours", path.display());
    }
}

/// Files of the example repository that are for Argo CD, Flux or kustomize; e2e/tests/gitops reads those.
fn is_of_another(path: &Path) -> bool {
    let is_there = |folder: &str| path.parent().is_some_and(|parent| parent.ends_with(folder));
    is_there("gitops/argocd") || is_there("gitops/flux") || path.ends_with("kustomization.yaml")
}

#[test]
fn every_block_in_the_documentation_is_valid() {
    let mut texts = files(&root().join("docs"), "md");
    texts.extend(["README.md", "CONTRIBUTING.md"].map(|f| root().join(f)));
    let count = |path: &PathBuf| -> usize {
        let place = path.display().to_string();
        yaml_blocks(&std::fs::read_to_string(path).unwrap()).iter().map(|block| check(&place, block)).sum()
    };
    assert!(texts.iter().map(count).sum::<usize>() > 0, "the README shows none");
}

#[test]
fn a_field_that_nobody_reads_is_noticed() {
    let written = serde_json::json!({ "a": { "b": 1, "typo": 2 }, "l": [{ "x": 1 }] });
    let read = serde_json::json!({ "a": { "b": 1 }, "l": [{ "x": 1, "default": 0 }] });
    assert_eq!(missing(&written, &read, ""), ["/a/typo"]);
}

/// What Argo CD's scripts are tried on is what Serin could have written.
#[test]
fn every_object_of_the_argo_cd_tests_is_valid() {
    let objects = files(&root().join("deploy/argocd/resource_customizations/serin.dev"), "yaml");
    let objects: Vec<_> =
        objects.iter().filter(|p| p.parent().is_some_and(|f| f.ends_with("testdata"))).collect();
    assert!(objects.len() > 40, "{}", objects.len());
    for path in objects {
        let count = check(&path.display().to_string(), &std::fs::read_to_string(path).unwrap());
        assert_eq!(count, 1, "{}", path.display());
    }
}
