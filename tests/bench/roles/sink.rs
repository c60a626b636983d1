//! A sink written with the Rust SDK, which only counts.

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorResult, ConsumerConfig, SinkConnector, SinkRecord, SinkRuntime,
    SubscriptionType,
};

use super::{Meter, report};

/// The command line.
#[derive(Debug, clap::Args)]
pub struct SinkArgs {
    /// The connector's name, and its subscription's.
    #[arg(long)]
    connector: String,
    /// The topic.
    #[arg(long)]
    topic: String,
    /// After so many records it tells how fast they came.
    #[arg(long)]
    records: u64,
}

struct Counting {
    args: SinkArgs,
    meter: Meter,
}

/// Counts until SIGTERM.
pub async fn run(args: SinkArgs) -> anyhow::Result<()> {
    let config =
        ConnectorConfig { connector_name: args.connector.clone(), ..ConnectorConfig::default() };
    let sink = Counting { meter: Meter::new(args.records), args };
    Ok(SinkRuntime::new(sink, config).await?.run().await?)
}

#[async_trait]
impl SinkConnector for Counting {
    async fn initialize(&mut self, _: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        Ok(vec![ConsumerConfig {
            topic: self.args.topic.clone(),
            consumer_name: self.args.connector.clone(),
            subscription: self.args.connector.clone(),
            subscription_type: SubscriptionType::Exclusive,
        }])
    }

    async fn process(&mut self, record: SinkRecord) -> ConnectorResult<()> {
        self.process_batch(vec![record]).await
    }

    async fn process_batch(&mut self, records: Vec<SinkRecord>) -> ConnectorResult<()> {
        if let Some(measured) = self.meter.add(records.len() as u64) {
            report(&measured)
                .map_err(|error| danube_connector_sdk::ConnectorError::fatal(error.to_string()))?;
        }
        Ok(())
    }
}
