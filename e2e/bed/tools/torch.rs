//! An image with PyTorch, made from Debian's packages. Large, and slow to make, so it is only made when asked for.

use std::path::PathBuf;
use std::process::Command;

use super::{Progress, cached};
use crate::error::{At as _, Error};
use crate::image::Image;
use crate::{debian, paths, run};

/// Name of the image.
pub const IMAGE: &str = "serin.test/torch:1";
const FOLDER: &str = "torch-bookworm-1";
const FILE: &str = "image.tar";

/// The image's archive, if it was made before.
pub fn made() -> Option<PathBuf> {
    Some(paths::tools().join(FOLDER).join(FILE)).filter(|file| file.is_file())
}

/// The image's archive, made if it was not: a root file system of Debian with `python3-torch`.
pub fn make(progress: Progress) -> Result<PathBuf, Error> {
    let folder = cached(FOLDER, progress, |out, progress| {
        debian::install_mmdebstrap(progress)?;
        progress("making an image with PyTorch from Debian's packages (1 to 5 minutes, once)");
        let layer = out.join("layer.tar");
        run::output(
            Command::new("nice")
                .args(["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3-torch"])
                .args(["--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*"])
                // Nobody installs anything in there any more.
                .args(["--customize-hook=rm -rf \"$1\"/var/lib/apt/lists \"$1\"/var/cache/apt"])
                .arg("bookworm")
                .arg(&layer),
        )?;
        Image::new(IMAGE, ["/usr/bin/python3"], Vec::new()).write_tar_around(&layer, &out.join(FILE))?;
        std::fs::remove_file(&layer).at(&layer)
    })?;
    Ok(folder.join(FILE))
}
