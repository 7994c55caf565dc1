//! `deploy/admission.yaml`: who may not create pods cannot have Serin create them. Every test of this ring runs under it, so those of
//! policies show that the operator may still start runs.

use std::time::{Duration, Instant};

use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use serin_tests::runs::{POLICY, policy};
use serin_tests::{NAME, World, run, wine};

/// A person of a namespace, who may write Serin's objects there.
const WRITER: &str = "writer@example.com";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_create_pods_cannot_have_serin_create_them() {
    let world = World::without_operator().await;
    let serins = json!({"apiGroups": ["serin.dev"], "resources": ["*"], "verbs": ["create", "get", "patch", "update"]});
    allow(&world, "objects", &serins).await;
    let writer = Person::new(&world);
    let objects = [
        ("modeldeployments", NAME, serde_json::to_value(wine("v1")).unwrap()),
        ("trainingruns", "wine-17", { serde_json::to_value(run()).unwrap() }),
        (
            "retrainpolicies",
            POLICY,
            serde_json::to_value(policy(&json!([{"name": "stale", "maxAge": {"seconds": 60}}]))).unwrap(),
        ),
    ];
    // A right takes a moment to be known, and so does the policy.
    for (plural, _, object) in &objects {
        let refused = writer
            .until(plural, object, |said| said.as_ref().err().is_some_and(|e| e.contains("pods")))
            .await;
        let said = refused.unwrap_err();
        let wanted = format!(
            "{WRITER} may not create pods in {}, which Serin would do for this object",
            world.namespace
        );
        assert!(said.contains(&wanted), "{plural}: {said}");
    }

    // The same objects by somebody who may; then the writer gives an order, which starts nothing that the spec does not say.
    world.apply(&wine("v1")).await;
    let order = json!({"metadata": {"annotations": {"serin.dev/abort": "r1-0123456789"}}});
    writer.patch("modeldeployments", NAME, &order).await.unwrap();
    let other = json!({"spec": {"replicas": 7}});
    let said = writer.patch("modeldeployments", NAME, &other).await.unwrap_err();
    assert!(said.contains("may not create pods"), "{said}");

    let pods = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]});
    allow(&world, "pods", &pods).await;
    for (plural, _, object) in &objects {
        writer.until(plural, object, Result::is_ok).await.unwrap();
    }
    writer.patch("modeldeployments", NAME, &other).await.unwrap();
}

async fn allow(world: &World, name: &str, rule: &Value) {
    let roles: Api<Role> = Api::namespaced(world.client.clone(), &world.namespace);
    let bindings: Api<RoleBinding> = Api::namespaced(world.client.clone(), &world.namespace);
    let role = json!({"metadata": {"name": name}, "rules": [rule]});
    roles.create(&PostParams::default(), &serde_json::from_value(role).unwrap()).await.unwrap();
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": WRITER}],
    });
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
}

/// Somebody who is no administrator.
struct Person {
    client: Client,
    namespace: String,
}

impl Person {
    fn new(world: &World) -> Self {
        let mut config = world.cluster().admin();
        config.auth_info.impersonate = Some(WRITER.to_owned());
        Self { client: Client::try_from(config).unwrap(), namespace: world.namespace.clone() }
    }

    fn path(&self, plural: &str) -> String {
        format!("/apis/serin.dev/v1alpha1/namespaces/{}/{plural}", self.namespace)
    }

    /// Tries to create `object`, without keeping it, until the answer is `wanted`: what was said last.
    async fn until(
        &self,
        plural: &str,
        object: &Value,
        wanted: impl Fn(&Result<(), String>) -> bool,
    ) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut object = object.clone();
        object["metadata"]["name"] = "tried".into();
        loop {
            let params = PostParams { dry_run: true, ..PostParams::default() };
            let request = kube::core::Request::new(self.path(plural))
                .create(&params, serde_json::to_vec(&object).unwrap())
                .unwrap();
            let said = self.client.request::<Value>(request).await.map(drop).map_err(|e| e.to_string());
            if wanted(&said) || Instant::now() > deadline {
                return said;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn patch(&self, plural: &str, name: &str, change: &Value) -> Result<(), String> {
        let request = kube::core::Request::new(self.path(plural))
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .unwrap();
        self.client.request::<Value>(request).await.map(drop).map_err(|e| e.to_string())
    }
}
