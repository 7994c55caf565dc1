//! `cargo image`: the operator's image as a file, from this checkout, without a container engine; and the same bytes for
//! whoever builds the same commit with the same toolchain and C library.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use clap::Args;
use serin_e2e::{Error, images, sbom};

const PROGRAMS: [&str; 2] = ["serin", "serin-agent"];

/// Flags of `cargo image`.
#[derive(Args, Debug, Clone)]
pub struct Arguments {
    /// Name of the image
    #[arg(long, default_value = images::SERIN, value_name = "NAME:TAG")]
    tag: String,
    /// Where to write it: an OCI archive that `docker load`, `ctr images import`, `skopeo` and `crane` read
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Build the committed state twice more, from two other folders, and compare: takes three times as long
    #[arg(long)]
    check: bool,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> ExitCode {
    match make(arguments, Instant::now()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo image: {error}");
            ExitCode::FAILURE
        }
    }
}

fn make(arguments: &Arguments, start: Instant) -> Result<(), Error> {
    let say = |line: &str| eprintln!("[{:6.1} s] {line}", start.elapsed().as_secs_f32());
    let out = images::target().join("image");
    std::fs::create_dir_all(&out)?;
    let file = arguments.output.clone().unwrap_or_else(|| out.join("serin.tar"));
    say("building static programs (release; some minutes the first time)");
    let bill = sbom::of(&PROGRAMS, images::TARGET)?;
    std::fs::write(out.join("sbom.cdx.json"), &bill)?;
    let digest = image(images::repository(), &images::target(), &arguments.tag, &bill, &file)?;
    if arguments.check {
        for folder in ["one", "another/one"] {
            say(&format!("building the committed state again, in a folder {folder}"));
            let again = again(&out.join("check").join(folder), &arguments.tag, &bill)?;
            if again != digest {
                return Err(format!(
                    "not the same bytes: {digest} here, {again} in {folder} (is something not committed?)"
                )
                .into());
            }
        }
        std::fs::remove_dir_all(out.join("check"))?;
        say("three builds, the same bytes");
    }
    say(&format!("{} and {}", file.display(), out.join("sbom.cdx.json").display()));
    println!("{}@{digest}", arguments.tag);
    Ok(())
}

/// The image's digest.
fn image(source: &Path, target: &Path, tag: &str, bill: &[u8], file: &Path) -> Result<String, Error> {
    let bin = images::static_binaries(source, target, &PROGRAMS)?;
    Ok(images::serin(tag, &bin, Some(bill.to_owned())).write_tar(file)?)
}

/// The digest of what is committed, built in another folder.
fn again(folder: &Path, tag: &str, bill: &[u8]) -> Result<String, Error> {
    let source = folder.join("source");
    if source.exists() {
        std::fs::remove_dir_all(&source)?;
    }
    std::fs::create_dir_all(folder)?;
    let cloned = Command::new("git")
        .args(["clone", "--quiet", "--no-hardlinks"])
        .args([images::repository(), &source])
        .stdin(Stdio::null())
        .status()?;
    if !cloned.success() {
        return Err("git clone failed; its errors stand above".into());
    }
    image(&source, &folder.join("target"), tag, bill, &folder.join("serin.tar"))
}
