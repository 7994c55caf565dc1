//! Who the operator is: the ServiceAccount of `deploy/`, so that every test proves its permissions.

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Config};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::manifests;

/// How the operator reaches the apiserver.
pub async fn operator(cluster: &Cluster) -> Config {
    cluster.bearer(token(cluster).await).await
}

/// A kubeconfig that leads the operator to the apiserver without a proxy in between.
pub async fn kubeconfig(cluster: &Cluster) -> String {
    let ca = cluster.bed().ca_file().unwrap();
    let server = json!({"server": cluster.bed().apiserver_url(), "certificate-authority": ca});
    kubeconfig_of(&server, &json!({"token": token(cluster).await}))
}

/// A kubeconfig of one server and one user, as the fields of each say.
pub(crate) fn kubeconfig_of(server: &Value, user: &Value) -> String {
    let name = "it";
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": server}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    })
    .to_string()
}

/// A token of the operator's ServiceAccount.
async fn token(cluster: &Cluster) -> String {
    let (namespace, name) = account().unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client(), &namespace);
    let request: TokenRequest =
        serde_json::from_value(json!({"metadata": {}, "spec": {"audiences": [], "expirationSeconds": 7200}}))
            .unwrap();
    let made = accounts.create_token_request(&name, &PostParams::default(), &request).await.unwrap();
    made.status.unwrap().token.unwrap()
}

/// Namespace and name of the operator's ServiceAccount.
pub fn account() -> Option<(String, String)> {
    let account = manifests::of_kind("deploy", "ServiceAccount").into_iter().next()?;
    let text = |field: &str| account["metadata"][field].as_str().map(ToOwned::to_owned);
    Some((text("namespace")?, text("name")?))
}
