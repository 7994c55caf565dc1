//! Provenance of a version as an in-toto Statement with a SLSA provenance predicate, both v1
//! (<https://slsa.dev/spec/v1.1/provenance>). It is not signed: whoever publishes it signs it.
//!
//! Parameters hold values as they were given; what was found behind them, with its digest, is a dependency. A name of a
//! dependency says which parameter it belongs to: `source`, `image`, `datasets/NAME`, `baseModel`.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use serin_api::{Build, Digest, EvaluationRecord, Inputs, ModelVersion, Source};

use crate::training::version::content;

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// The statement; the error is one line. An imported version has none: nobody here saw it being made.
pub fn statement(version: &ModelVersion) -> Result<Value, String> {
    let name = version.metadata.name.as_deref().unwrap_or_default();
    let spec = &version.spec;
    let Some(build) = &spec.build else {
        return Err(format!("{name} was imported: how it was made is not recorded here"));
    };
    let evaluations = version.status.as_ref().map(|s| s.evaluations.as_slice()).unwrap_or_default();
    Ok(json!({
        "_type": STATEMENT,
        "subject": [{
            "name": name,
            "uri": spec.artifact.uri,
            "digest": digest(&spec.artifact.digest),
        }],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": build.build_type,
                "externalParameters": external(&spec.model, &build.inputs),
                "internalParameters": internal(build, spec.inputs_digest.as_ref()),
                "resolvedDependencies": dependencies(build),
            },
            "runDetails": {
                "builder": builder(&build.builder),
                "metadata": {
                    "invocationId": format!("{}/{}", build.run.uid, build.run.attempt),
                    "startedOn": time(build.run.started_at),
                    "finishedOn": time(build.run.finished_at),
                },
                "byproducts": evaluations.iter().filter_map(report).collect::<Vec<_>>(),
            },
        },
    }))
}

/// What the author of the run said.
fn external(model: &str, inputs: &Inputs) -> Value {
    let mut parameters = json!({
        "model": model,
        "image": inputs.image,
        "command": inputs.command,
        "nodes": inputs.nodes,
        "processesPerNode": inputs.processes_per_node,
        "launcher": inputs.launcher,
    });
    let mut set = |key: &str, value: Value| parameters[key] = value;
    if let Some(code) = &inputs.code {
        set("source", json!({"repository": code.repo, "ref": code.commit}));
    }
    if !inputs.env.is_empty() {
        set("environment", json!(inputs.env));
    }
    if !inputs.datasets.is_empty() {
        let named = inputs.datasets.iter().map(|d| json!({"name": d.name, "uri": d.uri}));
        set("datasets", named.collect());
    }
    if let Some(version) = inputs.base_model.as_ref().and_then(|base| base.version.as_ref()) {
        set("baseModel", json!(version));
    }
    if !inputs.parameters.is_empty() {
        set("parameters", json!(inputs.parameters));
    }
    if let Some(seed) = &inputs.seed {
        set("seed", json!(seed));
    }
    parameters
}

/// What Serin made of it.
fn internal(build: &Build, inputs: Option<&Digest>) -> Value {
    let run = &build.run;
    let mut parameters = json!({
        "trainingRun": run.name,
        "attempt": run.attempt,
        "runningSeconds": run.running_seconds,
    });
    if let Some(inputs) = inputs {
        parameters["inputsDigest"] = json!(inputs);
    }
    if let Some(checkpoint) = &run.resumed_from {
        parameters["resumedFrom"] = json!(checkpoint);
    }
    parameters
}

fn dependencies(build: &Build) -> Vec<Value> {
    let inputs = &build.inputs;
    let mut all: Vec<Value> = inputs.code.iter().map(source).collect();
    if build.run.images.is_empty() {
        all.push(image(&inputs.image));
    }
    all.extend(build.run.images.iter().map(|seen| image(seen)));
    all.extend(
        inputs.datasets.iter().map(
            |d| json!({"name": format!("datasets/{}", d.name), "uri": d.uri, "digest": digest(&d.digest)}),
        ),
    );
    if let Some(base) = &inputs.base_model {
        let mut annotations = Map::new();
        annotations.extend(base.version.iter().map(|v| ("serin_modelVersion".to_owned(), json!(v))));
        all.push(json!({"name": "baseModel", "digest": digest(&base.digest), "annotations": annotations}));
    }
    all
}

/// A digest says that this is what was used. With changes that are in no commit it is not.
fn source(code: &Source) -> Value {
    let uri = format!("{}@{}", code.repo, code.commit);
    if code.dirty {
        return json!({"name": "source", "uri": uri, "annotations": {"serin_dirty": true}});
    }
    json!({"name": "source", "uri": uri, "digest": {"gitCommit": code.commit}})
}

fn image(reference: &str) -> Value {
    // As some runtimes report it: `docker-pullable://NAME@sha256:…`.
    let reference = reference.rsplit_once("://").map_or(reference, |(_, name)| name);
    let mut image = json!({"name": "image"});
    let found = content(reference).map(|digest| Digest(digest.to_owned()));
    if found.as_ref().is_none_or(|d| d.0 != reference) {
        image["uri"] = json!(format!("oci://{reference}"));
    }
    if let Some(found) = found {
        image["digest"] = digest(&found);
    }
    image
}

fn builder(id: &str) -> Value {
    match id.rsplit_once('@') {
        Some((_, version)) => json!({"id": id, "version": {"serin": version}}),
        None => json!({"id": id}),
    }
}

/// The report of an evaluation. What the gate said of it is in the version's status, not in here: provenance says how a
/// thing was made, not how good it is.
fn report(evaluation: &EvaluationRecord) -> Option<Value> {
    let report = evaluation.report.as_ref()?;
    Some(json!({
        "name": "evaluation",
        "uri": report.uri,
        "digest": digest(&Digest(report.digest.clone())),
        "annotations": {
            "serin_evalSetDigest": evaluation.eval_set_digest,
            "serin_evaluatorImage": evaluation.evaluator_image,
        },
    }))
}

/// in-toto's DigestSet.
fn digest(digest: &Digest) -> Value {
    json!({"sha256": digest.0.strip_prefix("sha256:").unwrap_or(&digest.0)})
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
