//! What a policy makes.

use serde_json::{Value, json};
use serin_api::{Digest, SeenData, TrainingRun, validate};
use serin_engine::retrain::{
    NewRun, look,
    run::{self, Policy},
};

use super::sim::{UID, digest, policy, quality};

fn seen(name: &str, content: u8) -> SeenData {
    SeenData { name: name.into(), digest: Digest(digest(content)), bytes: 7 }
}

#[test]
fn a_run_is_the_template_with_the_data_of_the_moment() {
    let mut spec = policy(&quality());
    spec.template.evaluation = serde_json::from_value(json!({
        "image": "judge", "command": ["judge"],
        "dataset": {"name": "exam", "uri": "s3://data/exam-0.csv", "digest": digest(0)},
        "gate": {"metrics": [{"name": "accuracy", "min": "0.5"}]},
    }))
    .unwrap();
    spec.data.extend(
        serde_json::from_value::<Vec<_>>(json!([
            {"name": "exam-now", "uri": "s3://data/exam.csv", "use": "Evaluation"},
        ]))
        .unwrap(),
    );
    let run = run::spec(&spec, &[seen("train", 1), seen("exam-now", 2)], None).unwrap();
    assert_eq!(run.datasets[0].digest.0, digest(1));
    let exam = &run.evaluation.as_ref().unwrap().dataset;
    assert_eq!((exam.uri.as_str(), exam.digest.0.as_str()), ("s3://data/exam.csv", digest(2).as_str()));
    assert_eq!(validate::training_run("wine-weekly-0123456789", &run), Ok(()));
    assert!(run::spec(&spec, &[seen("train", 1)], None).unwrap_err().contains("exam-now"));

    let other = run::spec(&spec, &[seen("train", 1), seen("exam-now", 3)], None).unwrap();
    assert_ne!(run::inputs_of(&run), run::inputs_of(&other));
    let again = run::spec(&spec, &[seen("train", 1), seen("exam-now", 2)], Some("again")).unwrap();
    assert_eq!(run::inputs_of(&run), run::inputs_of(&again));

    let owner = Policy { name: "wine-weekly", namespace: "ns", uid: UID, spec: &spec };
    let inputs = run::inputs_of(&run);
    let name = run::name("wine-weekly", UID, "mistakes", "1", &inputs);
    let new = NewRun { name: name.clone(), number: 3, trigger: "mistakes".into(), inputs, spec: run.clone() };
    let object: TrainingRun = serde_json::from_value(run::object(&owner, &new)).unwrap();
    assert_eq!(object.spec, run);
    let labels = object.metadata.labels.unwrap();
    assert_eq!((labels["serin.dev/retrain-number"].as_str(), name.len()), ("3", "wine-weekly-".len() + 10));
    assert!(labels.values().all(|value| value.len() <= 63), "{labels:?}");
    assert_eq!(object.metadata.owner_references.unwrap()[0].kind, "RetrainPolicy");
}

#[test]
fn a_name_is_of_one_occasion() {
    let name = |trigger, occasion, inputs| run::name("p", UID, trigger, occasion, inputs);
    assert_eq!(name("a", "1", "i"), name("a", "1", "i"));
    assert_ne!(name("a", "1", "i"), name("a", "11", ""));
    assert_ne!(name("a", "1", "i"), name("a", "2", "i"));
}

#[test]
fn a_look_has_the_rights_of_nobody_and_the_storage_of_the_runs() {
    let mut spec = policy(&quality());
    spec.template.storage = serde_json::from_value(json!({
        "endpoint": "http://store:9000", "secretName": "store",
    }))
    .unwrap();
    spec.data.extend(
        serde_json::from_value::<Vec<_>>(json!([{"name": "more", "uri": "pvc://claim/more.csv"}])).unwrap(),
    );
    let owner = Policy { name: "wine-weekly", namespace: "ns", uid: UID, spec: &spec };
    let job = look::job(&owner, 4, "agent:1").unwrap();
    assert_eq!(job["metadata"]["name"], "wine-weekly-look-4");
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    let container = &pod["containers"][0];
    assert_eq!((&container["image"], &container["args"]), (&json!("agent:1"), &json!(["look"])));
    assert_eq!(container["envFrom"], json!([{"secretRef": {"name": "store"}}]));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(pod["volumes"][1]["persistentVolumeClaim"], json!({"claimName": "claim", "readOnly": true}));
    let task: Value = serde_json::from_str(container["env"][0]["value"].as_str().unwrap()).unwrap();
    assert_eq!((&task["kind"], &task["number"]), (&json!("look"), &json!(4)));
    assert_eq!(task["objects"][0], json!({"name": "train", "uri": "s3://data/train.csv"}));
}

#[test]
fn what_a_look_says_is_believed_only_if_it_answers_the_question() {
    let data = policy(&quality()).data;
    let text = |change: &dyn Fn(&mut Value)| {
        let mut result = json!({
            "schema": "serin.dev/look-result/v1", "policyUid": UID, "number": 2,
            "objects": [{"name": "train", "digest": digest(1), "bytes": 9}],
        });
        change(&mut result);
        look::seen(&result.to_string(), UID, 2, &data)
    };
    assert_eq!(
        text(&|_| ()).unwrap(),
        [SeenData { name: "train".into(), digest: Digest(digest(1)), bytes: 9 }]
    );
    for (path, value) in [
        ("/schema", json!("serin.dev/look-result/v9")),
        ("/policyUid", json!("another")),
        ("/number", json!(1)),
        ("/objects/0/name", json!("exam")),
        ("/objects/0/digest", json!("sha256:12")),
        ("/objects/0/bytes", json!(u64::MAX)),
        ("/objects", json!([])),
    ] {
        let answer = text(&|result| *result.pointer_mut(path).unwrap() = value.clone());
        assert!(answer.as_ref().is_err_and(|e| !e.contains('\n')), "{path}: {answer:?}");
    }
    assert!(look::seen("", UID, 2, &data).is_err());
}
