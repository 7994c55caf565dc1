//! Who the operator is: the ServiceAccount of `deploy/`, so that every test proves its permissions.

use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Config};
use serde_json::json;

use crate::cluster::Cluster;
use crate::manifests;

/// How the operator reaches the apiserver.
pub async fn operator(cluster: &Cluster) -> Config {
    cluster.bearer(token(cluster).await).await
}

/// A kubeconfig that leads the operator to the apiserver without a proxy in between.
pub async fn kubeconfig(cluster: &Cluster) -> String {
    let (server, token) = (cluster.bed().apiserver_url(), token(cluster).await);
    let ca = cluster.bed().ca_file().unwrap();
    format!(
        "\
apiVersion: v1
kind: Config
clusters: [{{name: bed, cluster: {{server: \"{server}\", certificate-authority: \"{}\"}}}}]
users: [{{name: serin, user: {{token: \"{token}\"}}}}]
contexts: [{{name: bed, context: {{cluster: bed, user: serin}}}}]
current-context: bed
",
        ca.display()
    )
}

/// A token of the operator's ServiceAccount.
async fn token(cluster: &Cluster) -> String {
    let (namespace, name) = account().unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client(), &namespace);
    let request: TokenRequest =
        serde_json::from_value(json!({"metadata": {}, "spec": {"audiences": [], "expirationSeconds": 7200}}))
            .unwrap();
    // An apiserver under load drops connections while it shakes hands; that is not what any test is about.
    let deadline = Instant::now() + Duration::from_secs(30);
    let made = loop {
        match accounts.create_token_request(&name, &PostParams::default(), &request).await {
            Err(kube::Error::Service(error)) if Instant::now() < deadline => {
                eprintln!("token: {error}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            made => break made.unwrap(),
        }
    };
    made.status.unwrap().token.unwrap()
}

/// Namespace and name of the operator's ServiceAccount.
pub fn account() -> Option<(String, String)> {
    let account = manifests::of_kind("ServiceAccount").into_iter().next()?;
    let text = |field: &str| account["metadata"][field].as_str().map(ToOwned::to_owned);
    Some((text("namespace")?, text("name")?))
}
