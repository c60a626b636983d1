//! A program beside this one: its log in a file, signals, its end. For programs that are
//! no tests: what goes wrong is an error.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// How long a program may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often its log is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A running program. Dropping it kills it.
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it; all that it prints goes to `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, mut command: Command, log: PathBuf) -> anyhow::Result<Self> {
        let file = File::create(&log).with_context(|| log.display().to_string())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Its process id; none when it has ended.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until it prints a line with `text`, and returns the line.
    ///
    /// # Errors
    /// When it ends, or takes too long.
    pub async fn line(&mut self, text: &str) -> anyhow::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let printed = std::fs::read_to_string(&self.log)?;
            let whole = printed.rfind('\n').map_or("", |end| &printed[..end]);
            if let Some(line) = whole.lines().find(|line| line.contains(text)) {
                return Ok(line.to_owned());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} instead of starting: {printed}", self.name);
            }
            if Instant::now() > deadline {
                bail!("{} did not print `{text}` in {PATIENCE:?}: {printed}", self.name);
            }
            sleep(LOOK).await;
        }
    }

    /// Sends it a signal; one that has ended does not mind.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let Some(pid) = self.child.id() else { return Ok(()) };
        match kill(Pid::from_raw(pid.cast_signed()), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("{signal} for {}", self.name)),
        }
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it takes too long.
    pub async fn exit(&mut self) -> anyhow::Result<ExitStatus> {
        self.exit_within(PATIENCE).await
    }

    /// Waits for the end of one that has work to do first.
    ///
    /// # Errors
    /// When it takes longer.
    pub async fn exit_within(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        match timeout(patience, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} does not end within {patience:?}", self.name),
        }
    }

    /// SIGKILL, and its end.
    ///
    /// # Errors
    /// When it takes too long.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.exit().await.map(drop)
    }

    /// SIGTERM, and its end, which must be a good one.
    ///
    /// # Errors
    /// When it is none, or takes too long.
    pub async fn terminate(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM)?;
        let status = self.exit().await?;
        if !status.success() {
            bail!("{} ended with {status} after SIGTERM", self.name);
        }
        Ok(())
    }
}

/// A program of this workspace that stands beside this one.
///
/// # Errors
/// When it is not built.
pub fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let path = own.parent().map(|folder| folder.join(name)).unwrap_or_default();
    if !path.exists() {
        bail!("{} is not built: run `cargo build --workspace` first", path.display());
    }
    Ok(path)
}
