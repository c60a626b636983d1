//! Block 23 of the guide: the main function of a source.

#![allow(missing_docs, reason = "the guide's code, as printed")]

use danube_connect_core::{ConnectorResult, SourceRuntime};
use guide_connectors::{MyConnectorConfig, MySourceConnector};

#[tokio::main]
async fn main() -> ConnectorResult<()> {
    tracing_subscriber::fmt().init();

    let config = MyConnectorConfig::load()?;
    config.validate()?;

    let connector = MySourceConnector::with_config(config.my_connector);
    let mut runtime = SourceRuntime::new(connector, config.core).await?;

    runtime.run().await
}
