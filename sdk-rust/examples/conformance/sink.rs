//! The sink of the conformance kit: the first word of each payload says what becomes of it.
//!
//! `danube-sidecar conformance --level full -- target/debug/examples/conformance_sink`

mod journal;

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorError, ConnectorResult, ConsumerConfig, NotWritten, SinkConnector,
    SinkRecord, SinkRuntime, SubscriptionType,
};
use journal::{Journal, config, is_set};
use serde_json::Value;

/// Why a write failed: because it was told to, or with whatever Rust fails with.
type Failure = Box<dyn std::error::Error + Send + Sync>;

struct ConformanceSink {
    journal: Journal,
    single: bool,
}

#[async_trait]
impl SinkConnector for ConformanceSink {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        Ok(vec![ConsumerConfig {
            topic: "/default/conformance".to_owned(),
            consumer_name: "conformance".to_owned(),
            subscription: "conformance".to_owned(),
            subscription_type: SubscriptionType::Exclusive,
        }])
    }

    async fn configure(&mut self, settings: Value) -> ConnectorResult<()> {
        let word = settings["conformance"]["word"].as_str().unwrap_or("-");
        self.journal.append(&format!("opened {word}"))
    }

    async fn process(&mut self, _record: SinkRecord) -> ConnectorResult<()> {
        Err(ConnectorError::fatal("process_outcome is asked instead"))
    }

    async fn process_outcome(&mut self, record: SinkRecord) -> Result<(), NotWritten> {
        self.write(&record).await?
    }

    async fn process_batch_outcomes(
        &mut self,
        records: Vec<SinkRecord>,
    ) -> Vec<Result<(), NotWritten>> {
        if self.single {
            // As if this method were not here: `process_outcome` gets each.
            let results = self.process_batch_results(records).await;
            return results.into_iter().map(|result| result.map_err(NotWritten::from)).collect();
        }
        self.write_all(&records).await.unwrap_or_else(|failure| {
            let again = |_: &SinkRecord| Err(Failure::from(failure.to_string()).into());
            records.iter().map(again).collect()
        })
    }

    async fn shutdown(&mut self) -> ConnectorResult<()> {
        self.journal.append("closed")
    }

    async fn health_check(&self) -> ConnectorResult<()> {
        self.journal.check_health()
    }
}

impl ConformanceSink {
    /// Writes by key: what stands behind a record that is retried waits for it.
    async fn write_all(
        &self,
        records: &[SinkRecord],
    ) -> Result<Vec<Result<(), NotWritten>>, Failure> {
        let mut waiting = HashSet::new();
        let mut outcomes = Vec::new();
        for record in records {
            let lane = record.key().map(|key| (record.topic(), key));
            let outcome = if lane.is_some_and(|lane| waiting.contains(&lane)) {
                Err(NotWritten::retry("an earlier record of the key is retried").code("HELD"))
            } else {
                self.write(record).await?
            };
            if outcome.as_ref().is_err_and(NotWritten::is_retry) {
                waiting.extend(lane);
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// Obeys, and writes unless told otherwise.
    async fn write(&self, record: &SinkRecord) -> Result<Result<(), NotWritten>, Failure> {
        let mut words = record.payload_str()?.split(' ');
        let (word, argument) = (words.next().unwrap_or_default(), words.next());
        let span = Duration::from_millis(argument.and_then(|ms| ms.parse().ok()).unwrap_or(0));
        let told = match (word, record.attempt()) {
            ("reject", _) => NotWritten::reject("told to reject"),
            ("filter", _) => NotWritten::filtered("told to filter"),
            ("fatal", _) => NotWritten::fatal("told to fail"),
            ("retry", 1) => NotWritten::retry("told to retry"),
            ("retry-after", 1) => NotWritten::retry("told to retry later").after(span),
            ("busy", 1) => NotWritten::busy("told to be busy").after(span),
            ("error", 1) => return Err("told to throw".into()),
            _ => {
                if word == "slow" {
                    tokio::time::sleep(span).await;
                }
                let subject = record.schema().map_or("-", |schema| &schema.subject);
                let (id, attempt) = (record.dedup_id(), record.attempt());
                self.journal.append(&format!("written {id} {attempt} {subject}"))?;
                return Ok(Ok(()));
            }
        };
        Ok(Err(told.code("TOLD_TO")))
    }
}

#[tokio::main]
async fn main() -> ConnectorResult<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let single = is_set("CONFORMANCE_MODE", "single");
    let sink = ConformanceSink { journal: Journal::from_env()?, single };
    SinkRuntime::new(sink, config()).await?.run().await
}
