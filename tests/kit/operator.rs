//! The operator's process: built once, started, killed, started again, and ended with the test.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::{profile_folder, root};

/// How to start it.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
    /// The only namespace it looks at; all of them if absent.
    pub namespace: Option<String>,
    /// Prometheus.
    pub prometheus: String,
    /// Its log; appended to.
    pub log: PathBuf,
    /// What it tells: its `RUST_LOG`.
    pub level: String,
    /// Further arguments.
    pub extra: Vec<String>,
    /// The name of its pod.
    pub pod: Option<String>,
}

/// The operator's process, or the place of one that has ended.
pub struct Operator {
    launch: Launch,
    process: Arc<Mutex<Option<Child>>>,
}

impl Operator {
    /// Starts it.
    pub fn start(launch: Launch) -> Self {
        let operator = Self { launch, process: Arc::default() };
        operator.spawn();
        operator
    }

    /// Starts it again, after it has ended.
    pub fn spawn(&self) {
        let launch = &self.launch;
        let log = File::options().create(true).append(true).open(&launch.log).unwrap();
        let mut command = Command::new(program());
        command.arg("operator");
        command.args(["--prometheus-url", &launch.prometheus]);
        command.args(["--agent-image", "serin.dev/agent:test"]);
        command.args(["--listen", "127.0.0.1:0"]);
        if let Some(namespace) = &launch.namespace {
            command.args(["--namespace", namespace]);
        }
        command.args(&launch.extra);
        command.env("KUBECONFIG", &launch.kubeconfig);
        if let Some(pod) = &launch.pod {
            command.env("HOSTNAME", pod);
        }
        let level = std::env::var("SERIN_TESTS_LOG").unwrap_or_else(|_| launch.level.clone());
        command.env("RUST_LOG", level);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut process = self.process.lock().unwrap();
        assert!(process.is_none(), "the operator runs already");
        *process = Some(command.spawn().unwrap());
    }

    /// Something that kills it with SIGKILL, from wherever.
    pub fn killer(&self) -> Arc<dyn Fn() + Send + Sync> {
        let process = self.process.clone();
        Arc::new(move || signal(process.lock().unwrap().as_ref(), Signal::KILL))
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&self) {
        signal(self.process.lock().unwrap().as_ref(), Signal::KILL);
        reap(&self.process);
    }

    /// Lets it stand still (SIGSTOP).
    pub fn pause(&self) {
        signal(self.process.lock().unwrap().as_ref(), Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        signal(self.process.lock().unwrap().as_ref(), Signal::CONT);
    }

    /// Asks it to end (SIGTERM) and waits; gives its exit code, if it ended by itself.
    pub async fn stop(&self) -> Option<i32> {
        signal(self.process.lock().unwrap().as_ref(), Signal::TERM);
        self.reap().await
    }

    /// Waits until it is gone; gives its exit code, if it ended by itself.
    pub async fn reap(&self) -> Option<i32> {
        let process = self.process.clone();
        tokio::task::spawn_blocking(move || reap(&process)).await.unwrap()
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.process.lock().unwrap().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.process.lock().unwrap().as_ref().map(Child::id)
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.launch.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Where it tells its health and its metrics, once it listens.
    pub fn address(&self) -> Option<String> {
        self.listens("serin is running")
    }

    /// Where it serves the page, if it does.
    pub fn page(&self) -> Option<String> {
        self.listens("the page is served")
    }

    /// The address in the last line of the log that says this.
    fn listens(&self, words: &str) -> Option<String> {
        let log = self.log();
        let line = log.lines().rev().find(|line| line.contains(words))?;
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(line["address"].as_str()?.to_owned())
    }

    /// How it is started.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// How it is started; for the next time.
    pub fn launch_mut(&mut self) -> &mut Launch {
        &mut self.launch
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A child that was not waited for keeps its id, so the signal cannot hit another process.
fn signal(child: Option<&Child>, signal: Signal) {
    let id = child.and_then(|child| i32::try_from(child.id()).ok()).and_then(Pid::from_raw);
    if let Some(id) = id {
        let _ = kill_process(id, signal);
    }
}

/// Leaves the child where it is until it has ended, so that it can still be signalled.
fn reap(process: &Mutex<Option<Child>>) -> Option<i32> {
    loop {
        let mut place = process.lock().unwrap();
        let ended = place.as_mut()?.try_wait().unwrap();
        let Some(status) = ended else {
            drop(place);
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        place.take();
        return exit_code(status);
    }
}

fn exit_code(status: ExitStatus) -> Option<i32> {
    status.signal().is_none().then(|| status.code()).flatten()
}

/// The program under test, once [`build`] has run.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Where it is: the operator and the command line in one.
pub fn program() -> &'static Path {
    PROGRAM.get().unwrap()
}

/// Sees to the program under test: `$SERIN_BIN`, or built from this tree once a test run. Minutes: not for a thread on
/// which others wait.
pub(crate) fn build() {
    PROGRAM.get_or_init(|| {
        if let Some(given) = std::env::var_os("SERIN_BIN") {
            return given.into();
        }
        let folder = profile_folder();
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(root()).args(["build", "--quiet", "-p", "serin"]);
        if folder.ends_with("release") {
            command.arg("--release");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "cargo build -p serin: {}", String::from_utf8_lossy(&output.stderr));
        folder.join("serin")
    });
}
