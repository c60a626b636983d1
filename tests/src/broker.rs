//! The broker of a test.

use std::path::Path;

use tokio::process::Command;

use crate::process::{Process, binary};

/// The embedded broker in a process of its own, or the one that
/// `DANUBE_SERVICE_URL` names.
pub struct Broker {
    url: String,
    process: Option<Process>,
}

impl Broker {
    /// The broker that the environment names, else an embedded one in memory.
    pub async fn start() -> Self {
        match std::env::var("DANUBE_SERVICE_URL") {
            Ok(url) => Self { url, process: None },
            Err(_) => Self::embedded(&[]).await,
        }
    }

    /// An embedded broker with these arguments.
    pub async fn embedded(arguments: &[&str]) -> Self {
        let mut command = Command::new(binary("danube-devbroker"));
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        let process = Process::start("broker", &mut command);
        let url = process.line("http://").await;
        Self { url, process: Some(process) }
    }

    /// An embedded broker that keeps its messages in `data_dir`, at this address.
    pub async fn durable(address: &str, data_dir: &Path) -> Self {
        let mut command = Command::new(binary("danube-devbroker"));
        command.args(["--listen", address, "--data-dir"]).arg(data_dir);
        let process = Process::start("broker", &mut command);
        let url = process.line("http://").await;
        Self { url, process: Some(process) }
    }

    /// Where clients connect.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// SIGKILL.
    ///
    /// # Panics
    /// When it is not ours.
    pub async fn kill(&mut self) {
        self.process.as_mut().expect("only an embedded broker can be killed").kill().await;
    }
}

/// Whether a test that needs switches or kills of the broker must be left out; says
/// so where it must.
pub fn needs_embedded_broker(test: &str) -> bool {
    let foreign = std::env::var_os("DANUBE_SERVICE_URL").is_some();
    if foreign {
        eprintln!("{test}: needs the embedded broker");
    }
    foreign
}
