//! Real Helm on this repository's chart.

use std::{path::PathBuf, process::Command};

use serin_bed::{Bed, HelmLine};

use crate::{Error, images};

/// Folder of the chart.
pub fn chart() -> PathBuf {
    images::repository().join("charts/serin")
}

/// What Helm is asked in.
#[derive(Clone, Debug)]
pub struct Helm {
    program: PathBuf,
    /// Its own files, apart from those of whoever runs the tests.
    home: PathBuf,
    kubeconfig: Option<PathBuf>,
}

impl Helm {
    /// Without a cluster: for lint and template.
    pub fn alone(line: HelmLine) -> Result<Self, Error> {
        let program = serin_bed::helm(line, &mut |line| eprintln!("{line}"))?;
        let home = images::target().join("e2e/helm");
        std::fs::create_dir_all(&home)?;
        Ok(Self { program, home, kubeconfig: None })
    }

    /// Against a cluster.
    pub fn of(bed: &Bed, line: HelmLine) -> Result<Self, Error> {
        Ok(Self { kubeconfig: Some(bed.kubeconfig().to_owned()), ..Self::alone(line)? })
    }

    /// What it printed, or what it complained of.
    pub fn run(&self, args: &[&str]) -> Result<String, Error> {
        let mut command = Command::new(&self.program);
        for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(folder, &self.home);
        }
        // Never a cluster that happens to be somebody's present one.
        let kubeconfig = self.kubeconfig.clone().unwrap_or_else(|| "/dev/null".into());
        let output = command.env("KUBECONFIG", kubeconfig).args(args).output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().into())
    }
}
