//! What the scenarios in `e2e/tests` share: one cluster with one operator, and a namespace for each of them.
//!
//! - [`run`], [`run_alone`]: a scenario, with everything that helps to understand its failure
//! - [`Scene`]: what a scenario acts with
//! - [`Seen`]: every status and every weight there was, in order
//! - [`audit`]: what the operator asked the apiserver for

pub mod audit;
mod pods;
mod scene;
mod seen;
mod turns;

use std::{fs::File, path::PathBuf};

use serin_bed::{Bed, Kind, Options, SecondGateway};
use tokio::sync::{Mutex, OnceCell};

use crate::{
    Error, client,
    images::{self, Built},
    install, training,
};

pub use pods::servers;
pub use scene::{PATIENCE, Scene, patient, quick, run, run_alone, status};
pub use seen::Seen;
pub use turns::AT_ONCE;

/// Name of the bed if nothing else is asked for.
pub const BED: &str = "serin-e2e";
/// Namespace of the model store.
pub const STORE: &str = "e2e-store";
/// Environment variable with the bed's name.
pub const BED_VARIABLE: &str = "SERIN_BED";
/// Environment variable with the kubeconfig of a given cluster.
pub const KUBECONFIG_VARIABLE: &str = "SERIN_KUBECONFIG";

/// The cluster, with images, operator and models.
#[derive(Debug)]
pub struct Ring {
    /// The cluster.
    pub bed: Bed,
    /// The models.
    pub built: Built,
    /// Two runs on one cluster would take each other's namespaces.
    _turn: File,
}

impl Ring {
    /// The gateway that mirrors requests and keeps sessions, brought up by whoever asks first.
    pub async fn second_gateway(&self) -> Result<SecondGateway, Error> {
        static ONE: Mutex<()> = Mutex::const_new(());
        let _turn = ONE.lock().await;
        let start = std::time::Instant::now();
        let mut say = |line: &str| eprintln!("[{:5.1} s] {line}", start.elapsed().as_secs_f32());
        Ok(tokio::task::block_in_place(|| self.bed.second_gateway(&mut say))?)
    }
}

/// The one that this process uses, brought up by whoever asks first.
pub async fn ring() -> Result<&'static Ring, Error> {
    static RING: OnceCell<Result<Ring, String>> = OnceCell::const_new();
    let up = || async {
        let name = std::env::var(BED_VARIABLE).unwrap_or_else(|_| BED.to_owned());
        let kubeconfig = std::env::var_os(KUBECONFIG_VARIABLE).map(PathBuf::from);
        let turn = turn(&name).map_err(|e| e.to_string())?;
        let start = std::time::Instant::now();
        let mut say = |line: &str| eprintln!("[{:5.1} s] {line}", start.elapsed().as_secs_f32());
        let (bed, built) = up(&name, kubeconfig, &mut say).await.map_err(|e| e.to_string())?;
        Ok(Ring { bed, built, _turn: turn })
    };
    RING.get_or_init(up).await.as_ref().map_err(|e| e.clone().into())
}

/// Waits until no other process uses the cluster.
fn turn(name: &str) -> Result<File, Error> {
    let folder = images::target().join("e2e");
    std::fs::create_dir_all(&folder)?;
    let file = File::create(folder.join(format!("{name}.turn")))?;
    file.lock()?;
    Ok(file)
}

/// Brings up what is not: bed, images, operator, models.
pub async fn up(
    name: &str,
    kubeconfig: Option<PathBuf>,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<(Bed, Built), Error> {
    let kind = if kubeconfig.is_some() { Kind::External } else { Kind::Whole };
    let options = Options { name: name.to_owned(), kind, kubeconfig };
    let (bed, built) = tokio::task::block_in_place(|| -> Result<_, Error> {
        let bed = Bed::up(&options, &mut |line| say(line))?;
        let built = images::build(&mut |line| say(line))?;
        if bed.is_external() {
            say("a given cluster: its nodes must have the images in target/e2e");
        } else {
            say("loading images");
            built.load_into(&bed)?;
        }
        Ok((bed, built))
    })?;
    say("installing the operator and the model store");
    let kube = client::of(bed.kubeconfig()).await?;
    install::operator(&bed, &kube).await?;
    install::store(&bed, &kube, STORE).await?;
    if bed.s3().is_some() {
        training::upload(&bed, &built)?;
    }
    Ok((bed, built))
}
