//! `serin crds`.

use std::path::PathBuf;

use crate::{Failure, output};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Write them into this directory instead, one file each; may be given more than once.
    #[arg(long)]
    output: Vec<PathBuf>,
}

/// Prints or writes them.
pub fn run(args: &Args) -> Result<(), Failure> {
    if args.output.is_empty() {
        return output::print(&serin_api::crds_yaml()?);
    }
    let files = serin_api::crd_files()?;
    for folder in &args.output {
        std::fs::create_dir_all(folder)?;
        for (name, text) in &files {
            std::fs::write(folder.join(name), text)?;
        }
    }
    Ok(())
}
