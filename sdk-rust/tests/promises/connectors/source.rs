//! Sources of both kinds.

use std::collections::VecDeque;

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorError, ConnectorResult, Offset, ProducerConfig, RecordStream,
    SourceConnector, SourceRecord,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::Journal;

/// Records of these texts.
pub(crate) fn texts(texts: &[&str]) -> Vec<SourceRecord> {
    texts.iter().map(|text| SourceRecord::from_string("/default/events", *text)).collect()
}

fn producers() -> Vec<ProducerConfig> {
    vec![ProducerConfig {
        topic: "/default/events".to_owned(),
        partitions: 4,
        reliable_dispatch: true,
    }]
}

fn in_words(offsets: &[Offset]) -> String {
    let words: Vec<_> =
        offsets.iter().map(|offset| format!("{}:{}", offset.partition, offset.value)).collect();
    words.join(" ")
}

/// What a source does when it has returned everything.
#[derive(PartialEq)]
pub(crate) enum AtEnd {
    Waits,
    Hangs,
    Finishes,
}

/// Returns what it was given, poll by poll, and then nothing.
pub(crate) struct PollSource {
    pub(crate) journal: Journal,
    pub(crate) polls: VecDeque<ConnectorResult<Vec<SourceRecord>>>,
    pub(crate) at_end: AtEnd,
    pub(crate) commit_error: Option<ConnectorError>,
}

impl PollSource {
    pub(crate) fn new(journal: &Journal, polls: Vec<Vec<SourceRecord>>) -> Self {
        let polls = polls.into_iter().map(Ok).collect();
        Self { journal: journal.clone(), polls, at_end: AtEnd::Waits, commit_error: None }
    }
}

#[async_trait]
impl SourceConnector for PollSource {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        self.journal.note("initialize");
        Ok(())
    }

    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        self.journal.note("producer_configs");
        Ok(producers())
    }

    async fn restore(&mut self, positions: Vec<Offset>) -> ConnectorResult<()> {
        self.journal.note(format!("restore {}", in_words(&positions)).trim_end());
        Ok(())
    }

    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        match self.polls.pop_front() {
            Some(poll) => {
                self.journal.note("poll");
                poll
            }
            None if self.at_end == AtEnd::Hangs => {
                self.journal.note("hanging");
                std::future::pending().await
            }
            None => {
                self.journal.note("empty poll");
                Ok(Vec::new())
            }
        }
    }

    fn is_finished(&self) -> bool {
        self.at_end == AtEnd::Finishes && self.polls.is_empty()
    }

    async fn commit(&mut self, offsets: Vec<Offset>) -> ConnectorResult<()> {
        self.journal.note(format!("commit {}", in_words(&offsets)));
        self.commit_error.take().map_or(Ok(()), Err)
    }

    async fn shutdown(&mut self) -> ConnectorResult<()> {
        self.journal.note("shutdown");
        Ok(())
    }
}

/// Streams what comes through a channel.
pub(crate) struct StreamSource {
    pub(crate) journal: Journal,
    pub(crate) records: Option<mpsc::Receiver<ConnectorResult<SourceRecord>>>,
}

#[async_trait]
impl SourceConnector for StreamSource {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        Ok(producers())
    }

    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        Err(ConnectorError::fatal("poll() is not for this source"))
    }

    async fn stream(&mut self) -> ConnectorResult<Option<RecordStream>> {
        let stream = |records| Box::pin(ReceiverStream::new(records)) as RecordStream;
        Ok(self.records.take().map(stream))
    }

    async fn commit(&mut self, offsets: Vec<Offset>) -> ConnectorResult<()> {
        self.journal.note(format!("commit {}", offsets.len()));
        Ok(())
    }
}
