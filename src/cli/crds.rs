//! `serin crds`.

use std::path::PathBuf;

use crate::{Failure, output};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Write them into this directory instead, one file each.
    #[arg(long)]
    output: Option<PathBuf>,
}

/// Prints or writes them.
pub fn run(args: &Args) -> Result<(), Failure> {
    let Some(folder) = &args.output else {
        return output::print(&serin_api::crds_yaml()?);
    };
    std::fs::create_dir_all(folder)?;
    for (name, text) in serin_api::crd_files()? {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
