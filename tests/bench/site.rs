//! What a case is measured on: an embedded broker and a sidecar, each a process of its
//! own, in a folder of its own.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use danube_sidecar_tests::program::{Program, beside};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::process::Command;

/// How long a measurement may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a page is asked while something is waited for.
const LOOK: Duration = Duration::from_millis(5);

/// The metric that counts resolved records, by how.
const RESOLVED: &str = "danube_connector_messages_processed_total{";

/// Most of a page that is shown where something is wrong.
const MOST_SHOWN: usize = 500;

/// What the broker may hold: more than any case has it hold.
const BACKLOG: &str = "4000000000";

/// A folder for a case's logs and data.
pub struct Site {
    folder: PathBuf,
    started: u32,
}

/// A running broker.
pub struct Broker {
    /// Where clients connect.
    pub url: String,
    _program: Program,
}

/// A running sidecar.
pub struct Sidecar {
    /// Where connectors dial.
    pub address: String,
    /// Where its pages are.
    pub http: String,
    /// The process.
    pub program: Program,
    /// From its start until it was ready.
    pub ready_after: Duration,
}

impl Site {
    /// In this folder, which is made.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), started: 0 })
    }

    /// An embedded broker that holds its messages in memory.
    pub async fn broker(&mut self, window: usize) -> anyhow::Result<Broker> {
        let mut command = Command::new(beside("danube-devbroker")?);
        command.args(["--listen", "127.0.0.1:0", "--no-admin"]);
        command.args(["--max-unacked-messages", &window.to_string()]);
        command.args(["--max-backlog-bytes", BACKLOG]);
        let mut program = Program::start("broker", command, self.log("broker"))?;
        let url = program.line("http://").await?.trim().to_owned();
        Ok(Broker { url, _program: program })
    }

    /// A sidecar next to a broker, with more in its file.
    pub async fn sidecar(&mut self, broker: &str, more: &str) -> anyhow::Result<Sidecar> {
        let file = self.folder.join(format!("sidecar-{}.toml", self.started));
        let text = format!("danube_service_url = \"{broker}\"\n{more}\n");
        std::fs::write(&file, text)?;
        let mut command = Command::new(beside("danube-sidecar")?);
        command
            .args(["run", "--log-format", "json", "--listen", "127.0.0.1:0"])
            .args(["--http-listen", "127.0.0.1:0", "--config"])
            .arg(file)
            .env_remove("DANUBE_SERVICE_URL");
        let began = Instant::now();
        let mut program = Program::start("sidecar", command, self.log("sidecar"))?;
        let ready: Value = serde_json::from_str(&program.line("sidecar ready").await?)?;
        let ready_after = began.elapsed();
        let field = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
        let (address, http) = (field("connectors"), field("http"));
        Ok(Sidecar { address, http, program, ready_after })
    }

    /// One of this program's roles.
    pub fn role(&mut self, arguments: &[&str], sidecar: Option<&str>) -> anyhow::Result<Program> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments);
        if let Some(address) = sidecar {
            command.env("DANUBE_SIDECAR_ADDRESS", address);
        }
        let name = arguments.first().copied().unwrap_or("role");
        Program::start(name, command, self.log(name))
    }

    /// The Python sink of the benchmark, with the stubs that `make setup` has made.
    pub fn python(&mut self, arguments: &[&str], sidecar: &str) -> anyhow::Result<Program> {
        let mut command = Command::new(".tools/venv/bin/python");
        command.arg("tests/bench/python/sink.py").args(arguments);
        command.env("PYTHONPATH", "examples/sqlite-sink-python");
        command.env("DANUBE_SIDECAR_ADDRESS", sidecar);
        Program::start("python", command, self.log("python"))
    }

    /// Runs a role to its end.
    pub async fn run(&mut self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut program = self.role(arguments, None)?;
        let status = program.exit_within(PATIENCE).await?;
        if !status.success() {
            bail!("{arguments:?} ended with {status}: {}", text(program.log()));
        }
        Ok(())
    }

    /// A folder of this case that nobody has yet.
    pub fn data(&mut self) -> PathBuf {
        self.started += 1;
        self.folder.join(format!("data-{}", self.started))
    }

    fn log(&mut self, name: &str) -> PathBuf {
        self.started += 1;
        self.folder.join(format!("{:02}-{name}.log", self.started))
    }
}

impl Sidecar {
    /// Its process id.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.program.id().context("the sidecar runs")
    }

    /// Waits until so many records are resolved, by its metrics. Tells how many are then,
    /// and when that was.
    pub async fn resolved(&self, records: f64) -> anyhow::Result<(f64, Instant)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = reqwest::get(format!("{}/metrics", self.http)).await?.text().await?;
            let lines = page.lines().filter(|line| line.starts_with(RESOLVED));
            let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
            let resolved = values.sum();
            if resolved >= records {
                return Ok((resolved, Instant::now()));
            }
            if Instant::now() > deadline {
                bail!("{resolved} records of {records} are resolved after {PATIENCE:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until its first sink is as wanted, by its status page.
    pub async fn sink_is(&self, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = reqwest::get(format!("{}/status", self.http)).await?.text().await?;
            let status: Value = serde_json::from_str(&page)?;
            if wanted(&status["sinks"][0]) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let begin: String = page.chars().take(MOST_SHOWN).collect();
                bail!("the sink is not as wanted after {PATIENCE:?}: {begin}…");
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Waits for what a role measured.
pub async fn measured<T: DeserializeOwned>(program: &mut Program) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let printed = text(program.log());
        let lines = printed.lines().filter(|line| line.starts_with('{'));
        if let Some(measured) = lines.filter_map(|line| serde_json::from_str(line).ok()).next() {
            return Ok(measured);
        }
        if Instant::now() > deadline {
            bail!("nothing was measured within {PATIENCE:?}: {printed}");
        }
        if let Some(status) = program.ended()?.filter(|status| !status.success()) {
            bail!("ended with {status} before it had measured anything: {printed}");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Resident memory of a process, in bytes.
pub fn resident(pid: u32) -> anyhow::Result<u64> {
    memory(pid, "VmRSS:")
}

/// The most resident memory that a process ever had, in bytes.
pub fn most_resident(pid: u32) -> anyhow::Result<u64> {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib: u64 = line.context("no such line")?.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

/// Processor time of a process so far, in seconds.
pub fn processor(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok());
    let (user, system) = (ticks(11).context("no utime")?, ticks(12).context("no stime")?);
    // The kernel's unit is a hundredth of a second on every Linux that is built today.
    Ok((user + system) / 100.0)
}

fn text(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}
