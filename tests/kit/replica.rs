//! One of several operators of a world: each has a connection, a log and a name of its own, and all have one lease.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use kube::core::ApiResource;
use serde_json::Value;

use crate::operator::Operator;
use crate::proxy::Proxy;
use crate::world::World;
use crate::{identity, manifests};

/// Name of the lease, as in `deploy/`.
pub const LEASE: &str = "serin";

/// One of them.
pub struct Replica {
    /// The process. First, so that it ends before its connection.
    pub operator: Operator,
    /// Between it and the apiserver.
    pub proxy: Proxy,
    /// Its pod's name.
    pub name: String,
}

impl Replica {
    /// Starts one. Its namespace must have the rights: [`grant`].
    pub async fn start(world: &World, name: &str, lease_seconds: u16) -> Self {
        let folder = world.folder().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let proxy = Proxy::start(identity::operator(world.cluster()).await, &folder).await;
        let mut launch = world.launch();
        proxy.kubeconfig().clone_into(&mut launch.kubeconfig);
        launch.log = folder.join("operator.log");
        launch.pod = Some(name.to_owned());
        launch.extra = flags(world, lease_seconds);
        launch.extra.push("--page-listen=127.0.0.1:0".to_owned());
        Self { operator: Operator::start(launch), proxy, name: name.to_owned() }
    }

    /// Whether a holder or a client is this one, in whichever of its lives.
    pub fn is(&self, identity: &str) -> bool {
        identity.contains(&format!("{}_", self.name))
    }

    /// What it says at a path, such as `/readyz`; `None` while it does not listen.
    pub async fn says(&self, path: &str) -> Option<(u16, String)> {
        asked(&self.operator.address()?, path).await
    }

    /// What a browser is told at a path of the page; `None` while it is not served.
    pub async fn shows(&self, path: &str) -> Option<(u16, String)> {
        asked(&self.operator.page()?, path).await
    }
}

async fn asked(address: &str, path: &str) -> Option<(u16, String)> {
    let answer = reqwest::get(format!("http://{address}{path}")).await.ok()?;
    let code = answer.status().as_u16();
    Some((code, answer.text().await.ok()?))
}

/// The flags of one that may be one of several.
pub fn flags(world: &World, lease_seconds: u16) -> Vec<String> {
    let seconds = lease_seconds.to_string();
    let flags = ["--leader-elect", "--lease-namespace", &world.namespace, "--lease-seconds", &seconds];
    flags.map(ToOwned::to_owned).to_vec()
}

/// The rights on the lease of `deploy/`, in the test's namespace.
pub async fn grant(world: &World) {
    for kind in ["Role", "RoleBinding"] {
        for mut object in manifests::of_kind("deploy", kind) {
            object["metadata"]["namespace"] = Value::Null;
            let gvk = kube::core::GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind);
            let api: Api<DynamicObject> =
                Api::namespaced_with(world.client.clone(), &world.namespace, &ApiResource::from_gvk(&gvk));
            let object: DynamicObject = serde_json::from_value(object).unwrap();
            api.create(&PostParams::default(), &object).await.unwrap();
        }
    }
}

/// Who holds the lease; nobody once it was given back.
pub async fn holder(world: &World) -> Option<String> {
    leases(world).get_opt(LEASE).await.unwrap()?.spec?.holder_identity
}

/// Returns when one of them holds the lease, and which: not `before`.
pub async fn leader(world: &World, replicas: &[Replica], before: Option<&str>, seconds: u64) -> usize {
    let limit = tokio::time::Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(holder) = holder(world).await.filter(|holder| Some(holder.as_str()) != before)
            && let Some(index) = replicas.iter().position(|replica| replica.is(&holder))
        {
            return index;
        }
        world.assert(tokio::time::Instant::now() < limit, &format!("a leader within {seconds} s"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The lease itself, for a person's hand.
pub fn leases(world: &World) -> Api<Lease> {
    Api::namespaced(world.client.clone(), &world.namespace)
}

/// Asserts that nothing that they asked for was refused to them, and that none panicked.
pub fn check(world: &World, replicas: &[Replica]) {
    for replica in replicas {
        let forbidden = replica.proxy.calls().all().into_iter().find(|call| call.status == 403);
        world.assert(
            forbidden.is_none(),
            &format!("{}: a permission is missing: {forbidden:?}", replica.name),
        );
        let log = replica.operator.log();
        let panicked = log.lines().find(|line| line.contains("panicked"));
        world.assert(panicked.is_none(), &format!("{} panicked: {panicked:?}", replica.name));
    }
    world.check_invariants();
}
