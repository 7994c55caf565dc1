//! Starting processes that outlive us, and ending exactly those.
//!
//! A process is known by its id *and* its start time: ids are reused, the pair
//! is not while the machine stays up. Each process writes that pair itself
//! before it becomes the program (its `/proc/self/stat` line), so there is no
//! moment at which it runs and nobody knows.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{At as _, Error};
use crate::{files, run};

/// Writes the record, joins the cgroup if there is one, becomes the program.
const LAUNCHER: &str = r#"
cat "/proc/$$/stat" > "$1.new" && mv "$1.new" "$1" || exit 1
[ -z "$2" ] || echo $$ > "$2" || exit 1
shift 2
exec "$@"
"#;

/// Ours, and the system's folders that an ordinary user's often leaves out.
fn search_path() -> String {
    let ours = env::var("PATH").unwrap_or_default();
    format!("{ours}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

/// One process of a bed: what to run, and under which name its record and log
/// are kept.
#[derive(Debug, Clone)]
pub struct Process {
    /// The short name, e.g. `etcd`.
    pub name: &'static str,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Environment variables on top of ours.
    pub env: Vec<(&'static str, String)>,
}

/// Where a bed's processes run and leave their traces.
#[derive(Debug, Clone)]
pub struct Place {
    /// The home folder of all of them.
    pub home: PathBuf,
    /// One log per process.
    pub logs: PathBuf,
    /// One record per process.
    pub records: PathBuf,
    /// The network namespace, if not the host's.
    pub netns: Option<String>,
    /// The `cgroup.procs` file to join, if any.
    pub cgroup: Option<PathBuf>,
}

impl Place {
    /// A process's log.
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    fn record(&self, name: &str) -> PathBuf {
        self.records.join(name)
    }

    /// The process as recorded, if it still runs.
    pub fn running(&self, name: &str) -> Option<Identity> {
        let record = fs::read_to_string(self.record(name)).ok()?;
        Identity::parse(&record).filter(Identity::is_running)
    }

    /// The last line a process logged.
    pub fn last_words(&self, name: &str) -> String {
        let log = fs::read(self.log(name)).unwrap_or_default();
        let tail = &log[log.len().saturating_sub(8192)..];
        run::last_line(&String::from_utf8_lossy(tail)).unwrap_or_else(|| "it said nothing".into())
    }

    /// Starts a process, unless it runs already.
    pub fn start(&self, process: &Process) -> Result<(), Error> {
        if self.running(process.name).is_some() {
            return Ok(());
        }
        let record = self.record(process.name);
        // A record left from before must not pass for the new process's.
        match fs::remove_file(&record) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).at(&record);
            }
            _ => {}
        }
        files::make_dir(&self.records)?;
        files::make_dir(&self.logs)?;
        let path = self.log(process.name);
        let log = File::options().create(true).append(true).open(&path).at(&path)?;
        let errors = log.try_clone().at(&path)?;

        // `setsid` execs in place here: a freshly spawned child leads no group.
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", LAUNCHER, "sh"]).arg(&record);
        command.arg(self.cgroup.as_deref().unwrap_or(Path::new("")));
        if let Some(netns) = &self.netns {
            // Not `ip netns exec`: it remounts /sys and hides the cgroups.
            command.arg("nsenter");
            command.arg(format!("--net=/run/netns/{netns}"));
            command.arg("--");
        }
        command
            .args(&process.argv)
            // Whoever brings a bed up may have set KUBECONFIG, proxies or
            // options of these very programs. A bed must not follow them to
            // another cluster.
            .env_clear()
            .env("PATH", search_path())
            .env("HOME", &self.home)
            .envs(process.env.iter().map(|(key, value)| (key, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        let mut child = command.spawn().map_err(|error| Error::Command {
            what: format!("starting {}", process.name),
            detail: error.to_string(),
        })?;
        // Whoever uses the library may live long; its dead children should not
        // stay as zombies.
        thread::spawn(move || child.wait());

        let until = Instant::now() + Duration::from_secs(5);
        while !record.exists() {
            if Instant::now() > until {
                return Err(self.died(process.name));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// The error that says a process ended by itself.
    pub fn died(&self, name: &str) -> Error {
        Error::Died { name: name.to_owned(), detail: self.last_words(name), log: self.log(name) }
    }

    /// Ends a process: asks, waits up to `patience`, then insists.
    pub fn stop(&self, name: &str, patience: Duration) {
        let Some(identity) = self.running(name) else {
            return;
        };
        identity.signal(Signal::TERM);
        if !identity.gone_within(patience) {
            identity.signal(Signal::KILL);
            identity.gone_within(Duration::from_secs(5));
        }
    }

    /// Ends every recorded process at once, without asking.
    pub fn kill_all(&self) {
        let Ok(records) = fs::read_dir(&self.records) else {
            return;
        };
        let running: Vec<Identity> = records
            .flatten()
            .filter_map(|entry| Identity::parse(&fs::read_to_string(entry.path()).ok()?))
            .filter(Identity::is_running)
            .collect();
        for identity in &running {
            identity.signal(Signal::KILL);
        }
        for identity in &running {
            identity.gone_within(Duration::from_secs(5));
        }
    }
}

/// A process id with the start time that makes it unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The process id.
    pub pid: i32,
    started: u64,
    dead: bool,
}

impl Identity {
    /// Reads a `/proc/PID/stat` line. The second field, the program's name in
    /// parentheses, may itself hold spaces and parentheses.
    fn parse(stat: &str) -> Option<Self> {
        let (pid, _) = stat.split_once(' ')?;
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?;
        // `state` is field 3; the start time is field 22.
        let started = fields.nth(18)?;
        Some(Self {
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
            dead: matches!(state, "Z" | "X"),
        })
    }

    fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Whether this very process still runs; a zombie does not.
    pub fn is_running(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now.started == self.started && !now.dead)
    }

    fn signal(&self, signal: Signal) {
        if self.is_running()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            // It may have ended in between, which is what is wanted.
            let _ = kill_process(pid, signal);
        }
    }

    fn gone_within(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while self.is_running() {
            if Instant::now() > until {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

/// Differs after every start of the machine.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4242 (a (odd) name) S 1 4242 4242 0 -1 4194304 93 0 0 0 0 0 0 0 20 0 1 0 \
                        987654 2326528 158 18446744073709551615";

    #[test]
    fn a_stat_line_with_an_odd_name() {
        let identity = Identity::parse(STAT).unwrap();
        assert_eq!((identity.pid, identity.started), (4242, 987_654));
        assert!(!identity.dead);
        assert!(Identity::parse(&STAT.replace(" S ", " Z ")).unwrap().dead);
        assert_eq!(Identity::parse("12 (cut off"), None);
        assert_eq!(Identity::parse(""), None);
    }

    #[test]
    fn a_reused_id_is_another_process() {
        let own = i32::try_from(std::process::id()).unwrap();
        let me = Identity::of(own).unwrap();
        assert!(me.is_running());
        let earlier = Identity { started: me.started - 1, ..me };
        assert!(!earlier.is_running());
        // Nothing happens to us: the earlier process is gone.
        earlier.signal(Signal::KILL);
        assert!(earlier.gone_within(Duration::ZERO));
    }

    #[test]
    fn a_process_is_recorded_found_and_ended() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place {
            home: dir.path().to_owned(),
            logs: dir.path().join("logs"),
            records: dir.path().join("records"),
            netns: None,
            cgroup: None,
        };
        let process = Process {
            name: "sleeper",
            argv: ["sh", "-c", "echo \"$WORD $CARGO\"; exec sleep 60"].map(Into::into).into(),
            env: vec![("WORD", "started".into())],
        };
        place.start(&process).unwrap();
        let first = place.running("sleeper").unwrap();
        place.start(&process).unwrap();
        assert_eq!(place.running("sleeper").unwrap().pid, first.pid);
        let deadline = Instant::now() + Duration::from_secs(20);
        while place.last_words("sleeper") != "started" {
            assert!(Instant::now() < deadline, "it says {:?}", place.last_words("sleeper"));
            std::thread::sleep(Duration::from_millis(10));
        }
        place.stop("sleeper", Duration::from_secs(5));
        assert!(place.running("sleeper").is_none());

        place.start(&process).unwrap();
        place.kill_all();
        assert!(place.running("sleeper").is_none());
    }
}
