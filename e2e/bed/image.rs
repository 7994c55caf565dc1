//! Container images made from a few files, without any image tool.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::digest;
use crate::error::{At as _, Error};

/// An image of one layer.
#[derive(Debug, Clone)]
pub struct Image {
    /// The name with its tag, e.g. `serin.test/wine:v1`.
    pub name: String,
    /// What a container runs.
    pub entrypoint: Vec<String>,
    /// What is in it, besides an empty `/tmp`.
    pub files: Vec<File>,
    /// The user it runs as.
    pub user: u32,
    /// The image's labels.
    pub labels: BTreeMap<String, String>,
}

/// A file of an image.
#[derive(Debug, Clone)]
pub struct File {
    /// The absolute path in the image.
    pub path: String,
    /// Where its content comes from.
    pub source: Source,
    /// Its permissions, e.g. `0o755`.
    pub mode: u32,
}

/// Where a file's content comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// This.
    Bytes(Vec<u8>),
    /// A file on this machine.
    Host(PathBuf),
}

impl File {
    /// A file with this content.
    pub fn new(path: impl Into<String>, content: impl Into<Vec<u8>>, mode: u32) -> Self {
        Self { path: path.into(), source: Source::Bytes(content.into()), mode }
    }

    /// A copy of a file on this machine.
    pub fn from_host(path: impl Into<String>, host: impl Into<PathBuf>, mode: u32) -> Self {
        Self { path: path.into(), source: Source::Host(host.into()), mode }
    }
}

impl Image {
    /// An image that runs as the unprivileged user 65532, without labels.
    pub fn new<S: Into<String>>(
        name: impl Into<String>,
        entrypoint: impl IntoIterator<Item = S>,
        files: Vec<File>,
    ) -> Self {
        Self {
            name: name.into(),
            entrypoint: entrypoint.into_iter().map(Into::into).collect(),
            files,
            user: 65532,
            labels: BTreeMap::new(),
        }
    }

    /// Writes an OCI archive (<https://github.com/opencontainers/image-spec/blob/main/image-layout.md>) that is a docker-archive,
    /// too; returns the digest of its manifest, `sha256:…`, by which a registry will know it. The same image gives the same
    /// bytes, whenever and wherever it is written.
    pub fn write_tar(&self, path: &Path) -> Result<String, Error> {
        // The layer's digest has to be known before the archive is written,
        // and a layer may be too large to be held in memory.
        let mut layer_path = path.as_os_str().to_owned();
        layer_path.push(".layer");
        let layer_path = PathBuf::from(layer_path);
        let written = self.write_archive(path, &layer_path);
        // Left behind, it would only take up room.
        let _ = fs::remove_file(&layer_path);
        written
    }

    fn write_archive(&self, path: &Path, layer_path: &Path) -> Result<String, Error> {
        let file = fs::File::create(layer_path).at(layer_path)?;
        let mut writer = Hashing::new(io::BufWriter::new(file));
        self.write_layer(&mut writer)?;
        let (sum, size) = writer.finish().at(layer_path)?;
        self.pack(path, layer_path, &sum, size)
    }

    /// The same around a layer that is there already, such as a whole root file system; `files` is not looked at.
    pub fn write_tar_around(&self, layer: &Path, path: &Path) -> Result<String, Error> {
        let mut writer = Hashing::new(io::sink());
        let mut source = fs::File::open(layer).at(layer)?;
        io::copy(&mut source, &mut writer).at(layer)?;
        let (sum, size) = writer.finish().at(layer)?;
        self.pack(path, layer, &sum, size)
    }

