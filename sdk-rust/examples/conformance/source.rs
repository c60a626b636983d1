//! The source of the conformance kit: counts.
//!
//! `danube-sidecar conformance --level full -- target/debug/examples/conformance_source`

mod journal;

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorResult, Offset, ProducerConfig, RecordStream, SourceConnector,
    SourceRecord, SourceRuntime,
};
use journal::{Journal, config, is_set};
use serde_json::Value;
use tokio_stream::StreamExt as _;

const TOPIC: &str = "/default/conformance";
const PARTITION: &str = "numbers";

struct ConformanceSource {
    journal: Journal,
    pushes: bool,
    ends: bool,
    numbers: Numbers,
}

/// What is left to publish.
#[derive(Clone)]
struct Numbers {
    next: u64,
    last: u64,
    size: usize,
    /// Where all of them stand, if not each at its own place.
    place: Option<u64>,
}

impl Iterator for Numbers {
    type Item = SourceRecord;

    fn next(&mut self) -> Option<SourceRecord> {
        let number = self.next;
        if number > self.last {
            return None;
        }
        self.next += 1;
        let text = format!("record {number}");
        let padding = "x".repeat(self.size.saturating_sub(text.len()));
        let record = SourceRecord::from_string(TOPIC, text + &padding)
            .with_key(format!("k{}", number % 4))
            .with_attribute("n", number.to_string())
            .with_offset(self.offset(number));
        Some(record)
    }
}

impl Numbers {
    fn offset(&self, number: u64) -> Offset {
        let place = self.place.unwrap_or(number);
        Offset::with_metadata(PARTITION, place, format!("m{number}"))
    }
}

#[async_trait]
impl SourceConnector for ConformanceSource {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        let topic = TOPIC.to_owned();
        Ok(vec![ProducerConfig { topic, partitions: 0, reliable_dispatch: true }])
    }

    async fn configure(&mut self, settings: Value) -> ConnectorResult<()> {
        let number = |name: &str| settings["conformance"][name].as_u64();
        self.numbers.place = number("offset");
        self.numbers.last = number("records").unwrap_or(1000);
        self.numbers.size = number("size").and_then(|size| size.try_into().ok()).unwrap_or(0);
        Ok(())
    }

    async fn restore(&mut self, positions: Vec<Offset>) -> ConnectorResult<()> {
        let position = positions.iter().find(|position| position.partition == PARTITION);
        let offset = position.map_or(0, |position| position.value);
        self.numbers.next = offset + 1;
        self.journal.append(&format!("restored {offset}"))
    }

    /// One record: `commit` is called once per poll, and so for each.
    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        Ok(self.numbers.next().into_iter().collect())
    }

    async fn stream(&mut self) -> ConnectorResult<Option<RecordStream>> {
        if !self.pushes {
            return Ok(None);
        }
        let numbers = tokio_stream::iter(self.numbers.clone().map(Ok));
        if self.ends {
            return Ok(Some(Box::pin(numbers)));
        }
        Ok(Some(Box::pin(numbers.chain(tokio_stream::pending()))))
    }

    fn is_finished(&self) -> bool {
        self.ends && self.numbers.next > self.numbers.last
    }

    async fn commit(&mut self, offsets: Vec<Offset>) -> ConnectorResult<()> {
        let line = |offset: &Offset| self.journal.append(&format!("committed {}", offset.value));
        offsets.iter().try_for_each(line)
    }

    async fn rejected(&mut self, offset: Offset, code: &str, _: &str) -> ConnectorResult<()> {
        self.journal.append(&format!("rejected {} {code}", offset.value))
    }

    async fn shutdown(&mut self) -> ConnectorResult<()> {
        self.journal.append("closed")
    }

    async fn health_check(&self) -> ConnectorResult<()> {
        self.journal.check_health()
    }
}

#[tokio::main]
async fn main() -> ConnectorResult<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let source = ConformanceSource {
        journal: Journal::from_env()?,
        pushes: is_set("CONFORMANCE_MODE", "push"),
        ends: is_set("CONFORMANCE_END", "1"),
        numbers: Numbers { next: 1, last: 1000, size: 0, place: None },
    };
    SourceRuntime::new(source, config()).await?.run().await
}
