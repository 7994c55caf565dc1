//! The rights in `deploy/` are exactly those that are used.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use serin_api::conditions::Type;
use serin_api::{IntOrString, ModelDeployment, Promotion, RunPhase, RunResult, labels};
use serin_engine::revision;
use serin_tests::history::Now;
use serin_tests::kubelet::image;
use serin_tests::operator::Operator;
use serin_tests::replica;
use serin_tests::runs::{POLICY, policy};
use serin_tests::{
    Behaviour, Call, Change as _, Fate, RUN, RunTold as _, Told as _, Trouble, Vary as _, World, fixtures,
    identity, manifests, run, wine,
};

use crate::shadow::shadow;

type Rule = (String, String, String);

/// Granted but never seen in a request: only an admission plugin asks for it, on behalf of a request of ours.
fn asked_by_admission(rule: &Rule) -> bool {
    rule.1.ends_with("/finalizers") && rule.2 == "update"
}

fn granted() -> BTreeSet<Rule> {
    let texts = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|text| text.as_str())
            .map(ToOwned::to_owned)
            .collect()
    };
    let mut rules = BTreeSet::new();
    for role in
        manifests::of_kind("deploy", "ClusterRole").iter().chain(&manifests::of_kind("deploy", "Role"))
    {
        for rule in role["rules"].as_array().into_iter().flatten() {
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    let verbs = texts(&rule["verbs"]).into_iter();
                    rules.extend(verbs.map(|verb| (group.clone(), resource.clone(), verb)));
                }
            }
        }
    }
    rules
}

fn used(calls: &[Call]) -> BTreeSet<Rule> {
    // Discovery is everybody's.
    let resources = calls.iter().filter(|call| !call.resource.starts_with('/'));
    resources.map(Call::rule).map(|(group, resource, verb)| (group, resource, verb.to_owned())).collect()
}

fn metrics(model: &ModelDeployment) -> bool {
    model.condition(Type::MetricsAvailable).0 == "True"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::too_many_lines, reason = "one call of each kind after the other")]
