//! What the documentation shows is taken by an apiserver with our definitions: every YAML block of the README, of `docs/` and
//! every example in `deploy/examples/` is applied to it, without storing it. Pure tests read the same blocks
//! (`src/api/tests/documents.rs`); only an apiserver knows the kinds of others, and whether it has a field of that name.

use std::path::{Path, PathBuf};

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, ValidationDirective};
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::{Scope, pinned_kind};
use serde_json::{Value, json};
use serin_tests::cluster::root;
use serin_tests::runs::{policy, run};
use serin_tests::{Change as _, World, wine};

/// Kinds of others that are shown and that no part of the test bed serves, and why they are shown.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("argoproj.io/v1alpha1", "Application", "Argo CD, which is no part of this bed"),
    ("argoproj.io/v1alpha1", "ApplicationSet", "Argo CD, which is no part of this bed"),
    ("argoproj.io/v1alpha1", "AppProject", "Argo CD, which is no part of this bed"),
    ("argoproj.io/v1alpha1", "Rollout", "Argo Rollouts, to be translated from"),
    ("argoproj.io/v1alpha1", "AnalysisTemplate", "Argo Rollouts, to be translated from"),
    ("flagger.app/v1beta1", "Canary", "Flagger, to be translated from"),
    ("serving.kserve.io/v1beta1", "InferenceService", "KServe, to be translated from"),
    ("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "Flux, which is no part of this bed"),
    ("source.toolkit.fluxcd.io/v1", "GitRepository", "Flux, which is no part of this bed"),
    ("kustomize.config.k8s.io/v1beta1", "Kustomization", "a file of kustomize's, and no object"),
    ("helm.toolkit.fluxcd.io/v2", "HelmRelease", "Flux, which is no part of this bed"),
    ("monitoring.coreos.com/v1", "PodMonitor", "prometheus-operator, which is no part of this bed"),
];

/// Blocks that are marked as `yaml fragment`, which nobody applies: a file, and how many it may have. A piece of a spec
/// needs no mark: it is put into a whole object.
const FRAGMENTS: &[(&str, usize)] = &[("docs/gitops.md", 2)];

/// A block, and where it stands.
struct Block {
    place: String,
    text: String,
    fragment: bool,
}

/// Files below a folder with this ending.
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

fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The blocks of a Markdown text whose language is YAML.
fn blocks(file: &str, markdown: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Option<Block>> = None;
    for (number, line) in markdown.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(info)) => {
                let mut words = info.split_whitespace();
                let yaml = matches!(words.next(), Some("yaml" | "yml"));
                let marks: Vec<&str> = words.collect();
                let place = format!("{file}:{}", number + 1);
                assert!(!yaml || matches!(marks[..], [] | ["fragment"]), "{place}: nobody knows {marks:?}");
                let fragment = !marks.is_empty();
                open = Some(yaml.then(|| Block { place, text: String::new(), fragment }));
            }
            (Some(_), Some("")) => found.extend(open.take().flatten()),
            (Some(Some(block)), _) => block.text.extend([line, "\n"]),
            _ => {}
        }
    }
    assert!(open.is_none(), "{file}: a block is not closed");
    found
}

fn shown() -> Vec<Block> {
    let mut pages = files(&root().join("docs"), "md");
    pages.extend(files(&root(), "md").into_iter().filter(|path| path.parent() == Some(&root())));
    let of_page = |path: &PathBuf| blocks(&short(path), &std::fs::read_to_string(path).unwrap());
    let of_example = |path: &PathBuf| Block {
        place: short(path),
        text: std::fs::read_to_string(path).unwrap(),
        fragment: false,
    };
    let examples = files(&root().join("deploy/examples"), "yaml");
    pages.iter().flat_map(of_page).chain(examples.iter().map(of_example)).collect()
}

/// The documents of a stream; one of comments only is none.
fn documents(block: &Block) -> Vec<Value> {
    let mut texts = vec![String::new()];
    for line in block.text.lines() {
        match texts.last_mut() {
            Some(last) if line.trim_end() != "---" => last.extend([line, "\n"]),
            _ => texts.push(String::new()),
        }
    }
    let read =
        |text: &String| serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{}: {e}", block.place));
    texts.iter().map(read).filter(|value: &Value| !value.is_null()).collect()
}

