//! What is built from, or comes in, Go modules.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{HelmLine, Progress, cached};
use crate::error::{At as _, Error};
use crate::{digest, files, paths, run};

const KUBERNETES: &str = "v1.34.4";

/// A module with the checksum that `go.sum` would hold for it.
struct Module {
    path: &'static str,
    version: &'static str,
    sum: &'static str,
}

const COREDNS: Module = Module {
    path: "github.com/coredns/coredns",
    version: "v1.15.0",
    sum: "h1:OBT+OEyHVdUiVxPhrNlC5XZVq3RkSxzQXfZQ76gm5ck=",
};

const PROMETHEUS: Module = Module {
    path: "github.com/prometheus/prometheus",
    version: "v0.313.5",
    sum: "h1:5/kewqSFNlHQa9NqZxrOkXCBlEuJOvb+8gFOUxSWFv0=",
};

const VERSITYGW: Module = Module {
    path: "github.com/versity/versitygw",
    version: "v1.8.0",
    sum: "h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc=",
};

const HELM: Module = Module {
    path: "helm.sh/helm/v4",
    version: "v4.3.1",
    sum: "h1:UndCoLe9UPmNoL7IvWzaUXveL7T5t/ijoorEmgJdI9g=",
};

const HELM_3: Module = Module {
    path: "helm.sh/helm/v3",
    version: "v3.22.0",
    sum: "h1:n1if5iQgHYsujPAcO5oonH/KiSNUmqmUF0iGVjSF3AU=",
};

const GATEWAY_API: Module = Module {
    path: "sigs.k8s.io/gateway-api",
    version: "v1.6.3",
    sum: "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=",
};

const ENVOY_GATEWAY: Module = Module {
    path: "github.com/envoyproxy/gateway",
    version: "v1.9.1",
    sum: "h1:vAVp6/AlBXJ1aOhp1mxL7fNEzVEfjADUguUhm2wzxQY=",
};

/// The multi-call Kubernetes program and the pause program, in one folder.
pub fn kubernetes(progress: Progress) -> Result<PathBuf, Error> {
    let sum = digest::of_folder(paths::go_sources(), &[KUBERNETES])?;
    cached(&format!("kube-{}", &sum[..16]), progress, |out, progress| {
        let mut build = build(paths::go_sources(), &out.join("serin-kube"))?;
        build.args(["-ldflags", &version_flags(), "."]);
        watch("Kubernetes (5 to 10 minutes, once)", build, progress)?;
        let mut build = self::build(paths::go_sources(), &out.join("pause"))?;
        build.args(["-ldflags", "-s -w", "./pause"]);
        watch("the pause program", build, progress)
    })
}

/// Without these the servers call themselves v0.0.0, which clients refuse.
fn version_flags() -> String {
    let minor = KUBERNETES.split('.').nth(1).unwrap_or_default();
    let mut flags = "-s -w".to_owned();
    for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        for (name, value) in [("gitVersion", KUBERNETES), ("gitMajor", "1"), ("gitMinor", minor)] {
            flags.extend([" -X ", package, ".", name, "=", value]);
        }
    }
    flags
}

/// CoreDNS.
pub fn coredns(progress: Progress) -> Result<PathBuf, Error> {
    cached(&format!("coredns-{}", COREDNS.version), progress, |out, progress| {
        let mut build = build(&download(&COREDNS, progress)?, &out.join("coredns"))?;
        build.args(["-ldflags", "-s -w", "."]);
        watch("CoreDNS (1 to 3 minutes, once)", build, progress)
    })
}

/// Prometheus. Debian's own cannot discover pods: Kubernetes was taken out of
/// it. Of all ways to discover, only that one is built in.
pub fn prometheus(progress: Progress) -> Result<PathBuf, Error> {
    cached(&format!("prometheus-{}", PROMETHEUS.version), progress, |out, progress| {
        let mut build = build(&download(&PROMETHEUS, progress)?, &out.join("prometheus"))?;
        build.args(["-tags", "remove_all_sd,enable_kubernetes_sd", "-ldflags", "-s -w", "./cmd/prometheus"]);
        watch("Prometheus (1 to 3 minutes, once)", build, progress)
    })
}

/// The S3 server.
pub fn versitygw(progress: Progress) -> Result<PathBuf, Error> {
    cached(&format!("versitygw-{}", VERSITYGW.version), progress, |out, progress| {
        let mut build = build(&download(&VERSITYGW, progress)?, &out.join("versitygw"))?;
        build.args(["-ldflags", "-s -w", "./cmd/versitygw"]);
        watch("versitygw (1 to 2 minutes, once)", build, progress)
    })
}

/// Helm.
pub fn helm(line: HelmLine, progress: Progress) -> Result<PathBuf, Error> {
    let module = match line {
        HelmLine::Three => &HELM_3,
        HelmLine::Four => &HELM,
    };
    cached(&format!("helm-{}", module.version), progress, |out, progress| {
        let mut build = build(&download(module, progress)?, &out.join("helm"))?;
        build.args(["-ldflags", "-s -w", "./cmd/helm"]);
        watch(&format!("Helm {} (1 to 3 minutes, once)", module.version), build, progress)
    })
}

