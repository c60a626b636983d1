//! A source written with the Rust SDK: as many records as are wanted, keys spread.

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorError, ConnectorResult, Offset, ProducerConfig, SourceConnector,
    SourceRecord, SourceRuntime,
};

use super::{Meter, report};

/// Most records of a poll.
const POLL: u64 = 500;

/// The command line.
#[derive(Debug, clap::Args)]
pub struct SourceArgs {
    /// The connector's name.
    #[arg(long)]
    connector: String,
    /// The topic.
    #[arg(long)]
    topic: String,
    /// How many records.
    #[arg(long)]
    records: u64,
    /// Bytes of each.
    #[arg(long)]
    size: usize,
    /// Routing keys.
    #[arg(long)]
    keys: u64,
}

struct Making {
    args: SourceArgs,
    made: u64,
    meter: Meter,
}

/// Ends when all is committed.
pub async fn run(args: SourceArgs) -> anyhow::Result<()> {
    let config =
        ConnectorConfig { connector_name: args.connector.clone(), ..ConnectorConfig::default() };
    let source = Making { meter: Meter::new(args.records), made: 0, args };
    Ok(SourceRuntime::new(source, config).await?.run().await?)
}

#[async_trait]
impl SourceConnector for Making {
    async fn initialize(&mut self, _: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        let topic = self.args.topic.clone();
        Ok(vec![ProducerConfig { topic, partitions: 0, reliable_dispatch: true }])
    }

    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        let until = (self.made + POLL).min(self.args.records);
        let records = (self.made..until).map(|number| {
            SourceRecord::new(self.args.topic.clone(), vec![b'x'; self.args.size])
                .with_key(format!("key-{}", number % self.args.keys))
                .with_offset(Offset::new("rows", number))
        });
        let records = records.collect();
        self.made = until;
        Ok(records)
    }

    fn is_finished(&self) -> bool {
        self.made == self.args.records
    }

    async fn commit(&mut self, offsets: Vec<Offset>) -> ConnectorResult<()> {
        if let Some(measured) = self.meter.add(offsets.len() as u64) {
            report(&measured).map_err(|error| ConnectorError::fatal(error.to_string()))?;
        }
        Ok(())
    }
}
