//! A folder that a manifest lists: the manifest first, verified by its digest, then every file, verified by the
//! manifest, and last the manifest's own copy, so that a folder with one is whole.

use std::fs;
use std::path::Path;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serin_wire::{Manifest, manifest};

use crate::digest::Digest;
use crate::error::FetchError;
use crate::fetch::{Request, fetch};

/// Files fetched at a time.
const AT_ONCE: usize = 8;

/// Fetches the manifest that `request` names, and its files into the folder `request.output`.
pub async fn fetch_directory(request: &Request) -> Result<(), FetchError> {
    let folder = &request.output;
    let written = |path: &Path| {
        let path = path.to_owned();
        move |error| FetchError::Output { path, error }
    };
    fs::create_dir_all(folder).map_err(written(folder))?;

    // Not under its final name before the files are there.
    let listing = folder.join(format!(".{}", manifest::NAME));
    let limit = request.max_bytes.min(manifest::BYTES_MAX as u64);
    let first = Request {
        max_bytes: limit,
        cache: None,
        ..request.of(request.source.clone(), request.digest, None, &listing)
    };
    fetch(&first).await?;
    let bytes = fs::read(&listing).map_err(written(&listing))?;
    let manifest = Manifest::parse(&bytes).map_err(|reason| request.refused(reason))?;
    let size = manifest.files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.size));
    if size.is_none_or(|size| size > request.max_bytes) {
        return Err(request.too_large());
    }
    let files = manifest.files.iter().map(|file| {
        if file.path == manifest::NAME {
            return Err(request.refused(format!("the manifest lists {:?}, its own name", file.path)));
        }
        let digest: Digest = file.digest.parse().map_err(|reason| request.refused(reason))?;
        let source = request.source.beside(&file.path).map_err(|reason| request.refused(reason))?;
        Ok(request.of(source, digest, Some(file.size), &folder.join(&file.path)))
    });
    // All of them are checked before the first is fetched.
    let files = files.collect::<Result<Vec<_>, FetchError>>()?;
    stream::iter(files)
        .map(|file| async move { fetch(&file).await })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;

    let output = folder.join(manifest::NAME);
    fs::rename(&listing, &output).map_err(written(&output))?;
    eprintln!("{}: {} files, {}", folder.display(), manifest.files.len(), request.digest);
    Ok(())
}
