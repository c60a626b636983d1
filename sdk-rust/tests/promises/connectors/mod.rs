//! Connectors that note what happens to them.

mod outcomes;
mod sink;
mod source;

use std::sync::Arc;

use danube_connector_sdk::{
    ConnectorConfig, ConnectorResult, ProcessingSettings, SinkConnector, SinkRuntime,
    SourceConnector, SourceRuntime, StopHandle,
};
use tokio::{sync::watch, task::JoinHandle};

pub(crate) use self::{
    outcomes::OutcomesSink,
    sink::{BatchSink, ResultsSink, SingleSink},
    source::{AtEnd, PollSource, StreamSource, texts},
};
use crate::sidecar::within;

/// What was called, in order.
#[derive(Clone, Debug)]
pub(crate) struct Journal(Arc<watch::Sender<Vec<String>>>);

impl Journal {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }

    pub(crate) fn note(&self, entry: impl Into<String>) {
        self.0.send_modify(|entries| entries.push(entry.into()));
    }

    pub(crate) fn entries(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// Waits for an entry, and returns all.
    pub(crate) async fn until(&self, entry: &str) -> Vec<String> {
        let mut receiver = self.0.subscribe();
        let found = within(receiver.wait_for(|all| all.iter().any(|one| one == entry))).await;
        found.expect("the journal lives").clone()
    }
}

/// A connector that runs in a task.
pub(crate) struct Running {
    task: JoinHandle<ConnectorResult<()>>,
    pub(crate) stop: StopHandle,
}

impl Running {
    /// How it ended.
    pub(crate) async fn end(self) -> ConnectorResult<()> {
        within(self.task).await.expect("no panic")
    }

    pub(crate) async fn stop(self) -> ConnectorResult<()> {
        self.stop.stop();
        self.end().await
    }
}

pub(crate) fn config() -> ConnectorConfig {
    ConnectorConfig {
        connector_name: "under-test".to_owned(),
        processing: ProcessingSettings { poll_interval_ms: 1, ..ProcessingSettings::default() },
        ..ConnectorConfig::default()
    }
}

pub(crate) async fn run_sink<C: SinkConnector + 'static>(connector: C, address: &str) -> Running {
    let runtime = SinkRuntime::new(connector, config()).await.expect("a configuration");
    spawn_sink(runtime.with_sidecar_address(address).expect("an address"))
}

pub(crate) fn spawn_sink<C: SinkConnector + 'static>(mut runtime: SinkRuntime<C>) -> Running {
    let stop = runtime.stop_handle();
    Running { task: tokio::spawn(async move { runtime.run().await }), stop }
}

pub(crate) async fn run_source<C: SourceConnector + 'static>(
    connector: C,
    address: &str,
) -> Running {
    run_source_with(connector, config(), address).await
}

pub(crate) async fn run_source_with<C: SourceConnector + 'static>(
    connector: C,
    config: ConnectorConfig,
    address: &str,
) -> Running {
    let runtime = SourceRuntime::new(connector, config).await.expect("a configuration");
    let mut runtime = runtime.with_sidecar_address(address).expect("an address");
    let stop = runtime.stop_handle();
    Running { task: tokio::spawn(async move { runtime.run().await }), stop }
}
