//! The connector that the sidecar starts beside itself.

use std::{
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::private;

/// Wait before the first restart; doubled for each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// Longest wait before a restart.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// A connector that ran this long starts again without waiting longer than the
/// first time.
const STABLE: Duration = Duration::from_secs(20);

/// A connector process: started, started again when it fails, ended with the
/// sidecar.
pub struct Supervisor {
    command: Vec<String>,
    address: String,
    stop: CancellationToken,
    /// How long it may take to end before it is killed.
    patience: Duration,
}

impl Supervisor {
    /// For this command; the connector is told the sidecar's address.
    pub fn new(
        command: Vec<String>,
        address: String,
        stop: CancellationToken,
        patience: Duration,
    ) -> Self {
        Self { command, address, stop, patience }
    }

    /// Runs until the sidecar stops, or the connector ends with success.
    pub async fn run(self) {
        let mut backoff = FIRST_BACKOFF;
        while !self.stop.is_cancelled() {
            let started = Instant::now();
            match self.once().await {
                Some(status) if status.success() => {
                    info!(command = self.command[0], "connector finished; it is not started again");
                    return;
                }
                Some(status) => {
                    warn!(command = self.command[0], %status, "connector ended; starting it again in {backoff:?}");
                }
                None => {}
            }
            if started.elapsed() > STABLE {
                backoff = FIRST_BACKOFF;
            }
            tokio::select! {
                () = tokio::time::sleep(backoff) => {}
                () = self.stop.cancelled() => return,
            }
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    /// One life of the connector; none if it could not be started.
    async fn once(&self) -> Option<ExitStatus> {
        let mut child = match self.spawn() {
            Ok(child) => child,
            Err(error) => {
                warn!(
                    command = self.command[0], %error,
                    "cannot start the connector: is the program installed, and on the PATH?"
                );
                return None;
            }
        };
        info!(command = self.command[0], pid = child.id(), "connector started");
        tokio::select! {
            status = child.wait() => status.ok(),
            () = self.stop.cancelled() => self.end(child).await,
        }
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let mut command = Command::new(&self.command[0]);
        command
            .args(&self.command[1..])
            .env("DANUBE_SIDECAR_ADDRESS", &self.address)
            .stdin(Stdio::null())
            // A group of its own: a Ctrl-C at the terminal reaches it through us, once.
            .process_group(0)
            .kill_on_drop(true);
        private::suspended(|| command.spawn())
    }

    async fn end(&self, mut child: Child) -> Option<ExitStatus> {
        signal(&child, Signal::SIGTERM);
        if let Ok(status) = tokio::time::timeout(self.patience, child.wait()).await {
            return status.ok();
        }
        warn!(command = self.command[0], "connector does not end on SIGTERM: killing it");
        signal(&child, Signal::SIGKILL);
        child.wait().await.ok()
    }
}

fn signal(child: &Child, signal: Signal) {
    let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) else { return };
    if let Err(error) = killpg(Pid::from_raw(pid), signal) {
        tracing::debug!(pid, %signal, %error, "the connector's process group is gone");
    }
}
