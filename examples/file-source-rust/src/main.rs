//! A Danube source that publishes the lines of a file, and of what is appended.

mod config;
mod source;

use danube_connector_sdk::{ConnectorResult, SourceRuntime};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ConnectorResult<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    let config = config::FileSourceConfig::load()?;
    let connector = source::FileSource::new(config.file);
    let mut runtime = SourceRuntime::new(connector, config.core).await?;

    runtime.run().await
}