    fn pack(&self, path: &Path, layer_path: &Path, sum: &str, size: u64) -> Result<String, Error> {
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "User": self.user.to_string(),
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Entrypoint": self.entrypoint,
                "WorkingDir": "/",
                "Labels": self.labels,
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{sum}")] },
            "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "serin-bed" }],
        })
        .to_string();
        let config_sum = digest::of_bytes(config.as_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described("application/vnd.oci.image.config.v1+json", &config_sum, config.len() as u64),
            "layers": [described("application/vnd.oci.image.layer.v1.tar", sum, size)],
        })
        .to_string();
        let manifest_sum = digest::of_bytes(manifest.as_bytes());
        let mut entry = described(MANIFEST, &manifest_sum, manifest.len() as u64);
        let tag = self.name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        entry["annotations"] =
            json!({"io.containerd.image.name": self.name, "org.opencontainers.image.ref.name": tag});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).to_string();
        let (config_name, layer_name) = (blob(&config_sum), blob(sum));
        // What `docker load` before version 25 reads.
        let docker =
            json!([{"Config": config_name, "RepoTags": [self.name], "Layers": [layer_name]}]).to_string();

        let out = fs::File::create(path).at(path)?;
        let mut archive = Builder::new(io::BufWriter::new(out));
        let mut add = |name: &str, size: u64, content: &mut dyn Read| {
            archive.append_data(&mut header(EntryType::Regular, 0o644, size), name, content)
        };
        let layout = r#"{"imageLayoutVersion":"1.0.0"}"#;
        let texts = [
            ("oci-layout", layout),
            ("index.json", &index),
            ("manifest.json", &docker),
            (&blob(&manifest_sum), &manifest),
            (&config_name, &config),
        ];
        for (name, text) in texts {
            add(name, text.len() as u64, &mut text.as_bytes()).at(path)?;
        }
        let mut layer = fs::File::open(layer_path).at(layer_path)?;
        add(&layer_name, size, &mut layer).at(path)?;
        archive.into_inner().and_then(|mut out| out.flush()).at(path)?;
        Ok(format!("sha256:{manifest_sum}"))
    }

    /// Parents before children, in the order of their names, all root's, all
    /// from 1970.
    fn write_layer(&self, writer: &mut impl Write) -> Result<(), Error> {
        let mut entries: BTreeMap<&str, Option<&File>> = BTreeMap::new();
        entries.insert("tmp", None);
        for file in &self.files {
            let path = self.inner_path(file)?;
            for (end, _) in path.match_indices('/') {
                entries.entry(&path[..end]).or_insert(None);
            }
            entries.insert(path, Some(file));
        }
        let mut layer = Builder::new(writer);
        for (name, file) in entries {
            let Some(file) = file else {
                let mode = if name == "tmp" { 0o1777 } else { 0o755 };
                let mut header = header(EntryType::Directory, mode, 0);
                let path = format!("{name}/");
                layer.append_data(&mut header, path, io::empty()).at(Path::new(name))?;
                continue;
            };
            match &file.source {
                Source::Bytes(bytes) => {
                    let mut header = header(EntryType::Regular, file.mode, bytes.len() as u64);
                    layer.append_data(&mut header, name, &**bytes).at(Path::new(name))?;
                }
                Source::Host(host) => {
                    let open = fs::File::open(host).at(host)?;
                    let size = open.metadata().at(host)?.len();
                    let mut header = header(EntryType::Regular, file.mode, size);
                    layer.append_data(&mut header, name, open).at(host)?;
                }
            }
        }
        layer.finish().at(Path::new(&self.name))
    }

    fn inner_path<'a>(&self, file: &'a File) -> Result<&'a str, Error> {
        let inner = file.path.strip_prefix('/').unwrap_or_default();
        if inner.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(Error::Image {
                image: self.name.clone(),
                detail: format!("{:?} is not a plain absolute path of a file", file.path),
            });
        }
        Ok(inner)
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Where an archive keeps what has this sum.
fn blob(sum: &str) -> String {
    format!("blobs/sha256/{sum}")
}

