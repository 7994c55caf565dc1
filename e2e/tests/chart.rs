//! The chart, as Helm renders it. No cluster.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

use std::{collections::BTreeSet, path::Path, process::Command};

use rstest::rstest;
use serde_json::{Value, json};
use serin_bed::HelmLine;
use serin_e2e::{
    helm::{Helm, chart},
    images,
};

const WITHOUT_CRDS: &[&str] = &["--set", "crds.enabled=false"];

fn values(name: &str) -> String {
    chart().join(format!("ci/{name}-values.yaml")).to_string_lossy().into_owned()
}

fn rendered(name: &str, more: &[&str]) -> Result<String, String> {
    rendered_by(HelmLine::Four, name, more)
}

fn rendered_by(line: HelmLine, name: &str, more: &[&str]) -> Result<String, String> {
    let (chart, values) = (chart(), values(name));
    let mut args = vec!["template", "serin", chart.to_str().unwrap(), "-n", "serin-system", "-f", &values];
    args.extend(more);
    Helm::alone(line).unwrap().run(&args).map_err(|e| e.to_string())
}

fn objects(text: &str) -> Vec<Value> {
    let documents = text.split("\n---").map(|d| d.trim_start_matches("---"));
    let has_content = |d: &&str| d.lines().any(|l| !l.trim().is_empty() && !l.starts_with('#'));
    documents.filter(has_content).map(|d| serde_saphyr::from_str(d).unwrap()).collect()
}

fn chart_objects(name: &str, more: &[&str]) -> Vec<Value> {
    objects(&rendered(name, more).unwrap())
}

fn one(all: &[Value], kind: &str, name: &str) -> Value {
    let found = all.iter().find(|o| o["kind"] == kind && o["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}")).clone()
}

fn kinds(all: &[Value]) -> BTreeSet<String> {
    all.iter().map(|o| o["kind"].as_str().unwrap().to_owned()).collect()
}

fn file(path: &str) -> String {
    std::fs::read_to_string(images::repository().join(path)).unwrap()
}

#[rstest]
#[case("default")]
#[case("namespaced")]
#[case("full")]
fn it_is_what_was_looked_at(#[case] name: &str) {
    let (chart, values) = (chart(), values(name));
    let lint = ["lint", "--strict", chart.to_str().unwrap(), "-f", &values];
    for line in [HelmLine::Three, HelmLine::Four] {
        Helm::alone(line).unwrap().run(&lint).unwrap();
    }
    insta::assert_snapshot!(name, rendered(name, WITHOUT_CRDS).unwrap());
    // Text may differ where a release writes its YAML otherwise; what is applied may not. A Helm 3 that was not built by its
    // own Makefile takes the cluster that is not there for a very old one.
    let all = |line| objects(&rendered_by(line, name, &["--kube-version", "1.34.0"]).unwrap());
    assert_eq!(all(HelmLine::Three), all(HelmLine::Four));
}

#[test]
fn every_value_is_in_the_full_example_and_in_the_schema() {
    fn paths(of: &Value, schema: &Value, at: &str, into: &mut BTreeSet<String>) {
        for (key, value) in of.as_object().into_iter().flatten() {
            let path = format!("{at}/{key}");
            let schema = &schema["properties"][key];
            assert!(schema.is_object(), "values.schema.json does not know {path}");
            if schema["properties"].is_object() {
                assert_eq!(schema["additionalProperties"], json!(false), "{path} is open");
                paths(value, schema, &path, into);
            } else {
                into.insert(path);
            }
        }
    }
    let schema: Value = serde_json::from_str(&file("charts/serin/values.schema.json")).unwrap();
    let of = |path: &str| {
        let mut all = BTreeSet::new();
        paths(&serde_saphyr::from_str(&file(path)).unwrap(), &schema, "", &mut all);
        all
    };
    assert_eq!(of("charts/serin/values.yaml"), of("charts/serin/ci/full-values.yaml"));
}

