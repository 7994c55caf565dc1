//! Static binaries, trained models, and images made from them. Everything lands in `e2e` under the target directory.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;
use serin_bed::{
    Bed,
    image::{File, Image},
};

use crate::Error;

/// The operator and the agent.
pub const SERIN: &str = "serin.dev/serin:0.1.0";
/// The model server (and the trainer, and the store's file server).
pub const WINE: &str = "serin.test/wine:1";
/// What releases and images are built for.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The file server with every model file in it.
pub const MODELS: &str = "serin.test/models:1";

/// The versions that the demo and the scenarios serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A shallow tree: 68 % right.
    V1,
    /// A forest: better, and as reliable.
    V2,
    /// Trained on a column that no client sends: right on paper, 30 % of requests fail.
    BadFeatures,
    /// Nearest neighbours over a bloated memory: several times slower.
    Slow,
    /// A truncated file: the server exits when it loads it.
    Crashing,
}

impl Version {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::V1, Self::V2, Self::BadFeatures, Self::Slow, Self::Crashing];

    /// Name of its file in the store.
    pub const fn file(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::BadFeatures => "bad-features",
            Self::Slow => "slow",
            Self::Crashing => "crashing",
        }
    }

    /// What people call it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::BadFeatures => "v3",
            Self::Slow => "v3-slow",
            Self::Crashing => "v3-crashing",
        }
    }

    /// Hyper-parameters for `wine make`; `None`: made from another file.
    const fn training(self) -> Option<&'static [&'static str]> {
        match self {
            Self::V1 => Some(&["--max-depth", "2"]),
            Self::V2 => Some(&["--max-depth", "12", "--trees", "100"]),
            Self::BadFeatures => Some(&["--features", "12", "--max-depth", "7", "--min-samples", "4"]),
            Self::Slow => Some(&["--neighbours", "15", "--copies", "300"]),
            Self::Crashing => None,
        }
    }
}

/// A trained model.
#[derive(Clone, Debug)]
pub struct Model {
    /// Which one.
    pub version: Version,
    /// `sha256:…` of its file.
    pub digest: String,
    /// Share of right predictions on held-out rows, if it was trained.
    pub accuracy: Option<f64>,
}

/// A data set.
#[derive(Clone, Debug)]
pub struct Data {
    /// Its file name, also in the store.
    pub name: String,
    /// Where it is on this machine.
    pub file: PathBuf,
    /// `sha256:…` of its bytes.
    pub digest: String,
}

