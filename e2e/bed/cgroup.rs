//! A bed's own cgroup, `/serin-NAME`: the parent of its pods' cgroups, and of
//! one for its daemons. Whatever runs in it is the bed's, so this is how
//! everything is found again, even after its parents were killed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{At as _, Error};
use crate::files;
use crate::mounts::mount_point;

const V2: &str = "/sys/fs/cgroup";

/// The kubelet's `cgroupRoot`.
pub fn root(bed: &str) -> String {
    format!("/serin-{bed}")
}

/// Where the cgroup hierarchies are mounted: one with cgroup v2, one per
/// controller with v1, and there sometimes one of v2 without controllers too.
fn hierarchies() -> Vec<PathBuf> {
    if is_v2() {
        return vec![V2.into()];
    }
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    v1_hierarchies(&table)
}

fn is_v2() -> bool {
    Path::new(V2).join("cgroup.controllers").exists()
}

fn v1_hierarchies(table: &str) -> Vec<PathBuf> {
    let mut points: Vec<PathBuf> = table
        .lines()
        .filter(|line| line.contains(" - cgroup ") || line.contains(" - cgroup2 "))
        .filter_map(mount_point)
        .collect();
    points.sort();
    points.dedup();
    points
}

fn folders(bed: &str) -> Vec<PathBuf> {
    let name = format!("serin-{bed}");
    let all = hierarchies().into_iter();
    all.map(|hierarchy| hierarchy.join(&name)).collect()
}

/// The hierarchy whose lists of processes are used.
fn listed(bed: &str) -> Option<PathBuf> {
    let folders = folders(bed);
    let pids = folders.iter().find(|path| {
        let hierarchy = path.parent().and_then(Path::file_name);
        hierarchy.is_some_and(|name| name == "pids")
    });
    pids.or(folders.first()).cloned()
}

/// The cgroup the bed's daemons run in.
pub fn daemons(bed: &str) -> Option<PathBuf> {
    listed(bed).map(|root| root.join("daemons"))
}

/// Makes the bed's cgroup in every hierarchy.
pub fn create(bed: &str) -> Result<(), Error> {
    if is_v2() {
        // What the kubelet wants to find enabled in its root.
        delegate(Path::new(V2))?;
    }
    for folder in folders(bed) {
        files::make_dir(&folder)?;
        // A v1 cpuset starts empty, and nothing can run in it.
        for name in ["cpuset.cpus", "cpuset.mems"] {
            let file = folder.join(name);
            let unset = fs::read_to_string(&file).is_ok_and(|set| set.trim().is_empty());
            if unset
                && !is_v2()
                && let Some(parent) = folder.parent()
            {
                let above = parent.join(name);
                fs::write(&file, fs::read(&above).at(&above)?).at(&file)?;
            }
        }
        if is_v2() {
            delegate(&folder)?;
        }
    }
    daemons(bed).map_or(Ok(()), |folder| files::make_dir(&folder))
}

/// Lets children of a v2 cgroup have the controllers it has.
fn delegate(folder: &Path) -> Result<(), Error> {
    let have = files::read(&folder.join("cgroup.controllers"))?;
    let control = folder.join("cgroup.subtree_control");
    let enabled = files::read(&control)?;
    for controller in have.split_whitespace() {
        let wanted = matches!(controller, "cpu" | "cpuset" | "memory" | "pids" | "io" | "hugetlb");
        if wanted && !enabled.split_whitespace().any(|name| name == controller) {
            fs::write(&control, format!("+{controller}")).at(&control)?;
        }
    }
    Ok(())
}

/// Kills every process in the bed's cgroup. More than once, as one may start
/// another while the list is read.
pub fn kill(bed: &str) {
    let Some(root) = listed(bed) else { return };
    for _ in 0..200 {
        let pids = processes(&root);
        if pids.is_empty() {
            return;
        }
        for pid in pids.into_iter().filter_map(Pid::from_raw) {
            // It may have ended in between, which is what is wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn processes(folder: &Path) -> Vec<i32> {
    tree(folder)
        .iter()
        .filter_map(|dir| fs::read_to_string(dir.join("cgroup.procs")).ok())
        .flat_map(|list| list.lines().filter_map(|l| l.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// A folder and all below it, parents first.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut next = 0;
    while next < found.len() {
        let entries = fs::read_dir(&found[next]).into_iter().flatten().flatten();
        let folders = entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
        found.extend(folders.map(|entry| entry.path()));
        next += 1;
    }
    found
}

/// Removes the bed's cgroup from every hierarchy. A just-ended process can
/// keep its cgroup busy for a moment.
pub fn remove(bed: &str) -> Result<(), Error> {
    for folder in folders(bed).iter().filter(|folder| folder.exists()) {
        for dir in tree(folder).iter().rev() {
            let mut tries = 0;
            while let Err(error) = fs::remove_dir(dir) {
                if error.kind() == io::ErrorKind::NotFound {
                    break;
                }
                tries += 1;
                if tries > 100 {
                    return Err(error).at(dir);
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_v1_are_found_once() {
        let table = "\
25 1 0:22 / /sys/fs/cgroup ro - tmpfs tmpfs ro
26 25 0:23 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
27 25 0:24 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
28 25 0:23 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
29 25 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
        let want = ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"];
        assert_eq!(v1_hierarchies(table), want.map(PathBuf::from));
    }

    #[test]
    fn trees_list_parents_first() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/file"), "").unwrap();
        let want = [dir.path().to_owned(), dir.path().join("a"), dir.path().join("a/b")];
        assert_eq!(tree(dir.path()), want);
    }
}
