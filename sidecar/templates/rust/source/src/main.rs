//! Publishes numbers, and goes on after a restart where it was.

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorResult, Offset, ProducerConfig, SourceConnector, SourceRecord,
    SourceRuntime,
};
use serde_json::Value;

/// What positions count in: a file, a table, here the numbers.
const PARTITION: &str = "numbers";
/// Records of one poll.
const AT_ONCE: u64 = 10;

struct {{name_pascal}} {
    next: u64,
    count: u64,
}

#[async_trait]
impl SourceConnector for {{name_pascal}} {
    /// Called first. Connect to your system here.
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    /// Where to publish. What sidecar.toml says wins over it.
    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        let topic = "/default/{{name}}".to_owned();
        Ok(vec![ProducerConfig { topic, partitions: 0, reliable_dispatch: true }])
    }

    /// The settings of sidecar.toml. Called once, before `restore`.
    async fn configure(&mut self, settings: Value) -> ConnectorResult<()> {
        self.count = settings["count"].as_u64().unwrap_or(self.count);
        Ok(())
    }

    /// What Danube has already, from the last run: nothing at the first one.
    async fn restore(&mut self, positions: Vec<Offset>) -> ConnectorResult<()> {
        let last = positions.iter().find(|position| position.partition == PARTITION);
        self.next = last.map_or(1, |last| last.value + 1);
        Ok(())
    }

    /// The next records, or none. Each says where it stands: that is what `restore` gets.
    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        let numbers = self.next..self.count.saturating_add(1).min(self.next + AT_ONCE);
        self.next = self.next.max(numbers.end);
        Ok(numbers.map(record).collect())
    }

    /// Danube has these records: the place to let your system forget them.
    async fn commit(&mut self, _offsets: Vec<Offset>) -> ConnectorResult<()> {
        Ok(())
    }
}

fn record(number: u64) -> SourceRecord {
    SourceRecord::from_string("/default/{{name}}", format!("record {number}"))
        .with_key(format!("key-{}", number % 4))
        .with_offset(Offset::new(PARTITION, number))
}

#[tokio::main]
async fn main() -> ConnectorResult<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let config = ConnectorConfig { connector_name: "{{name}}".to_owned(), ..Default::default() };
    let source = {{name_pascal}} { next: 1, count: 1000 };
    SourceRuntime::new(source, config).await?.run().await
}

#[cfg(test)]
mod tests {
    use danube_connector_sdk::testing::SourceDriver;

    use super::*;

    #[tokio::test]
    async fn it_goes_on_behind_the_restored_position() {
        let source = {{name_pascal}} { next: 1, count: 7 };
        let positions = vec![Offset::new(PARTITION, 5)];
        let mut driver = SourceDriver::start(source, ConnectorConfig::default(), positions)
            .await
            .expect("it starts");
        let records = driver.poll().await.expect("records");

        let texts: Vec<_> = records.iter().map(|record| record.payload_str().expect("text")).collect();
        assert_eq!(texts, ["record 6", "record 7"]);
    }
}