/// A whole object around a piece of a spec: of the first of our kinds that has all of its fields.
fn whole(place: &str, piece: &Value) -> Value {
    let bases = [
        serde_json::to_value(wine("v1").named("piece").without_gateway()).unwrap(),
        serde_json::to_value(policy(&json!([{"name": "stale", "maxAge": {"seconds": 60}}]))).unwrap(),
        serde_json::to_value(run()).unwrap(),
    ];
    let fields = piece.as_object().unwrap_or_else(|| panic!("{place}: neither an object nor a piece of one"));
    let definitions = serde_json::to_value(serin_api::crds()).unwrap();
    let knows = |base: &Value, field: &String| {
        let definition =
            definitions.as_array().unwrap().iter().find(|d| d["spec"]["names"]["kind"] == base["kind"]);
        let schema = &definition.unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        schema["properties"]["spec"]["properties"].get(field).is_some()
    };
    let base = bases.into_iter().find(|base| fields.keys().all(|field| knows(base, field)));
    let mut base = base.unwrap_or_else(|| panic!("{place}: no spec of ours has {:?}", fields.keys()));
    base.as_object_mut().unwrap().remove("status");
    for (field, value) in fields {
        base["spec"][field] = value.clone();
    }
    base
}

/// Applies it as `kubectl apply --server-side --dry-run=server --validate=strict` does.
async fn apply(world: &World, place: &str, object: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{place}: {object}")).to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let (group, version) = version.rsplit_once('/').unwrap_or(("", &version));
    let found = pinned_kind(&world.client, &GroupVersionKind::gvk(group, version, &kind)).await;
    let elsewhere = ELSEWHERE.iter().find(|(v, k, _)| *v == object["apiVersion"] && *k == kind);
    let (resource, capabilities) = match (found, elsewhere) {
        (Ok(found), None) => found,
        (Err(_), Some(_)) => return,
        (Ok(_), Some(_)) => panic!("{place}: {kind} is served here, so that it need not be let off"),
        (Err(error), None) => panic!("{place}: nobody serves {version} {kind}: {error}"),
    };
    let mut object = object.clone();
    // Where it would live is a namespace that is not there.
    object["metadata"].as_object_mut().unwrap().remove("namespace");
    let api = of(world, &resource, capabilities.scope == Scope::Namespaced);
    let params = PatchParams {
        dry_run: true,
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply("reader").force()
    };
    let name = text(&object["metadata"]["name"]);
    let taken = api.patch(&name, &params, &Patch::Apply(&object)).await;
    taken.unwrap_or_else(|error| panic!("{place}: {kind} {name} is refused: {error}"));
}

fn of(world: &World, resource: &ApiResource, namespaced: bool) -> Api<DynamicObject> {
    if namespaced {
        Api::namespaced_with(world.client.clone(), &world.namespace, resource)
    } else {
        Api::all_with(world.client.clone(), resource)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_block_of_the_documentation_is_taken_by_an_apiserver() {
    let world = World::without_operator().await;
    let mut applied = 0;
    for block in shown().iter().filter(|block| !block.fragment) {
        for document in documents(block) {
            let object =
                if document["apiVersion"].is_string() { document } else { whole(&block.place, &document) };
            apply(&world, &block.place, &object).await;
            applied += 1;
        }
    }
    assert!(applied >= 30, "only {applied} objects were found");
    // The way there works: what no definition has is refused.
    let mut wrong = whole("here", &json!({"replicas": 2}));
    wrong["spec"]["replicaz"] = json!(2);
    let task = async { apply(&world, "here", &wrong).await };
    assert!(futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(task)).await.is_err());
}

#[test]
fn few_blocks_are_let_off() {
    let all = shown();
    for block in all.iter().filter(|block| block.fragment) {
        let file = block.place.rsplit_once(':').unwrap().0;
        assert!(
            FRAGMENTS.iter().any(|(known, _)| *known == file),
            "{}: apply it, or say here why not",
            block.place
        );
    }
    for (file, most) in FRAGMENTS {
        let count =
            all.iter().filter(|block| block.fragment && block.place.starts_with(&format!("{file}:"))).count();
        assert_eq!(count, *most, "{file}");
    }
}

#[test]
fn blocks_are_read_as_they_are_written() {
    let page = "a\n```yaml\na: 1\n```\n```sh\n```\n- b\n  ```yaml fragment\n  b: 2\n  ```\n";
    let found = blocks("x.md", page);
    let seen: Vec<_> = found.iter().map(|b| (b.place.as_str(), b.text.as_str(), b.fragment)).collect();
    assert_eq!(seen, [("x.md:2", "a: 1\n", false), ("x.md:8", "  b: 2\n", true)]);
}
