//! The sidecar under test.

use std::{fs, path::PathBuf, process::ExitStatus};

use hyper_util::rt::TokioIo;
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::UnixStream, process::Command};
use tonic::transport::{Channel, Endpoint};

use crate::process::{Process, binary, eventually};

/// A running sidecar.
pub struct Sidecar {
    process: Process,
    /// Holds its configuration and socket until it ends.
    _folder: TempDir,
    grpc: String,
    http: String,
}

/// How a sidecar is started.
#[derive(Clone, Debug, Default)]
pub struct SidecarBuilder {
    service_url: String,
    config: String,
    data_dir: Option<PathBuf>,
    unix_socket: bool,
}

impl SidecarBuilder {
    /// Next to this broker.
    pub fn new(service_url: &str) -> Self {
        Self { service_url: service_url.to_owned(), ..Self::default() }
    }

    /// With this configuration file (without `danube_service_url`).
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        self.config = toml.to_owned();
        self
    }

    /// With a data directory that outlives it.
    #[must_use]
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Over a Unix socket too.
    #[must_use]
    pub fn unix_socket(mut self) -> Self {
        self.unix_socket = true;
        self
    }

    /// Starts it and waits until connectors can dial.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(self) -> Sidecar {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("sidecar.toml");
        let text = format!("danube_service_url = \"{}\"\n{}", self.service_url, self.config);
        fs::write(&config, text).expect("the folder is writable");
        let mut command = Command::new(binary("danube-sidecar"));
        command
            .args(["run", "--log-format", "json", "--listen", "127.0.0.1:0"])
            .args(["--http-listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .env_remove("DANUBE_SERVICE_URL");
        if let Some(data_dir) = &self.data_dir {
            command.arg("--data-dir").arg(data_dir);
        }
        let socket = folder.path().join("sidecar.sock");
        if self.unix_socket {
            command.arg("--unix-socket").arg(&socket);
        }
        let process = Process::start("sidecar", &mut command);
        let ready: Value = serde_json::from_str(&process.line("sidecar ready").await)
            .expect("logs are JSON lines");
        let field = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
        Sidecar { grpc: field("connectors"), http: field("http"), process, _folder: folder }
    }
}

impl Sidecar {
    /// A sidecar next to this broker, everything else default.
    pub async fn start(service_url: &str) -> Self {
        SidecarBuilder::new(service_url).start().await
    }

    /// What connectors get as `DANUBE_SIDECAR_ADDRESS`.
    pub fn address(&self) -> &str {
        &self.grpc
    }

    /// Where health, metrics and status are.
    pub fn http_address(&self) -> &str {
        &self.http
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A connection, as a connector makes it.
    ///
    /// # Panics
    /// When it is not reachable.
    pub async fn channel(&self) -> Channel {
        let Some(path) = self.grpc.strip_prefix("unix://").map(str::to_owned) else {
            let endpoint = Endpoint::from_shared(self.grpc.clone()).expect("an address");
            return endpoint.connect().await.expect("the sidecar listens");
        };
        let connector = tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://localhost");
        endpoint.connect_with_connector(connector).await.expect("the sidecar listens")
    }

    /// A page of the HTTP port: status code and text.
    ///
    /// # Panics
    /// When it is not reachable.
    pub async fn page(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("{}{path}", self.http)).await.expect("the page answers");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    }

    /// Waits until a page of the HTTP port has `text`.
    pub async fn shows(&self, path: &str, text: &str) {
        eventually(text, || async { self.page(path).await.1.contains(text).then_some(()) }).await;
    }

    /// What `/status` says of a sink; `Null` where there is none.
    pub async fn sink(&self, connector: &str) -> Value {
        self.status("sinks", connector).await
    }

    /// What `/status` says of a source; `Null` where there is none.
    pub async fn source(&self, connector: &str) -> Value {
        self.status("sources", connector).await
    }

    async fn status(&self, kind: &str, connector: &str) -> Value {
        let (_, text) = self.page("/status").await;
        let status: Value = serde_json::from_str(&text).expect("status is JSON");
        let all = status[kind].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|one| one["connector"] == connector).unwrap_or(Value::Null)
    }

    /// Waits until all subscriptions of a sink have a partition attached.
    pub async fn attached(&self, connector: &str) {
        eventually("the subscription", || async {
            let sink = self.sink(connector).await;
            let subscriptions = sink["subscriptions"].as_array()?.clone();
            subscriptions.iter().all(|s| s["partitions_attached"].as_u64() > Some(0)).then_some(())
        })
        .await;
    }

    /// Waits until nothing of a sink is unresolved.
    pub async fn settled(&self, connector: &str) {
        eventually("the last record's resolution", || async {
            (self.sink(connector).await["unresolved"]["records"] == 0).then_some(())
        })
        .await;
    }

    /// SIGTERM, and its exit.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.process.signal(Signal::SIGTERM);
        self.process.exit().await
    }
}
