//! Bridges MQTT topics to Danube. An MQTT message is acknowledged when Danube
//! has it, and not before.

mod config;
mod connector;
mod link;

use danube_connector_sdk::{ConnectorResult, SourceRuntime};
use tracing_subscriber::EnvFilter;

use crate::{config::MqttSourceConfig, connector::MqttSource};

#[tokio::main]
async fn main() -> ConnectorResult<()> {
    let config = MqttSourceConfig::load()?;
    config.validate()?;
    let level = EnvFilter::new(&config.core.processing.log_level);
    let filter = EnvFilter::try_from_default_env().unwrap_or(level);
    tracing_subscriber::fmt().with_env_filter(filter).init();

    let connector = MqttSource::new(config.mqtt);
    let mut runtime = SourceRuntime::new(connector, config.core).await?;
    runtime.run().await
}