/// Prometheus' tool for rules.
pub fn promtool(progress: Progress) -> Result<PathBuf, Error> {
    cached(&format!("promtool-{}", PROMETHEUS.version), progress, |out, progress| {
        let mut build = build(&download(&PROMETHEUS, progress)?, &out.join("promtool"))?;
        build.args(["-tags", "remove_all_sd", "-ldflags", "-s -w", "./cmd/promtool"]);
        watch("promtool (1 to 3 minutes, once)", build, progress)
    })
}

/// The engines that others judge our objects by: Argo CD's, and kstatus. Its `go.mod` names the releases.
pub fn gitops(progress: Progress) -> Result<PathBuf, Error> {
    let sum = digest::of_folder(paths::gitops_sources(), &[])?;
    cached(&format!("gitops-{}", &sum[..16]), progress, |out, progress| {
        let mut build = build(paths::gitops_sources(), &out.join("serin-gitops"))?;
        build.args(["-ldflags", "-s -w", "."]);
        watch("Argo CD's engine (2 to 5 minutes, once)", build, progress)
    })
}

/// The Gateway API's definitions, standard channel.
pub fn gateway_api(progress: Progress) -> Result<PathBuf, Error> {
    cached(&format!("gateway-api-{}", GATEWAY_API.version), progress, |out, progress| {
        copy_manifests(&download(&GATEWAY_API, progress)?.join("config/crd/standard"), out)
    })
}

/// The same of the experimental channel.
pub fn gateway_api_experimental(progress: Progress) -> Result<PathBuf, Error> {
    cached(&format!("gateway-api-{}-experimental", GATEWAY_API.version), progress, |out, progress| {
        copy_manifests(&download(&GATEWAY_API, progress)?.join("config/crd/experimental"), out)
    })
}

/// Envoy Gateway's controller, and in `crds` its definitions.
pub fn envoy_gateway(progress: Progress) -> Result<PathBuf, Error> {
    cached(&format!("envoy-gateway-{}", ENVOY_GATEWAY.version), progress, |out, progress| {
        let source = download(&ENVOY_GATEWAY, progress)?;
        files::make_dir(&out.join("crds"))?;
        copy_manifests(&source.join("charts/gateway-helm/charts/crds/crds/generated"), &out.join("crds"))?;
        let mut build = build(&source, &out.join("envoy-gateway"))?;
        build.args(["-ldflags", "-s -w", "./cmd/envoy-gateway"]);
        watch("Envoy Gateway (2 to 5 minutes, once)", build, progress)
    })
}

/// Read and written, not copied: modules are read-only.
fn copy_manifests(source: &Path, out: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(source).at(source)? {
        let path = entry.at(source)?.path();
        let name = path.file_name().unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files::write(&out.join(name), files::read(&path)?)?;
        }
    }
    Ok(())
}

fn go(command: &mut Command) -> Result<&mut Command, Error> {
    if run::which("go").is_none() {
        return Err(Error::Missing {
            what: "Go 1.26 or later".into(),
            install: "https://go.dev/doc/install".into(),
        });
    }
    Ok(command)
}

/// A static build, `nice`d and on two cores, so that the machine stays usable.
fn build(source: &Path, output: &Path) -> Result<Command, Error> {
    let mut command = Command::new("nice");
    go(&mut command)?
        .args(["go", "build", "-p", "2", "-trimpath", "-mod=readonly", "-buildvcs=false", "-o"])
        .arg(output)
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .current_dir(source);
    Ok(command)
}

/// Runs a long command and says every now and then that it still runs.
fn watch(what: &str, mut command: Command, progress: Progress) -> Result<(), Error> {
    progress(&format!("building {what}"));
    let path = paths::tools().join("build.log");
    let log = File::create(&path).at(&path)?;
    let errors = log.try_clone().at(&path)?;
    let spawned = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
    let mut child = spawned.at(Path::new("nice"))?;
    let mut said = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().at(&path)? {
            break status;
        }
        if said.elapsed() > Duration::from_secs(20) {
            progress(&format!("still building {what}"));
            said = Instant::now();
        }
        thread::sleep(Duration::from_millis(100));
    };
    if status.success() {
        return Ok(());
    }
    Err(Error::Command {
        what: format!("building {what}"),
        detail: run::last_line(&files::read(&path)?).unwrap_or_else(|| status.to_string()),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Downloaded {
    dir: PathBuf,
    sum: String,
}

/// Fetches a module, checks it, and gives its folder.
fn download(module: &Module, progress: Progress) -> Result<PathBuf, Error> {
    let name = format!("{}@{}", module.path, module.version);
    progress(&format!("downloading {name}"));
    let mut command = Command::new("go");
    go(&mut command)?
        .args(["mod", "download", "-json", &name])
        // Outside of any module, whose go.mod must not change.
        .current_dir("/")
        .env("GOWORK", "off");
    let answer = run::output(&mut command)?;
    let found: Downloaded = serde_json::from_str(&answer).map_err(|error| Error::Command {
        what: format!("go mod download {name}"),
        detail: error.to_string(),
    })?;
    if found.sum == module.sum {
        Ok(found.dir)
    } else {
        Err(Error::Checksum { what: name, found: found.sum, wanted: module.sum.to_owned() })
    }
}
