//! The programs of a round: started, killed, started again, looked at.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use danube_client::DanubeClient;
use danube_sidecar_tests::program::{Program, beside};
use serde_json::Value;
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use crate::{
    account::Names,
    clock::Clock,
    config,
    disk::Disk,
    proxy::Proxy,
    schedule::{Kind, Profile, Round},
};

/// How long the sinks take over a record, and the source: the sinks keep up.
const SINK_MICROSECONDS: u64 = 500;
const SOURCE_MICROSECONDS: u64 = 700;
/// How long the subscription may take to be there.
const PATIENCE: Duration = Duration::from_secs(20);

/// All programs of a round, each behind a proxy from those that dial it.
pub struct Site {
    /// How things are called.
    pub names: Names,
    /// From the sidecar to the broker.
    pub broker_link: Proxy,
    /// From connectors to the sidecar.
    pub connector_link: Proxy,
    /// The broker.
    pub broker: Program,
    /// The sidecar.
    pub sidecar: Program,
    /// The sink workers.
    pub sinks: Vec<Program>,
    /// The source, once it is started.
    pub source: Option<Program>,
    /// The sidecar's disk, where it is a small one.
    pub disk: Option<Disk>,
    /// The sidecar's clock, where it is not the machine's.
    pub clock: Option<Clock>,
    /// Logs of all sidecars of the round.
    pub sidecar_logs: Vec<PathBuf>,
    plan: Plan,
    status: String,
}

/// What programs are started from.
struct Plan {
    folder: PathBuf,
    round: Round,
    names: Names,
    sequence: String,
    address: String,
    started: u32,
}

impl Site {
    /// Starts everything; records flow when this returns.
    pub async fn start(round: &Round, folder: &Path) -> anyhow::Result<Self> {
        let names = Names::default();
        let (broker_link, connector_link) = (Proxy::start().await?, Proxy::start().await?);
        let mut plan = Plan {
            folder: folder.to_owned(),
            round: round.clone(),
            names: names.clone(),
            sequence: serde_json::to_string(&round.sequence)?,
            address: connector_link.url(),
            started: 0,
        };
        let disk = round.has(Kind::DiskFull).then(|| Disk::mount(&plan.data_dir())).transpose()?;
        let jumps = round.has(Kind::ClockForwards) || round.has(Kind::ClockBack);
        let clock = jumps.then(|| Clock::new(&folder.join("clock"))).transpose()?;
        let broker = plan.broker(&broker_link).await?;
        plan.create_topic(&broker_link.url()).await?;
        let text = config::text(round, &names, &broker_link.url(), &plan.data_dir());
        fs::write(plan.config(), text)?;
        let (sidecar, status) = plan.sidecar(&connector_link, clock.as_ref()).await?;
        let mut site = Self {
            names,
            broker_link,
            connector_link,
            sidecar_logs: vec![sidecar.log().to_owned()],
            source: None,
            broker,
            sidecar,
            sinks: Vec::new(),
            disk,
            clock,
            plan,
            status,
        };
        site.attached().await?;
        for _ in 0..round.workers {
            site.start_sink()?;
        }
        site.start_source()?;
        Ok(site)
    }

    /// Starts the broker again.
    pub async fn start_broker(&mut self) -> anyhow::Result<()> {
        self.broker = self.plan.broker(&self.broker_link).await?;
        Ok(())
    }

    /// Starts the sidecar again.
    pub async fn start_sidecar(&mut self) -> anyhow::Result<()> {
        let (sidecar, status) =
            self.plan.sidecar(&self.connector_link, self.clock.as_ref()).await?;
        self.sidecar_logs.push(sidecar.log().to_owned());
        (self.sidecar, self.status) = (sidecar, status);
        Ok(())
    }

    /// Starts another sink worker.
    pub fn start_sink(&mut self) -> anyhow::Result<()> {
        self.sinks.push(self.plan.sink()?);
        Ok(())
    }

    /// Starts the source again.
    pub fn start_source(&mut self) -> anyhow::Result<()> {
        self.source = Some(self.plan.source()?);
        Ok(())
    }

    /// Where the sinks write their effects.
    pub fn effects(&self) -> PathBuf {
        self.plan.effects()
    }

    /// Where the source writes its positions.
    pub fn positions(&self) -> PathBuf {
        self.plan.positions()
    }

    /// Tells the source that the record that kills sinks was found out.
    pub fn killer_is_found(&self) -> std::io::Result<()> {
        fs::write(self.plan.found(), "")
    }

    /// The broker's data directory.
    pub fn broker_data(&self) -> PathBuf {
        self.plan.broker_data()
    }

