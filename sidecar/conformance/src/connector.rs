//! The connector under test: a process that knows nothing of the kit.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::finding::{Verdict, broken};

/// Lines of its log that a report shows.
const SHOWN: usize = 15;
/// How long it may take to end when it is killed.
const KILL: Duration = Duration::from_secs(10);

/// A connector process.
pub struct Connector {
    command: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    child: Child,
}

impl Connector {
    /// Starts it with this environment besides the kit's own; its log goes into `folder`.
    pub fn start(
        command: &[String],
        environment: Vec<(String, String)>,
        folder: &Path,
    ) -> io::Result<Self> {
        let log = folder.join("connector.log");
        let child = spawn(command, &environment, &log)?;
        Ok(Self { command: command.to_vec(), environment, log, child })
    }

    /// Starts it again if it has ended: what a supervisor does with one that ends when
    /// its stream does.
    pub fn supervise(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_some() {
            self.child = spawn(&self.command, &self.environment, &self.log)?;
        }
        Ok(())
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends it, and what it has started, a signal.
    pub fn signal(&self, signal: Signal) {
        let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) else { return };
        if let Err(error) = killpg(Pid::from_raw(pid), signal) {
            tracing::debug!(pid, %signal, %error, "the connector's process group is gone");
        }
    }

    /// Waits for its end.
    pub async fn exit(&mut self, within: Duration) -> Verdict<ExitStatus> {
        match timeout(within, self.child.wait()).await {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(error)) => broken(format!("its end is not known: {error}")),
            Err(_) => broken(format!("it does not end within {within:?}")),
        }
    }

    /// Kills it.
    pub async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        if timeout(KILL, self.child.wait()).await.is_err() {
            tracing::warn!("the connector is still there after SIGKILL");
        }
    }

    /// All that it printed.
    pub fn log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The last lines that it printed.
    pub fn said(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }
}

fn spawn(command: &[String], environment: &[(String, String)], log: &Path) -> io::Result<Child> {
    let log = File::options().create(true).append(true).open(log)?;
    Command::new(&command[0])
        .args(&command[1..])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}
