//! Block 10 of the guide: batches by size and time.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use danube_connect_core::{ConnectorConfig, ConnectorResult, ConsumerConfig, SinkConnector, SinkRecord};

use crate::external::MyData as Data;

struct MySinkConnector {
    buffer: Vec<Data>,
    batch_size: usize,
    last_flush: Instant,
    flush_timeout: Duration,
}

#[async_trait]
impl SinkConnector for MySinkConnector {
    async fn process(&mut self, record: SinkRecord) -> ConnectorResult<()> {
        self.buffer.push(self.transform(record)?);
    
        if self.buffer.len() >= self.batch_size || 
           self.last_flush.elapsed() > self.flush_timeout {
            self.flush().await?;
            self.last_flush = Instant::now();
        }
        Ok(())
    }

    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        Ok(vec![])
    }
}

/// What the guide leaves to the connector.
impl MySinkConnector {
    fn transform(&self, record: SinkRecord) -> ConnectorResult<Data> {
        record.payload_json()
    }

    async fn flush(&mut self) -> ConnectorResult<()> {
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use danube_connect_core::testing::{SinkDriver, SinkRecordBuilder};

    use super::*;

    fn record(id: &str) -> SinkRecord {
        let record = SinkRecordBuilder::new("/default/events").json(&Data::new(id));
        record.expect("it has a JSON form").build()
    }

    #[tokio::test]
    async fn a_buffer_is_flushed_when_it_is_full() {
        let connector = MySinkConnector {
            buffer: Vec::new(),
            batch_size: 2,
            last_flush: Instant::now(),
            flush_timeout: Duration::from_secs(3600),
        };
        let driver = SinkDriver::start(connector, ConnectorConfig::default()).await;
        let mut driver = driver.expect("it starts");
        driver.deliver(vec![record("1")]).await;
        assert_eq!(driver.connector().buffer.len(), 1);
        driver.deliver(vec![record("2")]).await;

        assert!(driver.connector().buffer.is_empty());
    }
}
