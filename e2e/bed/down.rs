//! Taking a bed down: everything `up` started, and nothing else.
//!
//! Works from the bed's name and folder alone, so that it also cleans up after
//! an `up` that was killed halfway.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::error::{At as _, Error};
use crate::process::Place;
use crate::state::{Kind, State};
use crate::up::require_root;
use crate::{Bed, cgroup, files, mounts, network, paths};

impl Bed {
    /// Ends everything [`Bed::up`] started and removes the bed's folder. A
    /// cluster that was given is left alone.
    pub fn down(self) -> Result<(), Error> {
        down(self.name())
    }
}

/// Takes the bed of that name down, whatever state it is in; also one that
/// never came up. Nothing happens if there is none.
pub fn down(name: &str) -> Result<(), Error> {
    paths::check_name(name)?;
    let dir = paths::bed(name);
    if !dir.exists() {
        return Ok(());
    }
    let _lock = files::lock(&paths::bed_lock(name), || {})?;
    clear(name)
}

/// Like [`down`], for who holds the lock.
pub fn clear(name: &str) -> Result<(), Error> {
    let dir = paths::bed(name);
    if !dir.exists() {
        return Ok(());
    }
    let state = State::load(name);
    // Without a state that can be read it may have been a whole one.
    let whole = state.is_none_or(|state| state.kind == Kind::Whole);
    if whole && network::exists(name) {
        require_root("taking a whole bed down")?;
    }

    let place = Place {
        home: dir.clone(),
        logs: dir.join("logs"),
        records: dir.join("processes"),
        netns: None,
        cgroup: None,
    };
    place.kill_all();
    if whole {
        // Pods outlive containerd, and so do their shims.
        cgroup::kill(name);
        remove_shim_sockets(&dir);
        mounts::unmount_under(&dir);
        network::remove(name);
        cgroup::remove(name)?;
        remove_cni_results(name);
        remove_log_links(&dir);
    }
    // A mount that was just let go can keep a folder busy for a moment.
    let mut tries = 0;
    while let Err(error) = fs::remove_dir_all(&dir) {
        tries += 1;
        if tries > 20 || error.kind() == std::io::ErrorKind::PermissionDenied {
            return Err(error).at(&dir);
        }
        mounts::unmount_under(&dir);
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// containerd-shims listen in one fixed folder, whichever containerd is
/// theirs; each notes its socket's path in its container's folder.
fn remove_shim_sockets(dir: &Path) {
    let tasks = dir.join("run/containerd/io.containerd.runtime.v2.task/k8s.io");
    for entry in entries(&tasks) {
        let address = fs::read_to_string(entry.join("address")).unwrap_or_default();
        if let Some(socket) = address.trim().strip_prefix("unix://")
            && socket.starts_with("/run/containerd/s/")
        {
            let _ = fs::remove_file(socket);
        }
    }
}

/// The network plugins' library keeps its results in one fixed folder too:
/// `NETWORK-SANDBOX-INTERFACE`, one for our network and one for the loopback
/// interface, whose network has the same name in every bed.
fn remove_cni_results(name: &str) {
    let network = network::namespace(name);
    let results = entries(Path::new("/var/lib/cni/results"));
    let parsed: Vec<_> =
        results.iter().filter_map(|path| Some((path, cni_result(path.file_name()?.to_str()?)?))).collect();
    let ours: BTreeSet<&str> =
        parsed.iter().filter(|(_, (of, _))| *of == network).map(|(_, (_, sandbox))| *sandbox).collect();
    for (path, (_, sandbox)) in &parsed {
        if ours.contains(sandbox) {
            let _ = fs::remove_file(path);
        }
    }
}

/// The network and the sandbox of a result. A network's name may hold dashes.
fn cni_result(file: &str) -> Option<(&str, &str)> {
    let (rest, _interface) = file.rsplit_once('-')?;
    rest.rsplit_once('-')
}

/// The kubelet links every container's log from `/var/log/containers`.
fn remove_log_links(dir: &Path) {
    for link in entries(Path::new("/var/log/containers")) {
        if fs::read_link(&link).is_ok_and(|target| target.starts_with(dir)) {
            let _ = fs::remove_file(link);
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_name_their_network_and_sandbox() {
        assert_eq!(cni_result("serin-a-b-0123-eth0"), Some(("serin-a-b", "0123")));
        assert_eq!(cni_result("cni-loopback-0123-lo"), Some(("cni-loopback", "0123")));
        assert_eq!(cni_result("odd"), None);
    }
}
