//! A sink written with the Rust SDK, which only counts.

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorError, ConnectorResult, ConsumerConfig, SinkConnector, SinkRecord,
    SinkRuntime, SubscriptionType,
};

use super::{Meter, clock::Stopwatch, report};

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
    /// Whether it tells how long they took, instead.
    #[arg(long)]
    latencies: bool,
}

struct Counting {
    args: SinkArgs,
    meter: Meter,
    stopwatch: Stopwatch,
}

/// Counts until SIGTERM.
pub async fn run(args: SinkArgs) -> anyhow::Result<()> {
    let config =
        ConnectorConfig { connector_name: args.connector.clone(), ..ConnectorConfig::default() };
    let (meter, stopwatch) = (Meter::new(args.records), Stopwatch::new(args.records));
    let sink = Counting { meter, stopwatch, args };
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
        let reported = if self.args.latencies {
            let arrived = |record: &SinkRecord| self.stopwatch.arrived(record.payload());
            records.iter().filter_map(arrived).try_for_each(|latencies| report(&latencies))
        } else {
            let measured = self.meter.add(records.len() as u64);
            measured.iter().try_for_each(report)
        };
        reported.map_err(|error| ConnectorError::fatal(error.to_string()))
    }
}
