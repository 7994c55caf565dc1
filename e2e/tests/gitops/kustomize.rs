//! What kustomize makes of our folders is what the other ways to install have.

use std::{collections::BTreeSet, process::Command};

use serde_json::{Value, json};
use serin_e2e::{
    helm::{Helm, chart},
    images,
};

use crate::engines;

/// A folder of the repository, by kubectl's kustomize.
pub fn rendered(folder: &str) -> Result<String, String> {
    let mut kubectl: Command = serin_bed::kubectl(&mut |line| eprintln!("{line}")).unwrap();
    let output = kubectl.arg("kustomize").arg(images::repository().join(folder)).output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn objects(text: &str) -> Vec<Value> {
    let documents = text.split("\n---").map(|d| d.trim_start_matches("---"));
    let has_content = |d: &&str| d.lines().any(|l| !l.trim().is_empty() && !l.starts_with('#'));
    documents.filter(has_content).map(|d| serde_saphyr::from_str(d).unwrap()).collect()
}

fn file(path: &str) -> String {
    std::fs::read_to_string(images::repository().join(path)).unwrap()
}

fn overlay(name: &str) -> Vec<Value> {
    objects(&rendered(&format!("kustomize/overlays/{name}")).unwrap())
}

fn by_chart(name: &str, more: &[&str]) -> Vec<Value> {
    let (chart, values) = (chart(), chart().join(format!("ci/{name}-values.yaml")));
    let mut args = vec!["template", "serin", chart.to_str().unwrap(), "-n", "serin-system"];
    args.extend(["-f", values.to_str().unwrap(), "--set", "crds.enabled=false"]);
    args.extend(more);
    objects(&Helm::alone(serin_bed::HelmLine::Four).unwrap().run(&args).unwrap())
}

fn one<'a>(all: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = all.iter().find(|o| o["kind"] == kind && o["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn args(all: &[Value]) -> Vec<String> {
    let args = &one(all, "Deployment", "serin")["spec"]["template"]["spec"]["containers"][0]["args"];
    args.as_array().unwrap().iter().map(|arg| arg.as_str().unwrap().to_owned()).collect()
}

fn sorted(mut all: Vec<Value>) -> Vec<Value> {
    all.sort_by_key(|o| format!("{} {}", o["kind"], o["metadata"]["name"]));
    all
}

#[test]
fn the_base_is_the_definitions_the_operator_and_who_may_write() {
    let mut committed = objects(&file("deploy/operator.yaml"));
    committed.extend(objects(&file("deploy/admission.yaml")));
    for crd in std::fs::read_dir(images::repository().join("crds")).unwrap() {
        let path = crd.unwrap().path();
        if path.extension().is_some_and(|e| e == "yaml") {
            committed.extend(objects(&std::fs::read_to_string(path).unwrap()));
        }
    }
    let found = sorted(objects(&rendered("kustomize/base").unwrap()));
    let committed = sorted(committed);
    assert_eq!(found.len(), committed.len());
    for (found, committed) in found.iter().zip(&committed) {
        assert_eq!(found, committed);
    }
}

#[test]
fn in_one_namespace_it_is_what_the_chart_makes_there() {
    let (ours, chart) = (overlay("namespaced"), by_chart("namespaced", &[]));
    let kinds: BTreeSet<_> = ours.iter().map(|o| o["kind"].as_str().unwrap()).collect();
    let of_the_cluster = [
        "ClusterRole",
        "ClusterRoleBinding",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    assert!(of_the_cluster.iter().all(|kind| !kinds.contains(kind)), "{kinds:?}");
    for (kind, field) in [("Role", "rules"), ("RoleBinding", "roleRef"), ("RoleBinding", "subjects")] {
        let (ours, chart) = (one(&ours, kind, "serin"), one(&chart, kind, "serin"));
        assert_eq!(ours[field], chart[field], "{kind} {field}");
        assert_eq!(ours["metadata"]["namespace"], chart["metadata"]["namespace"], "{kind}");
    }
    // The lease is where the operator is.
    let (lease, by_chart) = (one(&ours, "Role", "serin-lease"), one(&chart, "Role", "serin-lease"));
    assert_eq!(lease["rules"], by_chart["rules"]);
    assert_eq!(lease["metadata"]["namespace"], "serin-system");
    let restricted = |all: &[Value]| args(all).contains(&"--namespace=models".to_owned());
    assert!(restricted(&ours) && restricted(&chart));
    // Nothing else of the pod differs from that of all namespaces.
    let mut pod = one(&ours, "Deployment", "serin").clone();
    let all = &mut pod["spec"]["template"]["spec"]["containers"][0]["args"];
    all.as_array_mut().unwrap().retain(|arg| arg != "--namespace=models");
    assert_eq!(pod, *one(&objects(&file("deploy/operator.yaml")), "Deployment", "serin"));
}

#[test]
fn monitors_are_those_of_the_chart() {
    let (ours, chart) = (overlay("cluster"), by_chart("default", &["--set", "podMonitor.enabled=true"]));
    let spec = |all: &[Value], name: &str| one(all, "PodMonitor", name)["spec"].clone();
    assert_eq!(spec(&ours, "serin-models"), spec(&chart, "serin-models"));
    let (mut a, mut b) = (spec(&ours, "serin"), spec(&chart, "serin"));
    // The labels of the operator's pods are those of each way to install.
    let selected = a["selector"]["matchLabels"].take();
    assert!(b["selector"]["matchLabels"].take().is_object());
    assert_eq!(a, b);
    let pods = &one(&ours, "Deployment", "serin")["spec"]["template"]["metadata"]["labels"];
    let is_there = |(label, value): (&String, &Value)| pods[label] == *value;
    assert!(selected.as_object().unwrap().iter().all(is_there), "{selected} selects no {pods}");
}

#[test]
fn one_line_changes_the_image_and_another_the_prometheus() {
    let ours = overlay("cluster");
    let pod = &one(&ours, "Deployment", "serin")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(pod["image"], json!("registry.example/serin:0.1.0"));
    let mut wanted = args(&objects(&file("deploy/operator.yaml")));
    for arg in &mut wanted {
        if arg.starts_with("--prometheus-url=") {
            "--prometheus-url=http://prometheus-operated.monitoring:9090".clone_into(arg);
        }
        if arg.starts_with("--agent-image=") {
            "--agent-image=registry.example/serin:0.1.0".clone_into(arg);
        }
    }
    assert_eq!(args(&ours), wanted);
}

/// The example repository: Argo CD's and Flux' own types know every field, and each model's folder can be applied.
#[test]
fn the_example_repository_is_one() {
    let folder = "deploy/examples/gitops";
    let output = engines::program().arg("examples").arg(images::repository().join(folder)).output().unwrap();
    let said = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
    assert!(output.status.success(), "{said}");
    for model in ["wine", "beer"] {
        let all = objects(&rendered(&format!("{folder}/models/{model}")).unwrap());
        assert_eq!(one(&all, "ModelDeployment", model)["apiVersion"], "serin.dev/v1alpha1");
    }
    let beer = objects(&rendered(&format!("{folder}/models/beer")).unwrap());
    let named = one(&beer, "ModelDeployment", "beer")["spec"]["model"]["versionRef"].as_str().unwrap();
    one(&beer, "ModelVersion", named);
}