/// Everything that a cluster needs.
#[derive(Clone, Debug)]
pub struct Built {
    /// The models in the store.
    pub models: Vec<Model>,
    /// What is trained and evaluated on.
    pub data: Vec<Data>,
    /// The `wine` binary, to run on this machine.
    pub wine: PathBuf,
    /// The `serin` binary, likewise.
    pub serin: PathBuf,
    /// The `serin-agent` binary, likewise.
    pub agent: PathBuf,
    tars: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Trained {
    sha256: String,
    accuracy: f64,
}

impl Built {
    /// `serin ARGS`, as a person of this bed would call it: what it printed.
    pub fn kubectl_serin(&self, bed: &Bed, args: &[&str]) -> Result<String, Error> {
        let mut command = Command::new(&self.serin);
        command.args(args).env("KUBECONFIG", bed.kubeconfig());
        if let Some(url) = bed.prometheus_url() {
            command.env("SERIN_PROMETHEUS_URL", url);
        }
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() && !text.trim().is_empty() {
            return Ok(text);
        }
        Err(format!("serin {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()).into())
    }

    /// A model by version.
    pub fn model(&self, version: Version) -> Result<&Model, Error> {
        self.models
            .iter()
            .find(|m| m.version == version)
            .ok_or_else(|| format!("{version:?} was not trained").into())
    }

    /// Loads the images into a bed.
    pub fn load_into(&self, bed: &Bed) -> Result<(), Error> {
        for tar in &self.tars {
            bed.load_image(tar)?;
        }
        Ok(())
    }
}

/// The repository this harness was built from.
pub fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Cargo's target directory.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

/// Builds binaries, trains models and writes images. What is up to date is not done again.
pub fn build(say: &mut dyn FnMut(&str)) -> Result<Built, Error> {
    let out = target().join("e2e");
    std::fs::create_dir_all(out.join("models"))?;
    say("building static binaries: serin, serin-agent, wine (release; some minutes the first time)");
    let bin = binaries()?;
    let wine = bin.join("wine");
    say("training the models");
    let mut models = Vec::new();
    for version in Version::ALL {
        models.push(train(&wine, &out.join("models"), version)?);
    }
    let data = data(&wine, &out.join("data"))?;
    say("writing images");
    let tars = vec![
        write(&out, "serin", &serin(SERIN, &bin, None))?,
        write(&out, "wine", &Image::new(WINE, ["/wine"], vec![File::from_host("/wine", &wine, 0o755)]))?,
        write(
            &out,
            "models",
            &Image::new(MODELS, ["/wine"], {
                let mut files = vec![File::from_host("/wine", &wine, 0o755)];
                for version in Version::ALL {
                    let host = out.join("models").join(version.file());
                    files.push(File::from_host(format!("/models/{}", version.file()), host, 0o644));
                }
                files
            }),
        )?,
    ];
    Ok(Built { models, data, serin: bin.join("serin"), agent: bin.join("serin-agent"), wine, tars })
}

/// The operator and the agent, and what they are made of.
pub fn serin(name: &str, bin: &Path, bill: Option<Vec<u8>>) -> Image {
    let mut files = vec![
        File::from_host("/bin/serin", bin.join("serin"), 0o755),
        File::from_host("/serin-agent", bin.join("serin-agent"), 0o755),
    ];
    files.extend(bill.map(|bill| File::new("/sbom.cdx.json", bill, 0o644)));
    // Not `/serin`: where a run's volume is mounted, no file can be.
    Image::new(name, ["/bin/serin"], files)
}

/// What an image's content is named by.
pub fn content(name: &str) -> Result<String, Error> {
    let tar = target().join("e2e").join(format!("{name}.tar"));
    Ok(sha256(&std::fs::read(tar)?))
}

/// `sha256:…` of some bytes.
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    use sha2::{Digest as _, Sha256};

    Sha256::digest(bytes).iter().fold(String::from("sha256:"), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

fn write(out: &Path, name: &str, image: &Image) -> Result<PathBuf, Error> {
    let tar = out.join(format!("{name}.tar"));
    image.write_tar(&tar)?;
    Ok(tar)
}

/// Static binaries for scratch images, where nothing of this machine's paths is left.
fn binaries() -> Result<PathBuf, Error> {
    static_binaries(repository(), &target(), &["serin", "serin-agent", "serin-wine"])
}

/// Builds `packages` of the checkout in `source` as static programs; the folder where they are. `--target` keeps the flags
/// away from build scripts and proc macros.
pub fn static_binaries(source: &Path, target: &Path, packages: &[&str]) -> Result<PathBuf, Error> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(source).env("CARGO_TARGET_DIR", target);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(source, target).join("\u{1f}")).env_remove("RUSTFLAGS");
    // What a cargo around us says of our own package. The build script of ring asks for it, and builds anew what another one
    // had built; nearly everything depends on ring.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            cargo.env_remove(name);
        }
    }
    cargo.args(["build", "--quiet", "--locked", "--release", "--target", TARGET]);
    cargo.args(packages.iter().flat_map(|package| ["-p", package]));
    if !cargo.stdin(Stdio::null()).status()?.success() {
        return Err("the release build failed; its errors stand above".into());
    }
    Ok(target.join(TARGET).join("release"))
}

/// Panics name source files by where they were compiled. Two people who build the same commit have their checkout and their
/// registry in different places, and must come to the same bytes.
fn flags(source: &Path, target: &Path) -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo"))).unwrap_or_default();
    // One folder for each registry, with a name made from its address, which mirrors change.
    let registries = std::fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten();
    let mut places: Vec<(PathBuf, &str)> = registries.map(|entry| (entry.path(), "/crates")).collect();
    places.sort();
    places.push((source.to_owned(), "/serin"));
    places.push((target.to_owned(), "/target"));
    let mut flags = vec!["-C".to_owned(), "target-feature=+crt-static".to_owned()];
    flags.extend(places.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())));
    flags
}

fn data(wine: &Path, dir: &Path) -> Result<Vec<Data>, Error> {
    let written = Command::new(wine).arg("data").arg("--dir").arg(dir).output()?;
    if !written.status.success() {
        return Err(format!("wine data failed: {}", String::from_utf8_lossy(&written.stderr)).into());
    }
    let of = |name: &str| -> Result<Data, Error> {
        let file = dir.join(name);
        let digest = sha256(&std::fs::read(&file)?);
        Ok(Data { name: name.to_owned(), file, digest })
    };
    let names = ["train.csv", "enriched.csv", "eval.csv", "light.csv", "light-eval.csv", "strong-eval.csv"];
    names.into_iter().map(of).collect()
}

fn train(wine: &Path, dir: &Path, version: Version) -> Result<Model, Error> {
    let file = dir.join(version.file());
    let Some(parameters) = version.training() else {
        // A download cut short, or a disk that was full: the digest is that of the cut file, so only loading it tells.
        let whole = std::fs::read(dir.join(Version::V1.file()))?;
        let cut = whole.get(..whole.len().min(200)).unwrap_or_default();
        std::fs::write(&file, cut)?;
        return Ok(Model { version, digest: sha256(cut), accuracy: None });
    };
    let output = Command::new(wine).arg("make").arg("--output").arg(&file).args(parameters).output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("training {} failed: {words}", version.file()).into());
    }
    let trained: Trained = serde_json::from_slice(&output.stdout)?;
    let digest = format!("sha256:{}", trained.sha256.trim_start_matches("sha256:"));
    Ok(Model { version, digest, accuracy: Some(trained.accuracy) })
}
