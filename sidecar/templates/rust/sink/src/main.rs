//! Writes what it gets into a file, a line of JSON for each record.

use std::{fs::File, io::Write as _};

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorError, ConnectorResult, ConsumerConfig, NotWritten, SinkConnector,
    SinkRecord, SinkRuntime, SubscriptionType,
};
use serde_json::{Value, json};

struct {{name_pascal}} {
    file: Option<File>,
}

#[async_trait]
impl SinkConnector for {{name_pascal}} {
    /// Called first. Connect to your system here.
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    /// What to consume. What sidecar.toml says wins over it.
    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        Ok(vec![ConsumerConfig {
            topic: "/default/{{name}}".to_owned(),
            consumer_name: "{{name}}".to_owned(),
            subscription: "{{name}}".to_owned(),
            subscription_type: SubscriptionType::Exclusive,
        }])
    }

    /// The settings of sidecar.toml. Called once, before any record.
    async fn configure(&mut self, settings: Value) -> ConnectorResult<()> {
        let path = settings["path"].as_str().unwrap_or("{{name}}.jsonl");
        self.file = Some(File::options().create(true).append(true).open(path)?);
        Ok(())
    }

    /// `process_batch_outcomes` is called instead.
    async fn process(&mut self, _record: SinkRecord) -> ConnectorResult<()> {
        Err(ConnectorError::fatal("records come in batches"))
    }

    /// Says of each record what became of it. A record that was written when the connector
    /// died comes again: where it must not be there twice, look for its `dedup_id` first.
    /// Where the system takes nothing at present (HTTP 429, 503), `NotWritten::busy` is no
    /// attempt of a record.
    async fn process_batch_outcomes(
        &mut self,
        records: Vec<SinkRecord>,
    ) -> Vec<Result<(), NotWritten>> {
        let lines: Vec<_> = records.iter().map(line).collect();
        let written = self.append(lines.iter().flatten().map(String::as_str).collect::<String>());
        let outcome = |line: Result<String, NotWritten>| match (line, &written) {
            (Ok(_), Ok(())) => Ok(()),
            (Ok(_), Err(error)) => Err(NotWritten::retry(error.to_string()).code("NOT_WRITTEN")),
            (Err(wrong), _) => Err(wrong),
        };
        lines.into_iter().map(outcome).collect()
    }
}

impl {{name_pascal}} {
    /// What is answered as written must be safe: here, out of this process's hands.
    fn append(&mut self, lines: String) -> ConnectorResult<()> {
        let file = self.file.as_mut().ok_or_else(|| ConnectorError::fatal("no file is open"))?;
        Ok(file.write_all(lines.as_bytes())?)
    }
}

/// A record that is no text can never be written: it becomes a dead letter.
fn line(record: &SinkRecord) -> Result<String, NotWritten> {
    let payload =
        record.payload_str().map_err(|error| NotWritten::reject(error.to_string()).code("NO_TEXT"))?;
    let (id, topic) = (record.dedup_id(), record.topic());
    let line = json!({ "dedup_id": id, "key": record.key(), "payload": payload, "topic": topic });
    Ok(format!("{line}\n"))
}

#[tokio::main]
async fn main() -> ConnectorResult<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let config = ConnectorConfig { connector_name: "{{name}}".to_owned(), ..Default::default() };
    SinkRuntime::new({{name_pascal}} { file: None }, config).await?.run().await
}

#[cfg(test)]
mod tests {
    use danube_connector_sdk::testing::SinkRecordBuilder;

    use super::*;

    #[test]
    fn a_record_becomes_a_line() {
        let record = SinkRecordBuilder::new("/default/t").payload("hello").key("k").build();
        let line: Value = serde_json::from_str(&line(&record).expect("a line")).expect("JSON");

        assert_eq!((&line["payload"], &line["key"]), (&json!("hello"), &json!("k")));
    }

    #[test]
    fn what_is_no_text_is_rejected() {
        let record = SinkRecordBuilder::new("/default/t").payload([0xff]).build();

        assert_eq!(line(&record).expect_err("no text").error_code(), "NO_TEXT");
    }
}
