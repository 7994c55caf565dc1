//! The tree shows the whole chain, and what is gone as gone.

use serde_json::{from_value, json};
use serin_api::{ModelDeployment, ModelVersion, TrainingRun};
use serin_engine::{
    lineage::{self, Namespace, Node, text::render},
    paint::Paint,
};

use crate::support::{DATA, MODEL, UID, spec, version};

fn run() -> TrainingRun {
    from_value(json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "TrainingRun",
        "metadata": {"name": "wine-7", "uid": UID},
        "spec": serde_json::to_value(spec(&[])).unwrap(),
        "status": {
            "attempts": [
                {"number": 1, "jobUid": "a", "createdAt": "2026-08-01T09:00:00Z", "runningAt": "2026-08-01T09:00:30Z",
                 "endedAt": "2026-08-01T09:30:30Z", "end": "Disrupted", "message": "node n1 was drained"},
                {"number": 2, "jobUid": "b", "createdAt": "2026-08-01T09:59:00Z", "runningAt": "2026-08-01T10:00:00Z",
                 "endedAt": "2026-08-01T11:00:00Z", "end": "Succeeded", "resumedFrom": "a1/step-200"},
            ],
            "modelVersion": "wine-5f3a9c21d0",
            "completion": {"result": "Succeeded", "reason": "VersionRecorded", "message": "", "at": "2026-08-01T11:01:00Z"},
        },
    }))
    .unwrap()
}

fn parent() -> ModelVersion {
    let mut parent = version(&[("/metadata/name", json!("wine-0")), ("/spec/parent", json!("wine-gone"))]);
    parent["spec"]["origin"] = json!("Imported");
    parent["spec"].as_object_mut().unwrap().remove("build");
    parent["status"] = json!({"conditions": [{
        "type": "Revoked", "status": "True", "reason": "Revoked", "message": "trained on leaked data",
        "lastTransitionTime": "2026-08-02T00:00:00Z",
    }]});
    from_value(parent).unwrap()
}

fn deployment() -> ModelDeployment {
    from_value(json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "tasting"},
        "spec": {"model": {"versionRef": "wine-5f3a9c21d0"}, "server": {"image": "x"}},
    }))
    .unwrap()
}

fn tree(version: &ModelVersion, runs: &[TrainingRun], versions: &[ModelVersion]) -> Node {
    let deployments = [deployment()];
    lineage::tree(version, Namespace { versions, runs, deployments: &deployments })
}

#[test]
fn the_whole_chain() {
    let version: ModelVersion = from_value(version(&[])).unwrap();
    let text = render(&tree(&version, &[run()], &[version.clone(), parent()]), Paint::Plain);
    let expected = "\
wine-5f3a9c21d0 (Trained, Pinned) sha256:2c26b46b68ff…
├─ artifact s3://models/wine/x/model.json (File, 1.0 MiB)
├─ code git+https://git.example/wine@0123456789abcdef0123456789abcdef01234567
├─ image registry.example/train:1
│  └─ resolved registry.example/train@sha256:fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9
├─ data train s3://data/wine/train.csv sha256:0123456789ab…
├─ base wine-0 sha256:fcde2b2edba5…
├─ parameters learning_rate=0.1, seed 7
├─ run wine-7: 2026-08-01 10:00:00Z to 2026-08-01 11:00:00Z, 1 h 30 min of running, attempt 2, resumed from a1/step-200
│  ├─ attempt 1 Disrupted after 30 min 0 s: node n1 was drained
│  └─ attempt 2 Succeeded after 1 h 0 min, resumed from a1/step-200
├─ evaluation 2026-08-01 11:01:00Z passed against wine-0: accuracy 0.9 is at least 0.5
│  ├─ metric accuracy 0.9, champion 0.8
│  ├─ metric accuracy of red 0.85
│  └─ report s3://models/wine/reports/y/metrics.json
├─ replay 2026-08-03 00:00:00Z by wine-8: Identical, the same bytes
├─ deployment wine Stable since 2026-08-01 12:00:00Z
├─ deployment tasting asks for it and does not serve it
├─ outcome 2026-08-01 12:30:00Z Promoted in wine (Promoted): no worse, 12000 requests
└─ parent wine-0 (Imported) sha256:2c26b46b68ff…
   ├─ revoked trained on leaked data
   └─ parent wine-gone (deleted)
";
    assert_eq!(text, expected);
}

