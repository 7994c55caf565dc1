//! What is built: the parts that users and clusters rely on.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail like tests")]

use serde_json::{Value, json};
use serin_api::{ModelDeploymentSpec, Slot};
use serin_engine::{
    Revision, Weights,
    objects::{self, Owner},
    plan::{Entry, Journal, Mirror},
    revision,
};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn spec(uri: &str, extra: &Value) -> ModelDeploymentSpec {
    let mut v = json!({
        "model": {"version": "v7", "artifact": {"uri": uri, "digest": DIGEST}},
        "server": {"image": "registry.example/wine@sha256:00"},
    });
    for (k, x) in extra.as_object().unwrap() {
        v[k] = x.clone();
    }
    serde_json::from_value(v).unwrap()
}

fn owner(spec: &ModelDeploymentSpec) -> Owner<'_> {
    Owner { name: "wine", namespace: "cellar", uid: "uid-1", spec }
}

fn made(spec: &ModelDeploymentSpec) -> Revision {
    Revision::of(spec, spec.model.resolved().unwrap())
}

fn deployment(spec: &ModelDeploymentSpec) -> Value {
    let r = made(spec);
    objects::deployment(&owner(spec), &r.id, &r.spec, Slot::B, 3, "agent:1").unwrap()
}

#[test]
fn one_budget_is_for_the_pods_of_all_versions() {
    let spec = spec("https://models.example/wine.bin", &json!({"availability": {"maxUnavailable": "25%"}}));
    let wanted = spec.availability.max_unavailable.clone().unwrap();
    let budget = objects::budget(&owner(&spec), &wanted, Some("uid-2"));
    assert_eq!(budget["spec"]["maxUnavailable"], "25%");
    assert_eq!(budget["metadata"]["uid"], "uid-2", "a namesake is never touched");
    let selected = budget["spec"]["selector"]["matchLabels"].as_object().unwrap();
    let pod = &deployment(&spec)["spec"]["template"]["metadata"]["labels"];
    assert!(
        !selected.is_empty() && selected.iter().all(|(label, value)| pod[label] == *value),
        "{selected:?}"
    );
    let other = objects::budget(&Owner { uid: "uid-9", ..owner(&spec) }, &wanted, None);
    assert_ne!(other["spec"]["selector"], budget["spec"]["selector"]);
}

#[test]
fn the_model_is_verified_before_the_server_starts() {
    let d = deployment(&spec("https://models.example/wine.bin", &json!({})));
    let pod = &d["spec"]["template"]["spec"];
    let fetch = &pod["initContainers"][0];
    assert_eq!(fetch["image"], "agent:1");
    let args: Vec<&str> = fetch["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(
        args,
        [
            "fetch",
            "--uri",
            "https://models.example/wine.bin",
            "--digest",
            DIGEST,
            "--output",
            "/mnt/models/model"
        ]
    );
    assert_eq!(pod["containers"][0]["volumeMounts"][0]["readOnly"], true);
    assert_eq!(pod["automountServiceAccountToken"], false);
}