fn described(media_type: &str, sum: &str, size: u64) -> serde_json::Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{sum}"), "size": size})
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Go's name for this machine's processor, which images use.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Sums and counts what is written through it.
struct Hashing<W> {
    inner: W,
    sum: Sha256,
    size: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, sum: Sha256::new(), size: 0 }
    }

    fn finish(mut self) -> io::Result<(String, u64)> {
        self.inner.flush()?;
        Ok((digest::hex(&self.sum.finalize()), self.size))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(dir: &Path) -> Image {
        let host = dir.join("program");
        fs::write(&host, "ELF").unwrap();
        let mut image = Image::new(
            "serin.test/wine:v1",
            ["/bin/wine", "serve"],
            vec![File::from_host("/bin/wine", host, 0o755), File::new("/data/a/model.json", "{}", 0o644)],
        );
        image.labels.insert("serin.dev/model".into(), "wine".into());
        image
    }

    fn entries(bytes: &[u8]) -> Vec<(String, u32, u64, Vec<u8>)> {
        let mut archive = tar::Archive::new(bytes);
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let header = entry.header();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            let (mode, mtime) = (header.mode().unwrap(), header.mtime().unwrap());
            found.push((name, mode, mtime, content));
        }
        found
    }

    #[test]
    fn an_archive_names_everything_in_it_by_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.tar");
        let digest = image(dir.path()).write_tar(&path).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no layer is left behind");

        let archive: BTreeMap<_, _> = entries(&fs::read(&path).unwrap())
            .into_iter()
            .map(|(name, .., content)| (name, content))
            .collect();
        for (name, content) in &archive {
            if let Some(sum) = name.strip_prefix("blobs/sha256/") {
                assert_eq!(sum, digest::of_bytes(content), "{name}");
            }
        }
        let json = |name: &str| serde_json::from_slice::<serde_json::Value>(&archive[name]).unwrap();
        let at = |digest: &serde_json::Value| blob(digest.as_str().unwrap().strip_prefix("sha256:").unwrap());
        let index = json("index.json");
        assert_eq!(index["manifests"][0]["digest"], digest);
        assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "serin.test/wine:v1");
        let manifest = json(&at(&index["manifests"][0]["digest"]));
        let (config_at, layer_at) = (at(&manifest["config"]["digest"]), at(&manifest["layers"][0]["digest"]));
        assert_eq!(manifest["layers"][0]["size"], archive[&layer_at].len());

        let config = json(&config_at);
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"], "it is not compressed");
        assert_eq!(config["config"]["User"], "65532");
        assert_eq!(config["config"]["Entrypoint"][1], "serve");
        assert_eq!(config["config"]["Labels"]["serin.dev/model"], "wine");

        let docker = json("manifest.json");
        assert_eq!(docker[0]["RepoTags"][0], "serin.test/wine:v1");
        assert_eq!((&docker[0]["Config"], &docker[0]["Layers"][0]), (&config_at.into(), &layer_at.into()));
    }

    #[test]
    fn a_layer_has_every_folder_once_and_a_tmp() {
        let dir = tempfile::tempdir().unwrap();
        let mut layer = Vec::new();
        image(dir.path()).write_layer(&mut layer).unwrap();
        let found: Vec<_> =
            entries(&layer).into_iter().map(|(name, mode, mtime, _)| (name, mode, mtime)).collect();
        let want = [
            ("bin/", 0o755),
            ("bin/wine", 0o755),
            ("data/", 0o755),
            ("data/a/", 0o755),
            ("data/a/model.json", 0o644),
            ("tmp/", 0o1777),
        ];
        assert_eq!(found, want.map(|(name, mode)| (name.to_owned(), mode, 0)));
    }

    #[test]
    fn the_same_image_gives_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("1.tar"), dir.path().join("2.tar"));
        let mut image = image(dir.path());
        image.write_tar(&one).unwrap();
        image.files.reverse();
        image.write_tar(&two).unwrap();
        assert_eq!(fs::read(one).unwrap(), fs::read(two).unwrap());
    }

    #[test]
    fn odd_paths_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["relative", "/", "/a//b", "/a/../b", "/a/"] {
            let image = Image::new("x:1", ["/x"], vec![File::new(path, "", 0o644)]);
            let error = image.write_tar(&dir.path().join("x.tar")).unwrap_err();
            assert!(error.to_string().contains("plain absolute path"), "{path}");
        }
    }
}
