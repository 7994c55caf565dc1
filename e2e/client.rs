//! A Kubernetes client, and waiting: for a condition, with a deadline, and with the last state in the error.

use std::{
    future::Future,
    path::Path,
    time::{Duration, Instant},
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serin_bed::Bed;

use crate::Error;

/// A client with a kubeconfig's rights. It does not retry: an eviction that is refused for now is answered with 429, and
/// who evicts wants to hear it.
pub async fn of(kubeconfig: &Path) -> Result<Client, Error> {
    // A second call finds it installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// `kubectl apply --server-side` of some YAML.
pub fn apply(bed: &Bed, yaml: &str) -> Result<(), Error> {
    use std::{io::Write as _, process::Stdio};
    let mut child = bed
        .kubectl()
        .args(["apply", "--server-side", "--force-conflicts", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(stdin) = child.stdin.as_mut() {
        stdin.write_all(yaml.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("kubectl apply: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

/// Asks every 100 ms until the answer is `Ok`; the last `Err` is what the failure shows.
pub async fn until<T, F>(what: &str, deadline: Duration, mut ask: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, String>>,
{
    let end = Instant::now() + deadline;
    loop {
        match ask().await {
            Ok(value) => return Ok(value),
            Err(state) if Instant::now() >= end => {
                return Err(format!("{what}: not within {deadline:?}; last seen: {state}").into());
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