async fn no_right_is_missing_and_none_is_unused() {
    assert!(identity::account().is_some(), "deploy/ names the operator's ServiceAccount");
    let mut world = World::without_operator().await;
    let now = DeleteParams::default();

    // Names taken by strangers: what is in the way is looked at, by a read of its own.
    let services: Api<Service> = Api::namespaced(world.client.clone(), &world.namespace);
    let deployments: Api<Deployment> = Api::namespaced(world.client.clone(), &world.namespace);
    let service = json!({"metadata": {"name": "wine-a"}, "spec": {"ports": [{"port": 1}]}});
    services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
    let route: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "pear"}, "spec": {},
    }))
    .unwrap();
    world.routes().create(&PostParams::default(), &route).await.unwrap();
    let plum = world.apply(&wine("v1").named("plum")).await;
    let id = fixtures::revision(&plum).id;
    let child = revision::child_name("plum", plum.metadata.uid.as_ref().unwrap(), &id);
    let deployment = json!({
        "metadata": {"name": child},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "theirs"}},
            "template": {"metadata": {"labels": {"app": "theirs"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    });
    deployments.create(&PostParams::default(), &serde_json::from_value(deployment).unwrap()).await.unwrap();
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(world.client.clone(), &world.namespace);
    let budget =
        json!({"metadata": {"name": "lime"}, "spec": {"selector": {"matchLabels": {"app": "theirs"}}}});
    budgets.create(&PostParams::default(), &serde_json::from_value(budget).unwrap()).await.unwrap();
    let drained = |pods| {
        let mut wanted = wine("v1").named("lime");
        wanted.spec.availability.max_unavailable = pods;
        wanted
    };
    world.apply(&drained(Some(IntOrString::Int(1)))).await;
    world.apply(&wine("v1")).await;
    world.apply(&wine("v1").named("pear")).await;
    replica::grant(&world).await;
    let mut launch = world.launch();
    launch.extra = replica::flags(&world, 15);
    launch.pod = Some("one".to_owned());
    world.operator = Some(Operator::start(launch.clone()));
    // Through the same proxy: who stands by uses the same rights.
    world.until("it leads", 20, |_| world.operator().log().contains("leading")).await;
    launch.log.set_extension("second");
    launch.pod = Some("two".to_owned());
    let _second = Operator::start(launch);
    let in_the_way = [
        ("wine", "services"),
        ("pear", "httproutes"),
        ("plum", "deployments"),
        ("lime", "poddisruptionbudgets"),
    ];
    for (name, resource) in in_the_way {
        let taken = |m: &ModelDeployment| m.condition(Type::Stalled).1 == "NameTaken";
        world.until_model(name, &format!("{name} is in the way of one of {resource}"), 60, taken).await;
    }
    services.delete("wine-a", &now).await.unwrap();
    world.routes().delete("pear", &now).await.unwrap();
    deployments.delete(&child, &now).await.unwrap();
    budgets.delete("lime", &now).await.unwrap();

    // A promotion and a rollback behind a gateway, and one without.
    world.until_model("wine", "v1 serves", 90, |m| m.serves("v1")).await;
    world.apply(&wine("v2")).await;
    world.until_model("wine", "v2 serves", 60, |m| m.serves("v2")).await;
    world.kubelet.script("wine:v3", Behaviour::CrashLoop(5));
    world.apply(&wine("v3")).await;
    world.until_model("wine", "v3 is rejected", 60, |m| m.rejected("v3")).await;
    let quiet = |version| wine(version).named("fig").without_gateway();
    world.apply(&quiet("v1")).await;
    world.until_model("fig", "v1 serves", 60, |m| m.serves("v1")).await;
    world.apply(&quiet("v2")).await;
    world.until_model("fig", "v2 serves", 60, |m| m.serves("v2")).await;

    // A shadow, for which the gateway is asked what it can do.
    world.gateway_can(&["HTTPRouteRequestMirror"]).await;
    let shadow = |version| shadow(version, 100, Promotion::OnEvidence).named("kaki");
    world.apply(&shadow("v1")).await;
    world.until_model("kaki", "v1 serves", 60, |m| m.serves("v1")).await;
    world.apply(&shadow("v2")).await;
    world.until_model("kaki", "v2 serves", 60, |m| m.serves("v2")).await;

    // A budget that comes, changes and goes.
    world.until_model("lime", "v1 serves", 90, |m| m.serves("v1")).await;
    for pods in [Some(IntOrString::Int(2)), None] {
        let there = pods.is_some();
        world.apply(&drained(pods)).await;
        let as_wanted = |now: &Now| match now.get("PodDisruptionBudget", "lime") {
            Some(budget) => there && budget["spec"]["maxUnavailable"] == 2,
            None => !there,
        };
        world.until("the budget is as wanted", 30, as_wanted).await;
    }

    // The same Event once more is a PATCH of the first one.
    world.canary(&quiet("v4").steps(&[(25, 600)])).await;
    for _ in 0..2 {
        world.prometheus.trouble(Trouble::ServerError);
        world.until_model("fig", "the metrics are away", 20, |m| !metrics(m)).await;
        world.prometheus.trouble(Trouble::None);
        world.until_model("fig", "the metrics are back", 20, metrics).await;
    }
    // A training of two pods whose Job somebody deletes: looked for, made again, judged, recorded, cleared away.
    world.kubelet.fate(image("trainer").number(1), Fate::Runs);
    world.train(&run().nodes(2).with("/retention", json!({"jobsSeconds": 0}))).await;
    world.until_run(RUN, "it runs", 60, |run| run.phase() == Some(RunPhase::Running)).await;
    world.jobs().delete("fit-a1", &DeleteParams::background()).await.unwrap();
    let trained = world.until_run(RUN, "it has ended", 60, |run| run.end().is_some()).await;
    world.assert(trained.ended(RunResult::Succeeded), &format!("{:?}", trained.end()));
    world.until("its Jobs are cleared away", 30, |now| now.jobs_of(RUN).is_empty()).await;
    world.until("and its Services", 30, |now| now.get("Service", "fit-a2").is_none()).await;
    // A policy that looks at its data and starts a run, because a person says so.
    world.kubelet.fate(image("trainer"), Fate::WELL);
    world.retrain(&policy(&json!([{"name": "stale", "maxAge": {"seconds": 60}}]))).await;
    let by_hand = json!({"metadata": {"annotations": {labels::RETRAIN_NOW: "now"}}});
    world.policies().patch(POLICY, &PatchParams::default(), &Patch::Merge(&by_hand)).await.unwrap();
    let over = |now: &Now| {
        now.policy(POLICY)
            .is_some_and(|p| p.status.is_some_and(|s| s.runs.iter().any(|r| r.version.is_some())))
    };
    world.until("the run of a policy has ended", 60, over).await;
    let no_looks =
        |now: &Now| now.all("Job").all(|job| job["metadata"]["labels"][labels::RETRAIN_UID].is_null());
    world.until("the Job of its look is cleared away", 30, no_looks).await;
    world.settled(Duration::from_secs(3)).await;

    let (granted, used) = (granted(), used(&world.proxy.calls().all()));
    let missing: Vec<_> = used.difference(&granted).collect();
    world.assert(missing.is_empty(), &format!("used and not granted: {missing:?}"));
    let unused: Vec<_> = granted.difference(&used).filter(|rule| !asked_by_admission(rule)).collect();
    world.assert(unused.is_empty(), &format!("granted and not used: {unused:?}"));
    world.check_invariants();
}

#[test]
fn secrets_are_out_of_reach() {
    let reach: Vec<_> =
        granted().into_iter().filter(|(_, resource, _)| resource.contains("secret")).collect();
    assert!(reach.is_empty(), "{reach:?}");
    let wild: Vec<_> =
        granted().into_iter().filter(|rule| [&rule.0, &rule.1, &rule.2].contains(&&"*".to_owned())).collect();
    assert!(wild.is_empty(), "{wild:?}");
}