#[test]
fn what_is_gone_is_said_to_be_gone() {
    let version: ModelVersion = from_value(version(&[])).unwrap();
    let text = render(&tree(&version, &[], &[]), Paint::Plain);
    assert!(text.contains("├─ base wine-0 sha256:fcde2b2edba5… (deleted)\n"), "{text}");
    assert!(text.contains("├─ run wine-7 (deleted): 2026-08-01 10:00:00Z"), "{text}");
    assert!(text.ends_with("└─ parent wine-0 (deleted)\n"), "{text}");
}

#[test]
fn a_namesake_is_another_run_and_a_reuse_is_shown() {
    let version: ModelVersion = from_value(version(&[])).unwrap();
    let mut namesake = run();
    namesake.metadata.uid = Some("another".to_owned());
    namesake.metadata.name = Some("wine-9".to_owned());
    namesake.status.as_mut().unwrap().completion.as_mut().unwrap().result = serin_api::RunResult::Reused;
    let text = render(&tree(&version, &[namesake], &[]), Paint::Plain);
    assert!(text.contains("run wine-7 (deleted)") && text.contains("├─ reused by wine-9\n"), "{text}");
}

#[test]
fn channels_say_why_not_this_one() {
    let mut version = version(&[]);
    version["metadata"]["annotations"] = json!({"serin.dev/approved": "tasted"});
    version["status"]["bars"] = json!([{
        "deployment": "tasting", "revision": "r1-1", "reason": "AnalysisFailed", "at": "2026-08-02T00:00:00Z",
    }]);
    let version: ModelVersion = from_value(version).unwrap();
    let mut deployment = deployment();
    deployment.spec.model = from_value(json!({"channel": {"model": "wine"}})).unwrap();
    let told = |status: serde_json::Value| {
        let deployment = ModelDeployment { status: from_value(status).unwrap(), ..deployment.clone() };
        let deployments = [deployment];
        let namespace = Namespace { versions: &[], runs: &[], deployments: &deployments };
        render(&lineage::tree(&version, namespace), Paint::Plain)
    };
    let passed =
        json!([{"version": "wine-5f3a9c21d0", "reason": "Barred", "message": "it was rolled back here"}]);
    let text = told(json!({"channel": {"model": "wine", "version": "wine-0", "passedOver": passed}}));
    assert!(text.contains("├─ approved tasted\n"), "{text}");
    assert!(text.contains("├─ barred in tasting since 2026-08-02 00:00:00Z (AnalysisFailed)\n"), "{text}");
    assert!(text.contains("tasting passes it over (Barred): it was rolled back here\n"), "{text}");
    let text = told(json!({"channel": {"model": "wine", "version": "wine-5f3a9c21d0"}}));
    assert!(text.contains("tasting asks for it and does not serve it\n"), "{text}");
}

#[test]
fn a_circle_of_parents_ends() {
    let a: ModelVersion =
        from_value(version(&[("/metadata/name", json!("a")), ("/spec/parent", json!("b"))])).unwrap();
    let b: ModelVersion =
        from_value(version(&[("/metadata/name", json!("b")), ("/spec/parent", json!("a"))])).unwrap();
    let text = render(&tree(&a, &[], &[a.clone(), b]), Paint::Plain);
    assert!(text.ends_with("   └─ parent a …\n"), "{text}");
}

#[test]
fn texts_of_strangers_do_not_reach_the_terminal() {
    let evil = "red\u{1b}[2J\nfake line\u{7}";
    let version: ModelVersion =
        from_value(version(&[("/spec/build/inputs/parameters/learning_rate", json!(evil))])).unwrap();
    let tree = tree(&version, &[], &[]);
    let text = render(&tree, Paint::Plain);
    assert!(!text.contains('\u{1b}') && !text.contains("\nfake"), "{text}");
    let coloured = render(&tree, Paint::Colour);
    assert!(coloured.contains("\u{1b}[32m") && !coloured.contains("[2J\n"), "{coloured}");
    assert_eq!(coloured.lines().count(), text.lines().count());
}

#[test]
fn programs_get_the_same_tree() {
    let version: ModelVersion = from_value(version(&[])).unwrap();
    let json = tree(&version, &[run()], &[]).to_json();
    assert_eq!(json["kind"], "version");
    let kinds: Vec<_> = json["children"].as_array().unwrap().iter().map(|c| c["kind"].clone()).collect();
    assert!(
        ["artifact", "data", "run", "evaluation", "outcome", "parent"]
            .iter()
            .all(|k| kinds.contains(&json!(k)))
    );
    assert!(json.to_string().contains(MODEL.get(7..19).unwrap()) && !DATA.is_empty());
}
