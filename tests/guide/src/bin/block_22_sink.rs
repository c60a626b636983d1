//! Block 22 of the guide: the main function of a sink.

#![allow(missing_docs, reason = "the guide's code, as printed")]

use danube_connect_core::{ConnectorResult, SinkRuntime};
use guide_connectors::{MyConnectorConfig, MySinkConnector};

#[tokio::main]
async fn main() -> ConnectorResult<()> {
    tracing_subscriber::fmt().init();

    let config = MyConnectorConfig::load()?;
    config.validate()?;

    let connector = MySinkConnector::with_config(config.my_connector);
    let mut runtime = SinkRuntime::new(connector, config.core).await?;

    runtime.run().await
}
