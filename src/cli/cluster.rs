//! The cluster that a person's kubeconfig names.

use std::{fmt::Debug, path::PathBuf};

use kube::{
    Api, Client, Config, Resource,
    api::{ListParams, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{DeserializeGuard, NamespaceResourceScope},
};
use serde::de::DeserializeOwned;

use crate::Failure;

/// Who changed a field, as `kubectl get --show-managed-fields` shows it.
const MANAGER: &str = "kubectl-serin";
/// Objects of one page of a list.
const PAGE: u32 = 500;

/// Which cluster and namespace; as kubectl's own flags.
#[derive(clap::Args)]
pub struct Flags {
    /// Namespace; without it the context's own.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Context of the kubeconfig; without it the present one.
    #[arg(long)]
    context: Option<String>,
    /// Kubeconfig; without it `$KUBECONFIG`, then `~/.kube/config`, then the pod's own identity.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
}

/// A client and the namespace that is asked about.
pub struct Cluster {
    client: Client,
    pub namespace: String,
}

/// What a list gave.
pub struct Listed<K> {
    pub objects: Vec<K>,
    /// Names of those that do not fit the types of this version of serin.
    pub unreadable: Vec<String>,
}

impl Flags {
    /// Connects; nothing is sent yet.
    pub async fn connect(&self) -> Result<Cluster, Failure> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = match (&self.kubeconfig, &self.context) {
            (Some(file), _) => Config::from_custom_kubeconfig(Kubeconfig::read_from(file)?, &options).await?,
            (None, Some(_)) => Config::from_kubeconfig(&options).await?,
            (None, None) => Config::infer().await?,
        };
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        Ok(Cluster { client: Client::try_from(config)?, namespace })
    }
}

impl Cluster {
    /// An object by name; the error of one that is not there says so.
    pub async fn get<K>(&self, name: &str) -> Result<K, Failure>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let kind = K::kind(&());
        let namespace = &self.namespace;
        match Api::<K>::namespaced(self.client.clone(), namespace).get_opt(name).await {
            Ok(Some(object)) => Ok(object),
            Ok(None) => Err(format!("there is no {kind} {name} in namespace {namespace}").into()),
            Err(error) => Err(self.failed::<K>(name, &error)),
        }
    }

    /// Changes an object by a merge patch.
    pub async fn patch<K>(&self, name: &str, change: &serde_json::Value) -> Result<(), Failure>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let api = Api::<K>::namespaced(self.client.clone(), &self.namespace);
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patched = api.patch(name, &params, &Patch::Merge(change)).await;
        patched.map(|_| ()).map_err(|error| self.failed::<K>(name, &error))
    }

    fn failed<K: Resource<DynamicType = ()>>(&self, name: &str, error: &kube::Error) -> Failure {
        format!("{} {name} in namespace {}: {}", K::kind(&()), self.namespace, line(error)).into()
    }

    /// The objects of the namespace with these labels.
    pub async fn labelled<K>(&self, labels: &str) -> Result<Vec<K>, Failure>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        Ok(self.pages(self.guarded(), ListParams::default().labels(labels)).await?.objects)
    }

    /// All objects of the namespace. Those that this version of serin cannot read are left out.
    pub async fn list<K>(&self) -> Result<Vec<K>, Failure>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        Ok(self.pages(self.guarded(), ListParams::default()).await?.objects)
    }

    /// All objects of the namespace, or of every namespace, with the names of those that cannot be read.
    pub async fn survey<K>(&self, everywhere: bool) -> Result<Listed<K>, Failure>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let api = if everywhere { Api::all(self.client.clone()) } else { self.guarded() };
        self.pages(api, ListParams::default()).await
    }

    /// The objects of a kind in the namespace, as they are watched: one that cannot be read does not end the watch.
    pub fn guarded<K>(&self) -> Api<DeserializeGuard<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn pages<K>(&self, api: Api<DeserializeGuard<K>>, wanted: ListParams) -> Result<Listed<K>, Failure>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let mut all = Listed { objects: Vec::new(), unreadable: Vec::new() };
        let mut page = wanted.limit(PAGE);
        loop {
            let list = api.list(&page).await.map_err(|error| {
                let place =
                    api.namespace().map_or(String::new(), |namespace| format!(" in namespace {namespace}"));
                format!("{}{place}: {}", K::plural(&()), line(&error))
            })?;
            for DeserializeGuard(read) in list.items {
                match read {
                    Ok(object) => all.objects.push(object),
                    Err(broken) => all.unreadable.push(broken.metadata.name.unwrap_or_default()),
                }
            }
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(all),
            }
        }
    }
}

/// What the apiserver said, or what hindered us from asking.
pub fn line(error: &kube::Error) -> String {
    match error {
        // The apiserver knows no such resource, which is another 404 than that of an object.
        kube::Error::Api(status) if status.code == 404 => {
            "the cluster does not know it; are Serin's CRDs installed?".to_owned()
        }
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Runs a question to a cluster.
pub fn block_on<T>(question: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // kube's client panics without a default; a second one would be as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(question)
}
