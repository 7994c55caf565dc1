//! Who the operator is: the ServiceAccount of `deploy/`, so that every test proves its permissions.

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Config};
use serde_json::json;

use crate::cluster::Cluster;
use crate::manifests;

/// How the operator reaches the apiserver; as an administrator while `deploy/` names no ServiceAccount.
pub async fn operator(cluster: &Cluster) -> Config {
    let Some((namespace, name)) = account() else { return cluster.admin() };
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client(), &namespace);
    let request: TokenRequest =
        serde_json::from_value(json!({"metadata": {}, "spec": {"audiences": [], "expirationSeconds": 7200}}))
            .unwrap();
    let made = accounts.create_token_request(&name, &PostParams::default(), &request).await.unwrap();
    cluster.bearer(made.status.unwrap().token.unwrap()).await
}

/// Namespace and name of the operator's ServiceAccount.
pub fn account() -> Option<(String, String)> {
    let account = manifests::of_kind("ServiceAccount").into_iter().next()?;
    let text = |field: &str| account["metadata"][field].as_str().map(ToOwned::to_owned);
    Some((text("namespace")?, text("name")?))
}