#[test]
fn a_claim_is_mounted_read_only_and_read_as_a_file() {
    let d = deployment(&spec("pvc://models/wine/v3.bin", &json!({})));
    let pod = &d["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][1]["persistentVolumeClaim"], json!({"claimName": "models", "readOnly": true}));
    assert_eq!(pod["initContainers"][0]["args"][2], "file:///mnt/claim/wine/v3.bin");
}

#[test]
fn no_container_may_escalate() {
    let d = deployment(&spec("https://m.example/x", &json!({})));
    let pod = &d["spec"]["template"]["spec"];
    for c in [&pod["initContainers"][0], &pod["containers"][0]] {
        assert_eq!(c["securityContext"]["allowPrivilegeEscalation"], false);
        assert_eq!(c["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    }
}

#[test]
fn pods_say_where_prometheus_finds_them() {
    let extra =
        json!({"server": {"image": "x", "ports": {"http": 9000, "metrics": 9001, "metricsPath": "/m"}}});
    let d = deployment(&spec("https://m.example/x", &extra));
    assert_eq!(
        d["spec"]["template"]["metadata"]["annotations"],
        json!({"prometheus.io/scrape": "true", "prometheus.io/port": "9001", "prometheus.io/path": "/m"})
    );
    let ports = &d["spec"]["template"]["spec"]["containers"][0]["ports"];
    assert_eq!(ports[0]["containerPort"], 9000);
}

#[test]
fn pods_of_a_version_keep_apart_where_they_can() {
    let d = deployment(&spec("https://m.example/x", &json!({})));
    let spread = &d["spec"]["template"]["spec"]["topologySpreadConstraints"];
    assert_eq!(spread[0]["topologyKey"], "kubernetes.io/hostname");
    for constraint in spread.as_array().unwrap() {
        assert_eq!(constraint["whenUnsatisfiable"], "ScheduleAnyway");
        assert_eq!(
            constraint["labelSelector"], d["spec"]["selector"],
            "a candidate beside the stable version's"
        );
    }
}

#[test]
fn readiness_is_asked_for_unless_the_user_says_how() {
    let probe = |extra: &Value| {
        let d = deployment(&spec("https://m.example/x", extra));
        d["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["path"].clone()
    };
    assert_eq!(probe(&json!({})), "/readyz");
    assert_eq!(probe(&json!({"server": {"image": "x", "probes": {"readiness": {"path": "/ok"}}}})), "/ok");
    assert_eq!(
        probe(&json!({"server": {"image": "x", "probes": {"liveness": {"path": "/ok"}}}})),
        Value::Null
    );
}

#[test]
fn a_preset_knows_ports_probes_and_how_its_server_ends() {
    let server = |extra: &Value| {
        let d = deployment(&spec("https://m.example/x", &json!({"server": extra})));
        let scraped = d["spec"]["template"]["metadata"]["annotations"].clone();
        (scraped, d["spec"]["template"]["spec"]["containers"][0].clone())
    };
    let (scraped, triton) = server(&json!({"image": "x", "preset": "Triton"}));
    assert_eq!(scraped["prometheus.io/port"], "8002");
    assert_eq!(
        (&triton["ports"][0]["containerPort"], &triton["ports"][1]["containerPort"]),
        (&json!(8000), &json!(8002))
    );
    assert_eq!(triton["readinessProbe"]["httpGet"]["path"], "/v2/health/ready");
    assert_eq!(triton["livenessProbe"]["httpGet"]["path"], "/v2/health/live");
    assert_eq!(triton["lifecycle"]["preStop"]["sleep"]["seconds"], 5);

    // What it was doing when it is told to end would be cut: the pod waits for it to end by itself.
    let own = json!({"http": 9000});
    let (scraped, vllm) = server(
        &json!({"image": "x", "preset": "vLLM", "ports": own, "probes": {"readiness": {"path": "/ok"}}}),
    );
    assert_eq!(vllm["lifecycle"]["preStop"]["sleep"]["seconds"], 30);
    assert_eq!(
        (&scraped["prometheus.io/port"], &vllm["ports"][0]["containerPort"]),
        (&json!("9000"), &json!(9000))
    );
    assert_eq!(vllm["readinessProbe"]["httpGet"]["path"], "/ok");
    assert_eq!(vllm["startupProbe"]["httpGet"]["path"], "/health");
}

#[test]
fn a_word_for_people_is_no_new_revision_and_everything_else_is() {
    let base = spec("https://m.example/x", &json!({}));
    let mut renamed = base.clone();
    renamed.model.version = Some("v8".to_owned());
    assert_eq!(made(&base).id, made(&renamed).id);
    let mut scaled = base.clone();
    scaled.replicas = 9;
    assert_eq!(made(&base).id, made(&scaled).id);
    let mut other = base.clone();
    other.server.args.push("--verbose".to_owned());
    assert_ne!(made(&base).id, made(&other).id);
}

/// The hash is part of the product: if this fails, an upgrade of the operator restarts every model server.
#[test]
fn the_revision_of_a_known_spec_never_changes() {
    assert_eq!(made(&spec("https://m.example/x", &json!({}))).id, KNOWN);
    let named = json!({
        "server": {"image": "registry.example/wine@sha256:00", "ports": {"http": 8080, "metricsPath": "/metrics"}},
    });
    assert_eq!(made(&spec("https://m.example/x", &named)).id, KNOWN);
    assert_eq!(revision::child_name("wine", "uid-1", KNOWN).len(), "wine-".len() + 10);
}
const KNOWN: &str = "r1-9bc4e424bf";

#[test]
fn the_route_always_names_both_slots() {
    let extra = json!({"traffic": {"gateway": {"parentRefs": [{"name": "gw", "namespace": "infra"}]}}});
    let spec = spec("https://m.example/x", &extra);
    let gateway = spec.traffic.gateway.clone().unwrap();
    let journal = Journal::of("r1-x", Entry::Step(2));
    let r = objects::route(&owner(&spec), &gateway, Weights::to(Slot::B, 25), &journal, Some("route-uid"));
    let backends = &r["spec"]["rules"][0]["backendRefs"];
    assert_eq!((&backends[0]["name"], &backends[0]["weight"]), (&json!("wine-a"), &json!(75)));
    assert_eq!((&backends[1]["name"], &backends[1]["weight"]), (&json!("wine-b"), &json!(25)));
    assert_eq!(r["metadata"]["uid"], "route-uid");
    assert_eq!(r["metadata"]["annotations"]["serin.dev/journal"], "r1-x/2");
    assert_eq!(Journal::parse("r1-x/2"), Some(journal));
}

#[test]
fn copies_are_a_filter_of_the_rule_for_everybody() {
    let testers = json!({"header": "X-Tester", "value": "yes"});
    let gateway = json!({"parentRefs": [{"name": "gw"}], "testers": testers});
    let spec = spec("https://m.example/x", &json!({"traffic": {"gateway": gateway}}));
    let gateway = spec.traffic.gateway.clone().unwrap();
    let journal = Journal::of("r1-x", Entry::Step(1));
    let rules = |percent, testers| {
        let mirror = Some(Mirror { to: Slot::B, percent });
        let weights = Weights { mirror, testers, ..Weights::to(Slot::B, 0) };
        objects::route(&owner(&spec), &gateway, weights, &journal, None)["spec"]["rules"].clone()
    };
    let part = rules(25, Some(Slot::B));
    let to = json!({"group": "", "kind": "Service", "name": "wine-b", "port": 80});
    let mirror = json!({"backendRef": to, "percent": 25});
    assert_eq!(part[0]["filters"], json!([{"type": "RequestMirror", "requestMirror": mirror}]));
    assert_eq!(part[0]["backendRefs"][1]["weight"], 0);
    assert_eq!(part[1]["filters"], Value::Null, "testers have it for themselves");
    // All of them: without a percentage, which fewer gateways know.
    let all = rules(100, None);
    assert_eq!(all[0]["filters"][0]["requestMirror"], json!({"backendRef": to}));
    assert!(
        Weights { mirror: Some(Mirror { to: Slot::B, percent: 1 }), ..Weights::to(Slot::A, 100) }
            .reaches(Slot::B)
    );
}

#[test]
fn testers_have_a_rule_while_there_is_something_to_test() {
    let gateway = json!({
        "parentRefs": [{"name": "gw"}], "testers": {"header": "X-Tester", "value": "yes"},
    });
    let spec = spec("https://m.example/x", &json!({"traffic": {"gateway": gateway}}));
    let gateway = spec.traffic.gateway.clone().unwrap();
    let journal = Journal::of("r1-x", Entry::Stable);
    let rules = |weights| {
        let route = objects::route(&owner(&spec), &gateway, weights, &journal, None);
        route["spec"]["rules"].as_array().unwrap().clone()
    };
    assert_eq!(rules(Weights::to(Slot::A, 100)).len(), 1);
    let rules = rules(Weights { testers: Some(Slot::B), ..Weights::to(Slot::B, 0) });
    assert_eq!(rules[0]["backendRefs"][1]["weight"], 0);
    let header = json!([{"type": "Exact", "name": "X-Tester", "value": "yes"}]);
    assert_eq!(rules[1]["matches"][0]["headers"], header);
    assert_eq!(rules[1]["backendRefs"].as_array().unwrap().len(), 1);
    assert_eq!(rules[1]["backendRefs"][0]["name"], "wine-b");
}

#[test]
fn sessions_are_asked_for_where_that_can_be_written() {
    let rules_of = |session: serde_json::Value, served: Option<bool>, weight: i32| {
        let gateway = json!({"parentRefs": [{"name": "gw"}], "sessionPersistence": session});
        let spec = spec("https://m.example/x", &json!({"traffic": {"gateway": gateway}}));
        let gateway = objects::route::served(spec.traffic.gateway.as_ref().unwrap(), served);
        let journal = Journal::of("r1-x", Entry::Step(1));
        objects::route(&owner(&spec), &gateway, Weights::to(Slot::B, weight), &journal, None)["spec"]["rules"]
            .clone()
    };
    let rules = |session, served| rules_of(session, served, 25);
    let session =
        json!({"type": "Cookie", "sessionName": "serin-r1-x", "cookieConfig": {"lifetimeType": "Session"}});
    assert_eq!(rules(json!({}), Some(true))[0]["sessionPersistence"], session);
    for weight in [0, 100] {
        let alone = rules_of(json!({}), Some(true), weight);
        assert_eq!(alone[0].get("sessionPersistence"), None, "nobody is kept at a version without traffic");
    }
    let lasting = json!({
        "type": "Cookie", "sessionName": "wine-r1-x", "absoluteTimeout": "8760h",
        "cookieConfig": {"lifetimeType": "Permanent"},
    });
    let year = json!({"sessionName": "wine", "absoluteTimeoutSeconds": 31_536_000});
    assert_eq!(rules(year, Some(true))[0]["sessionPersistence"], lasting);
    for (seconds, text) in [(1, "1s"), (3661, "1h1m1s"), (120, "2m")] {
        let rules = rules(json!({"absoluteTimeoutSeconds": seconds}), Some(true));
        assert_eq!(rules[0]["sessionPersistence"]["absoluteTimeout"], text);
    }
    for served in [Some(false), None] {
        let rules = rules(json!({}), served);
        assert!(rules.as_array().unwrap().iter().all(|rule| rule.get("sessionPersistence").is_none()));
    }
}

#[test]
fn without_a_gateway_the_selector_is_the_switch() {
    let spec = spec("https://m.example/x", &json!({}));
    let journal = Journal::of("r1-x", Entry::Stable);
    let selector = |w| objects::ratio_service(&owner(&spec), w, &journal, None)["spec"]["selector"].clone();
    assert_eq!(selector(Weights::to(Slot::A, 100))["serin.dev/slot"], "a");
    assert_eq!(selector(Weights::to(Slot::B, 100))["serin.dev/slot"], "b");
    assert_eq!(selector(Weights::to(Slot::B, 25)).get("serin.dev/slot"), None);
}
