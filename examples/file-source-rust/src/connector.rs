//! The source.

use std::collections::HashMap;

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorError, ConnectorResult, Offset, ProducerConfig, SourceConnector,
    SourceRecord,
};
use serde_json::Value;
use tracing::{info, warn};

use crate::{
    config::FileSettings,
    lines::{Line, Lines},
};

/// Reads a file. Its source partition is the file's path, its offset the byte
/// behind the line.
pub(crate) struct FileSource {
    settings: FileSettings,
    lines: Option<Lines>,
    finished: bool,
}

impl FileSource {
    pub(crate) fn new(settings: FileSettings) -> Self {
        Self { settings, lines: None, finished: false }
    }

    fn partition(&self) -> String {
        self.settings.path.display().to_string()
    }

    fn record(&self, line: Line) -> SourceRecord {
        let key = self.settings.key_field.as_ref().and_then(|field| key(&line.text, field));
        let record = SourceRecord::new(&self.settings.topic, line.text)
            .with_offset(Offset::new(self.partition(), line.end));
        match key {
            Some(key) => record.with_key(key),
            None => record,
        }
    }

    fn lines(&mut self) -> ConnectorResult<&mut Lines> {
        self.lines.as_mut().ok_or_else(|| ConnectorError::fatal("initialize() was not called"))
    }

    /// The next line that is not empty, or none at the end.
    async fn next_line(&mut self) -> ConnectorResult<Option<Line>> {
        let at_end = self.settings.exit_at_end;
        let lines = self.lines()?;
        loop {
            let line = match lines.next().await? {
                None if at_end => lines.rest(),
                line => line,
            };
            match line {
                Some(line) if line.text.is_empty() => {}
                line => return Ok(line),
            }
        }
    }
}

#[async_trait]
impl SourceConnector for FileSource {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        let lines = Lines::open(&self.settings.path).await.map_err(|error| {
            ConnectorError::fatal_with_source(format!("cannot open {}", self.partition()), error)
        })?;
        self.lines = Some(lines);
        Ok(())
    }

    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        Ok(vec![ProducerConfig {
            topic: self.settings.topic.clone(),
            partitions: self.settings.partitions,
            reliable_dispatch: self.settings.reliable,
        }])
    }

    async fn restore(&mut self, positions: Vec<Offset>) -> ConnectorResult<()> {
        let partition = self.partition();
        let position = positions.into_iter().find(|position| position.partition == partition);
        let Some(position) = position else { return Ok(()) };
        if self.lines()?.seek(position.value).await? {
            info!(file = partition, byte = position.value, "going on where it was");
        } else {
            warn!(
                file = partition,
                byte = position.value,
                "the file became shorter: from its beginning"
            );
        }
        Ok(())
    }

    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        let mut records = Vec::new();
        while records.len() < self.settings.lines_per_poll {
            let Some(line) = self.next_line().await? else {
                self.finished = self.settings.exit_at_end;
                break;
            };
            records.push(self.record(line));
        }
        Ok(records)
    }

    fn is_finished(&self) -> bool {
        self.finished
    }

    async fn health_check(&self) -> ConnectorResult<()> {
        tokio::fs::metadata(&self.settings.path).await?;
        Ok(())
    }
}

/// The value of a field of a line, if the line is JSON and has one.
fn key(line: &[u8], field: &str) -> Option<String> {
    let mut object: HashMap<String, Value> = serde_json::from_slice(line).ok()?;
    match object.remove(field)? {
        Value::String(text) => Some(text),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use danube_connector_sdk::testing::SourceDriver;

    use super::*;

    async fn drive(text: &str, positions: Vec<Offset>, exit_at_end: bool) -> Vec<SourceRecord> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("it is written");
        let path = file.path().to_path_buf();
        let positions =
            positions.into_iter().map(|at| Offset::new(path.display().to_string(), at.value));
        let settings = FileSettings {
            path: path.clone(),
            topic: "/default/t".to_owned(),
            partitions: 0,
            reliable: true,
            key_field: Some("origin".to_owned()),
            lines_per_poll: 2,
            exit_at_end,
        };
        let source = FileSource::new(settings);
        let mut driver =
            SourceDriver::start(source, ConnectorConfig::default(), positions.collect())
                .await
                .expect("it starts");
        let mut all = Vec::new();
        loop {
            let records = driver.poll().await.expect("a poll");
            if records.is_empty() {
                return all;
            }
            all.extend(records);
        }
    }

    #[tokio::test]
    async fn lines_are_keyed_by_the_configured_field() {
        let records = drive("{\"origin\":\"JFK\"}\n{\"origin\":7}\nplain\n", vec![], false).await;
        let keys: Vec<_> = records.iter().map(|record| record.key.as_deref()).collect();

        assert_eq!(keys, [Some("JFK"), Some("7"), None]);
    }

    #[tokio::test]
    async fn empty_lines_are_not_published() {
        let records = drive("a\n\n\nb\n", vec![], false).await;

        assert_eq!(records.len(), 2);
        assert_eq!(records[1].offset().map(|offset| offset.value), Some(6));
    }

    #[tokio::test]
    async fn a_restored_source_goes_on_behind_the_committed_line() {
        let records = drive("a\nb\nc\n", vec![Offset::new("", 2)], false).await;
        let texts: Vec<_> = records.iter().map(|record| record.payload.as_slice()).collect();

        assert_eq!(texts, [b"b", b"c"]);
    }

    #[tokio::test]
    async fn the_last_line_needs_no_end_where_the_file_does_not_grow() {
        assert_eq!(drive("a\nb", vec![], true).await.len(), 2);
        assert_eq!(drive("a\nb", vec![], false).await.len(), 1);
    }
}