    /// What the sidecar says of itself; none while it does not answer.
    pub async fn status(&self) -> Option<Value> {
        let request = reqwest::Client::new().get(&self.status).timeout(Duration::from_secs(1));
        let text = request.send().await.ok()?.text().await.ok()?;
        serde_json::from_str(&text).ok()
    }

    async fn attached(&self) -> anyhow::Result<()> {
        let wanted = self.plan.round.partitions.max(1);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status().await.unwrap_or_default();
            let attached = &status["sinks"][0]["subscriptions"][0]["partitions_attached"];
            if attached.as_u64() == Some(wanted) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the subscription is not attached after {PATIENCE:?}: {status}");
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Plan {
    async fn broker(&mut self, link: &Proxy) -> anyhow::Result<Program> {
        let mut command = Command::new(beside("danube-devbroker")?);
        let ack_timeout = format!("{}ms", self.round.ack_timeout.as_millis());
        command
            .args(["--listen", "127.0.0.1:0", "--no-admin", "--audit", "--data-dir"])
            .arg(self.broker_data())
            .args(["--max-unacked-messages", &self.round.broker_window.to_string()])
            .args(["--ack-timeout", &ack_timeout]);
        if self.round.profile == Profile::Danube015 {
            command.args(["--profile", "danube-0.15"]);
        }
        let mut broker = Program::start("broker", command, self.log("broker"))?;
        let url = broker.line("http://").await?;
        link.aim(address(&url)?);
        Ok(broker)
    }

    async fn sidecar(
        &mut self,
        link: &Proxy,
        clock: Option<&Clock>,
    ) -> anyhow::Result<(Program, String)> {
        let mut command = Command::new(beside("danube-sidecar")?);
        command
            .args(["run", "--log-format", "json", "--listen", "127.0.0.1:0"])
            .args(["--http-listen", "127.0.0.1:0", "--config"])
            .arg(self.config())
            .env_remove("DANUBE_SERVICE_URL");
        if let Some(clock) = clock {
            clock.wind(&mut command);
        }
        let mut sidecar = Program::start("sidecar", command, self.log("sidecar"))?;
        let ready: Value = serde_json::from_str(&sidecar.line("sidecar ready").await?)?;
        let field = |name: &str| ready[name].as_str().unwrap_or_default();
        link.aim(address(field("connectors"))?);
        Ok((sidecar, format!("{}/status", field("http"))))
    }

    fn sink(&mut self) -> anyhow::Result<Program> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["sink", "--address", &self.address, "--connector", &self.names.sink])
            .args(["--worker", &format!("worker-{}", self.started)])
            .args(["--sequence", &self.sequence, "--journal"])
            .arg(self.effects())
            .args(["--microseconds", &SINK_MICROSECONDS.to_string()]);
        Program::start("sink", command, self.log("sink"))
    }

    fn source(&mut self) -> anyhow::Result<Program> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["source", "--address", &self.address, "--connector", &self.names.source])
            .args(["--sequence", &self.sequence, "--journal"])
            .arg(self.positions())
            .args(["--microseconds", &SOURCE_MICROSECONDS.to_string(), "--found"])
            .arg(self.found());
        Program::start("source", command, self.log("source"))
    }

    /// A topic with its partitions is there before anybody subscribes to it.
    async fn create_topic(&self, url: &str) -> anyhow::Result<()> {
        let client = DanubeClient::builder().service_url(url).build().await?;
        let producer = client
            .new_producer()
            .with_topic(self.names.topic.as_str())
            .with_name("chaos-setup")
            .with_reliable_dispatch();
        let producer = match usize::try_from(self.round.partitions)? {
            0 => producer,
            partitions => producer.with_partitions(partitions),
        };
        producer.build()?.create().await?;
        Ok(())
    }

    fn log(&mut self, name: &str) -> PathBuf {
        self.started += 1;
        self.folder.join(format!("{:02}-{name}.log", self.started))
    }

    fn config(&self) -> PathBuf {
        self.folder.join("sidecar.toml")
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.join("sidecar")
    }

    fn broker_data(&self) -> PathBuf {
        self.folder.join("broker")
    }

    fn effects(&self) -> PathBuf {
        self.folder.join("effects")
    }

    fn positions(&self) -> PathBuf {
        self.folder.join("positions")
    }

    fn found(&self) -> PathBuf {
        self.folder.join("killer-found")
    }
}

fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let address = url.trim().trim_start_matches("http://");
    address.parse().with_context(|| format!("{url} is no address"))
}
