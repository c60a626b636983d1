//! Publishes what is typed: a system that pushes hands its records to a stream.

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorResult, ProducerConfig, RecordStream, SourceConnector, SourceRecord,
    SourceRuntime,
};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, BufReader},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;

const TOPIC: &str = "/default/typed";
/// Records that may wait until Danube takes more; beyond that `send` waits.
const WAITING: usize = 16;

struct Typed;

#[async_trait]
impl SourceConnector for Typed {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        let topic = TOPIC.to_owned();
        Ok(vec![ProducerConfig { topic, partitions: 0, reliable_dispatch: true }])
    }

    /// It is not asked: it has a stream.
    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        Ok(Vec::new())
    }

    async fn stream(&mut self) -> ConnectorResult<Option<RecordStream>> {
        Ok(Some(lines(BufReader::new(tokio::io::stdin()))))
    }
}

/// A record for each line, until the input ends: then the connector ends, too.
fn lines(input: impl AsyncBufRead + Send + Unpin + 'static) -> RecordStream {
    let (records, stream) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut lines = input.lines();
        while let Some(line) = lines.next_line().await.transpose() {
            let record = line.map(|line| SourceRecord::from_string(TOPIC, line));
            if records.send(record.map_err(Into::into)).await.is_err() {
                break; // The connector stops.
            }
        }
    });
    Box::pin(ReceiverStream::new(stream))
}

#[tokio::main]
async fn main() -> ConnectorResult<()> {
    let config = ConnectorConfig { connector_name: "typed".to_owned(), ..Default::default() };
    SourceRuntime::new(Typed, config).await?.run().await
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn each_line_is_a_record() {
        let records: Vec<_> = lines(&b"one\ntwo\n"[..]).collect().await;
        let texts: Vec<_> =
            records.iter().flatten().map(|record| record.payload_str().expect("text")).collect();

        assert_eq!(texts, ["one", "two"]);
    }
}
