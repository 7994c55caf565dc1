//! The parts that come from Debian's packages.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::tools::Progress;
use crate::up::require_root;
use crate::{files, run};

/// A program and the package it comes in.
const PROGRAMS: [(&str, &str); 8] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
];

const PLUGINS: &str = "containernetworking-plugins";

/// Installs what is missing, where we may; says how otherwise.
pub fn install(progress: Progress) -> Result<(), Error> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if run::which("apt-get").is_none() || require_root("").is_err() {
        return Err(Error::Missing { what: missing.join(", "), install: format!("sudo {command}") });
    }
    progress(&format!("installing {}", missing.join(", ")));
    let _policy = NoServices::begin()?;
    carry_out(&command)?;
    for service in missing.iter().filter(|name| run::which(name).is_some()) {
        // We run these ourselves; at the next start of the machine too.
        let _ = run::output(Command::new("systemctl").args(["disable", service]));
    }
    match self::missing().first() {
        None => Ok(()),
        Some(package) => Err(Error::Missing { what: (*package).to_owned(), install: command }),
    }
}

/// Runs an `apt-get install …`.
fn carry_out(command: &str) -> Result<(), Error> {
    let apt = |args: &[&str]| {
        run::output(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let mut words: Vec<&str> = command.split(' ').skip(1).collect();
    words.push("-qq");
    if apt(&words).is_err() {
        // The list of packages may be old, or there may be none yet.
        apt(&["update", "-qq"])?;
        apt(&words)?;
    }
    Ok(())
}

fn missing() -> Vec<&'static str> {
    let mut packages: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| run::which(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if plugins().is_none() {
        packages.push(PLUGINS);
    }
    packages.dedup();
    packages
}

/// Installs the program that makes a root file system from Debian's packages.
pub fn install_mmdebstrap(progress: Progress) -> Result<(), Error> {
    install_one("mmdebstrap", progress).map(drop)
}

/// A browser, for the tests of the operator's page.
pub fn chromium(progress: Progress) -> Result<PathBuf, Error> {
    install_one("chromium", progress)
}

/// Installs the package of a program of the same name.
fn install_one(name: &str, progress: Progress) -> Result<PathBuf, Error> {
    if let Some(found) = run::which(name) {
        return Ok(found);
    }
    let command = format!("apt-get install -y --no-install-recommends {name}");
    let missing = || Error::Missing { what: name.to_owned(), install: format!("sudo {command}") };
    if run::which("apt-get").is_none() || require_root("").is_err() {
        return Err(missing());
    }
    progress(&format!("installing {name}"));
    carry_out(&command)?;
    run::which(name).ok_or_else(missing)
}

/// The folder of the container network plugins.
pub fn plugins() -> Option<PathBuf> {
    ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"]
        .map(PathBuf::from)
        .into_iter()
        .find(|dir| dir.join("ptp").is_file() && dir.join("host-local").is_file())
}

/// Debian's way to say that installing a package must not start its service.
/// Taken back on drop, unless it was there before.
struct NoServices {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn begin() -> Result<Self, Error> {
        let path = Path::new(POLICY);
        if path.exists() {
            return Ok(Self { ours: false });
        }
        files::write(path, "#!/bin/sh\nexit 101\n")?;
        let guard = Self { ours: true };
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            .map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Ok(guard)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