#[rstest]
#[case(&["--set", "replica=2"], "additional properties 'replica' not allowed")]
#[case(&["--set", "image.tga=1"], "at '/image': additional properties 'tga' not allowed")]
#[case(&["--set", "prometheus.url="], "at '/prometheus/url'")]
#[case(&["--set", "prometheus.url=prometheus:9090"], "at '/prometheus/url': 'prometheus:9090' does not match pattern")]
#[case(&["--set", "concurrency=0"], "at '/concurrency'")]
#[case(&["--set", "replicas=10"], "at '/replicas'")]
#[case(&["--set", "watchNamespace=A"], "at '/watchNamespace'")]
#[case(&["--set", "mirroringGateways={public}"], "at '/mirroringGateways/0'")]
fn a_mistake_is_named(#[case] more: &[&str], #[case] wanted: &str) {
    let said = rendered("default", more).unwrap_err();
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn definitions_are_those_of_the_repository_and_stay() {
    let all = chart_objects("default", &[]);
    let found: Vec<_> = all.iter().filter(|o| o["kind"] == "CustomResourceDefinition").collect();
    assert_eq!(found.len(), 4);
    for crd in found {
        let name = crd["metadata"]["name"].as_str().unwrap();
        let (plural, group) = name.split_once('.').unwrap();
        let committed: Value = serde_saphyr::from_str(&file(&format!("crds/{group}_{plural}.yaml"))).unwrap();
        assert_eq!(crd["spec"], committed["spec"], "{name}");
        assert_eq!(crd["metadata"]["annotations"], json!({"helm.sh/resource-policy": "keep"}), "{name}");
    }
    let unkept = chart_objects("default", &["--set", "crds.keep=false"]);
    let crd = one(&unkept, "CustomResourceDefinition", "modelversions.serin.dev");
    assert_eq!(crd["metadata"]["annotations"], Value::Null);
    assert!(!kinds(&chart_objects("default", WITHOUT_CRDS)).contains("CustomResourceDefinition"));
}

/// Two ways to install, one operator.
#[test]
fn deploy_is_the_same_operator() {
    let ours = objects(&file("deploy/operator.yaml"));
    let chart = chart_objects("default", WITHOUT_CRDS);
    let rules = |all: &[Value]| one(all, "ClusterRole", "serin")["rules"].clone();
    assert_eq!(rules(&ours), rules(&chart));
    let lease = |all: &[Value]| one(all, "Role", "serin-lease")["rules"].clone();
    assert_eq!(lease(&ours), lease(&chart));
    let budget = |all: &[Value]| one(all, "PodDisruptionBudget", "serin")["spec"]["maxUnavailable"].clone();
    assert_eq!(budget(&ours), budget(&chart));
    let pods = |all: &[Value]| one(all, "Deployment", "serin")["spec"].clone();
    let (mut ours, mut chart) = (pods(&ours), pods(&chart));
    // What only one of them has to say, because of the defaults of the other.
    let container = |spec: &mut Value| spec["template"]["spec"]["containers"][0].take();
    let (mut a, mut b) = (container(&mut ours), container(&mut chart));
    let args = |c: &mut Value| -> BTreeSet<String> {
        let all = c["args"].take();
        all.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    let (said, more) = (args(&mut a), args(&mut b));
    assert!(said.is_subset(&more), "{said:?} {more:?}");
    let defaults: Vec<_> = more.difference(&said).map(String::as_str).collect();
    assert_eq!(defaults, ["--concurrency=16", "--log-format=json"]);
    assert_eq!(b["imagePullPolicy"].take(), "IfNotPresent");
    assert_eq!(b["env"].take(), json!([{"name": "RUST_LOG", "value": "info"}]));
    for absent in ["env", "imagePullPolicy"] {
        a[absent] = Value::Null;
    }
    assert_eq!(a, b);
    let labels = |spec: &mut Value| {
        let pod = &mut spec["template"];
        for spread in pod["spec"]["topologySpreadConstraints"].as_array_mut().unwrap() {
            spread["labelSelector"].take();
        }
        (pod["metadata"]["labels"].take(), spec["selector"].take())
    };
    labels(&mut ours);
    labels(&mut chart);
    assert_eq!(ours, chart);
}

#[test]
fn deploy_has_the_same_admission_policy() {
    let ours = objects(&file("deploy/admission.yaml"));
    let chart = chart_objects("default", WITHOUT_CRDS);
    for kind in ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"] {
        assert_eq!(one(&ours, kind, "serin")["spec"], one(&chart, kind, "serin")["spec"], "{kind}");
    }
    let without = chart_objects("default", &["--set", "crds.enabled=false,admissionPolicy.enabled=false"]);
    assert!(!kinds(&without).iter().any(|kind| kind.starts_with("Validating")));
}

#[test]
fn in_one_namespace_there_is_no_cluster_role() {
    let all = chart_objects("namespaced", &["--set", "crds.enabled=true"]);
    assert_eq!(
        kinds(&all).iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "CustomResourceDefinition",
            "Deployment",
            "PodDisruptionBudget",
            "PodMonitor",
            "Role",
            "RoleBinding",
            "ServiceAccount"
        ]
    );
    let role = one(&all, "Role", "serin");
    assert_eq!(role["metadata"]["namespace"], "models");
    let whole = one(&chart_objects("default", WITHOUT_CRDS), "ClusterRole", "serin");
    let mut rules = whole["rules"].as_array().unwrap().clone();
    rules.retain(|rule| rule["resources"] != json!(["gateways", "gatewayclasses"]));
    assert_eq!(role["rules"], json!(rules), "the same rights, in one place, but for what is in no namespace");
    assert_eq!(
        one(&all, "Role", "serin-lease")["metadata"]["namespace"],
        "serin-system",
        "where the pods are"
    );
    assert_eq!(one(&all, "RoleBinding", "serin")["subjects"][0]["namespace"], "serin-system");
    let args = one(&all, "Deployment", "serin")["spec"]["template"]["spec"]["containers"][0]["args"].clone();
    assert!(args.as_array().unwrap().contains(&json!("--namespace=models")), "{args}");
}

