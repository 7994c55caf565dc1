//! How fast the agent fetches and publishes, beside a plain copy of the same file to and from the same server, in turns: what
//! is fetched comes in one request, what is published goes in parts, nothing is hashed. What was fetched is flushed to the
//! disk, both ways.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;
use serin_bed::Bed;
use serin_wire::{places, task};
use sha2::{Digest as _, Sha256};

use crate::{
    Error,
    images::{self, Built},
    s3::Store,
};

/// Size of the file, bytes.
const SIZE: u64 = 512 << 20;
/// Of each kind of transfer; the median counts.
const ROUNDS: usize = 5;
/// Bucket and key of the file, and of a plain copy of it.
const BUCKET: &str = "models";
const THERE: &str = "transfer/there";
const COPIED: &str = "transfer/copied";

/// Prints what was measured as a table.
pub fn measure(bed: &Bed, built: &Built, say: &mut dyn FnMut(&str)) -> Result<(), Error> {
    let folder = images::target().join("e2e").join("transfer");
    let moving = Moving::new(bed, built, &folder)?;
    moving.store.upload(BUCKET, THERE, &moving.file)?;
    let mut times: [Vec<Duration>; 4] = Default::default();
    for round in 1..=ROUNDS {
        say(&format!("{} MiB there and back, round {round} of {ROUNDS}", SIZE >> 20));
        let transfers: [&dyn Fn() -> Result<Duration, Error>; 4] =
            [&|| moving.plain_fetch(), &|| moving.fetch(), &|| moving.plain_publish(), &|| moving.publish()];
        for (times, transfer) in times.iter_mut().zip(transfers) {
            // What the last one wrote is not to be written during the next one.
            Command::new("sync").status()?;
            times.push(transfer()?);
        }
    }
    moving.store.remove(BUCKET, THERE)?;
    moving.store.remove(BUCKET, COPIED)?;
    fs::remove_dir_all(&folder)?;

    let [plain_fetch, fetch, plain_publish, publish] = times.map(median);
    println!("| figure | reached | goal | plain copy |\n|---|---|---|---|");
    for (what, ours, plain) in [("fetch", fetch, plain_fetch), ("publish", publish, plain_publish)] {
        let share = 100.0 * plain.as_secs_f64() / ours.as_secs_f64();
        println!("| {what}, {} MiB | {}, {share:.0} % | 80 % | {} |", SIZE >> 20, speed(ours), speed(plain));
    }
    Ok(())
}

/// One file, and everybody who moves it.
struct Moving {
    agent: PathBuf,
    store: Store,
    /// The pod's `/`.
    root: PathBuf,
    /// The file, as a program would leave it.
    file: PathBuf,
    /// Where it is fetched to.
    fetched: PathBuf,
    digest: String,
}

impl Moving {
    fn new(bed: &Bed, built: &Built, folder: &Path) -> Result<Self, Error> {
        let root = folder.join("root");
        let output = root.join(places::OUTPUT_DIR.trim_start_matches('/'));
        fs::create_dir_all(&output)?;
        // The kubelet makes it.
        let log = root.join(places::TERMINATION_LOG.trim_start_matches('/'));
        fs::create_dir_all(root.join("dev")).and_then(|()| fs::write(log, ""))?;
        let file = output.join("weights.bin");
        // Nothing that a file system could pack.
        let mut content = File::open("/dev/urandom")?.take(SIZE);
        std::io::copy(&mut content, &mut File::create(&file)?)?;
        let mut hasher = Sha256::new();
        std::io::copy(&mut File::open(&file)?, &mut hasher)?;
        Ok(Self {
            agent: built.agent.clone(),
            store: Store::of(bed)?,
            digest: format!("{:x}", hasher.finalize()),
            fetched: folder.join("fetched"),
            root,
            file,
        })
    }

    fn plain_fetch(&self) -> Result<Duration, Error> {
        let _ = fs::remove_file(&self.fetched);
        let start = Instant::now();
        self.store.download(BUCKET, THERE, &self.fetched)?;
        File::open(&self.fetched)?.sync_all()?;
        Ok(start.elapsed())
    }

    fn fetch(&self) -> Result<Duration, Error> {
        let _ = fs::remove_file(&self.fetched);
        let mut command = self.agent("fetch");
        command.args(["--uri", &format!("s3://{BUCKET}/{THERE}")]);
        command.args(["--digest", &format!("sha256:{}", self.digest)]);
        timed(command.arg("--output").arg(&self.fetched))
    }

    fn plain_publish(&self) -> Result<Duration, Error> {
        self.store.remove(BUCKET, COPIED)?;
        let start = Instant::now();
        self.store.upload(BUCKET, COPIED, &self.file)?;
        Ok(start.elapsed())
    }

    fn publish(&self) -> Result<Duration, Error> {
        let storage = json!({"endpoint": self.store.access.endpoint, "region": self.store.access.region});
        let output = format!("s3://{BUCKET}/transfer/published");
        let work =
            json!({"kind": "train", "runUid": "f", "attempt": 1, "output": output, "storage": storage});
        let mut command = self.agent("run");
        command.env(places::TASK, work.to_string()).env(task::INDEX, "0");
        let took = timed(command.args(["--", "/bin/true"]))?;
        for name in self.store.list(BUCKET, "transfer/published/")? {
            self.store.remove(BUCKET, &name)?;
        }
        Ok(took)
    }

    fn agent(&self, what: &str) -> Command {
        let access = &self.store.access;
        let mut command = Command::new(&self.agent);
        command.arg(what).arg("--root").arg(&self.root);
        command.env("AWS_ACCESS_KEY_ID", &access.access_key_id);
        command.env("AWS_SECRET_ACCESS_KEY", &access.secret_access_key);
        command.env("SERIN_STORAGE_ENDPOINT", &access.endpoint);
        command.env("SERIN_STORAGE_REGION", &access.region);
        command
    }
}

fn timed(command: &mut Command) -> Result<Duration, Error> {
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    let took = start.elapsed();
    if output.status.success() {
        return Ok(took);
    }
    Err(format!("serin-agent: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn speed(took: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "half a gigabyte")]
    let megabytes = SIZE as f64 / 1e6;
    format!("{:.0} MB/s", megabytes / took.as_secs_f64())
}
