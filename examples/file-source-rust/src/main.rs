//! Publishes the lines of a file to Danube, and goes on where it was when it is
//! started again.

mod config;
mod connector;
mod lines;

use danube_connector_sdk::{ConnectorResult, SourceRuntime};
use tracing_subscriber::EnvFilter;

use crate::{config::FileSourceConfig, connector::FileSource};

#[tokio::main]
async fn main() -> ConnectorResult<()> {
    let config = FileSourceConfig::load()?;
    config.validate()?;
    let level = EnvFilter::new(&config.core.processing.log_level);
    let filter = EnvFilter::try_from_default_env().unwrap_or(level);
    tracing_subscriber::fmt().with_env_filter(filter).init();

    let connector = FileSource::new(config.file);
    let mut runtime = SourceRuntime::new(connector, config.core).await?;
    runtime.run().await
}