/// `serin_…` in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.split(word).filter(|w| w.starts_with("serin_")).map(ToOwned::to_owned).collect()
}

#[test]
fn dashboards_and_alerts_know_only_metrics_that_exist() {
    let documented = file("docs/metrics.md");
    for path in ["charts/serin/files/alerts.yaml", "charts/serin/dashboards/serin.json"] {
        let text = file(path);
        // Labels of the relabelling are not the operator's.
        let used = metrics(&text);
        assert!(used.len() > 3, "{path}: {used:?}");
        for metric in used {
            let base = metric.trim_end_matches("_bucket");
            assert!(documented.contains(&format!("`{base}`")), "{path}: {metric} is not in docs/metrics.md");
        }
    }
    let board: Value = serde_json::from_str(&file("charts/serin/dashboards/serin.json")).unwrap();
    let (all, reasons) = (board.to_string(), file("src/api/reason.rs"));
    for reason in all.split("reason=~\\\"").skip(1).filter_map(|rest| rest.split('\\').next()) {
        for reason in reason.split('|') {
            assert!(reasons.contains(&format!("    {reason},\n")), "no reason {reason}");
        }
    }
}

#[test]
fn each_alert_fires_when_it_should_and_has_a_page() {
    let folder = tempfolder("alerts");
    let rules = file("charts/serin/files/alerts.yaml");
    std::fs::write(folder.join("alerts.yaml"), &rules).unwrap();
    std::fs::write(folder.join("test.yaml"), file("charts/serin/ci/alerts-test.yaml")).unwrap();
    let promtool = serin_bed::promtool(&mut |line| eprintln!("{line}")).unwrap();
    for args in
        [["check", "rules", "--lint-fatal", "alerts.yaml"].as_slice(), &["test", "rules", "test.yaml"]]
    {
        let output = Command::new(&promtool).current_dir(&folder).args(args).output().unwrap();
        let said = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
        assert!(output.status.success(), "{said}");
    }
    // What is installed is what was tested, with pages that exist.
    let all = chart_objects("full", &[]);
    let installed = one(&all, "PrometheusRule", "serin")["spec"].clone();
    let tested: Value =
        serde_saphyr::from_str(&rules.replace("RUNBOOKS", "https://wiki.example/serin")).unwrap();
    assert_eq!(installed, tested);
    // Without an address there is no link; all else is the same.
    let all = chart_objects("full", &["--set", "prometheusRule.runbookUrl="]);
    let unlinked = one(&all, "PrometheusRule", "serin")["spec"].clone();
    let links = |line: &&str| !line.contains("runbook_url");
    let wanted: Vec<_> = rules.lines().filter(links).collect();
    assert_eq!(unlinked, serde_saphyr::from_str::<Value>(&wanted.join("\n")).unwrap());
    let pages = file("docs/runbooks.md");
    let tests = file("charts/serin/ci/alerts-test.yaml");
    let alerts: Vec<_> = installed["groups"][0]["rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|rule| Some((rule["alert"].as_str()?, rule["annotations"]["runbook_url"].as_str()?)))
        .collect();
    assert!(alerts.len() > 5);
    for (alert, url) in alerts {
        let (_, anchor) = url.split_once('#').unwrap();
        assert_eq!(anchor, alert.to_lowercase());
        assert!(pages.contains(&format!("\n## {alert}\n")), "no page for {alert}");
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "{alert} is never seen to fire");
    }
}

fn tempfolder(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
