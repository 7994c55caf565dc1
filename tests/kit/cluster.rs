//! The one control plane that all tests share. It is brought up by whoever needs it first and left up.

use std::path::{Path, PathBuf};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serin_bed::{Bed, Kind, Options};
use tokio::sync::OnceCell;

use crate::{collector, leftovers, manifests, operator};

/// The bed's name, unless the environment says otherwise: two checkouts whose definitions differ need one each.
const BED: &str = "serin-tests";
/// Variable that names another bed.
const BED_VARIABLE: &str = "SERIN_TESTS_BED";

/// The bed's own range has 254 addresses for Services; tests in a row, and a thousand ModelDeployments, need more.
const MORE_ADDRESSES: &str = "\
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: serin-tests}
spec: {cidrs: [10.128.0.0/16]}
";

/// A control plane with Serin's CRDs and permissions, without Serin.
pub struct Cluster {
    bed: Bed,
    kubeconfig: Kubeconfig,
    config: Config,
}

/// The control plane, brought up if need be.
pub async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER.get_or_init(Cluster::up).await
}

impl Cluster {
    async fn up() -> Self {
        // Only the first wins; it is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let bed = tokio::task::spawn_blocking(|| {
            let name = std::env::var(BED_VARIABLE).unwrap_or_else(|_| BED.to_owned());
            let options = Options { name, kind: Kind::ControlPlane, kubeconfig: None };
            operator::build();
            Bed::up(&options, &mut |line| eprintln!("bed: {line}")).unwrap()
        });
        let bed = bed.await.unwrap();
        let kubeconfig = Kubeconfig::read_from(bed.kubeconfig()).unwrap();
        let config = config(kubeconfig.clone()).await;
        let cluster = Self { bed, kubeconfig, config };
        manifests::apply(&cluster.bed, &crd()).await;
        manifests::apply(&cluster.bed, &manifests::permissions()).await;
        manifests::apply(&cluster.bed, &manifests::file("deploy/admission.yaml")).await;
        manifests::apply(&cluster.bed, MORE_ADDRESSES).await;
        manifests::wait_for_crds(&cluster.bed).await;
        collector::wait_for_kinds(&cluster.client()).await;
        leftovers::sweep(&cluster.client()).await;
        cluster
    }

    /// An administrator's client on the present runtime.
    pub fn client(&self) -> Client {
        Client::try_from(self.config.clone()).unwrap()
    }

    /// How an administrator reaches the apiserver.
    pub fn admin(&self) -> Config {
        self.config.clone()
    }

    /// How the bearer of `token` reaches it.
    pub async fn bearer(&self, token: String) -> Config {
        let mut kubeconfig = self.kubeconfig.clone();
        for user in &mut kubeconfig.auth_infos {
            user.auth_info =
                Some(kube::config::AuthInfo { token: Some(token.clone().into()), ..Default::default() });
        }
        config(kubeconfig).await
    }

    /// Runs something to its end from where nothing can be awaited: on a thread and a runtime of its own.
    pub fn finish<F: Future<Output = ()>>(&self, what: impl FnOnce(Client) -> F + Send) {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { what(self.client()).await });
        };
        std::thread::scope(|scope| scope.spawn(run).join()).unwrap();
    }

    /// The bed itself.
    pub fn bed(&self) -> &Bed {
        &self.bed
    }
}

/// Without retries: an eviction that is refused for now is answered with 429, and a test wants to hear it.
async fn config(kubeconfig: Kubeconfig) -> Config {
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.default_retry = false;
    config
}

/// The definitions that users install.
pub fn crd() -> String {
    serin_api::crds_yaml().unwrap()
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Where logs of tests go: beside the program, so that `cargo clean` removes them.
pub fn scratch() -> PathBuf {
    let folder = profile_folder().join("serin-tests");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// `target/debug` or `target/release`, whichever this program was built into.
pub fn profile_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let folder = program.parent().unwrap();
    if folder.ends_with("deps") { folder.parent().unwrap().to_owned() } else { folder.to_owned() }
}
