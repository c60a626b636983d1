//! Lines of a growing file as records.

use std::io::SeekFrom;

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorError, ConnectorResult, Offset, ProducerConfig, SourceConnector,
    SourceRecord,
};
use tokio::{
    fs::File,
    io::{AsyncBufReadExt as _, AsyncSeekExt as _, BufReader},
};

use crate::config::FileSettings;

/// Lines that one poll reads at most.
const LINES_PER_POLL: usize = 500;

/// Reads a file line by line, from where it left off. At the end of the file it
/// waits for more.
pub struct FileSource {
    settings: FileSettings,
    reader: Option<BufReader<File>>,
    /// Bytes that were read: the offset of the next line.
    offset: u64,
}

impl FileSource {
    /// A source that has not opened its file yet.
    pub fn new(settings: FileSettings) -> Self {
        Self { settings, reader: None, offset: 0 }
    }

    /// The next complete line, without its end; none while there is no other.
    async fn next_line(&mut self) -> ConnectorResult<Option<String>> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let mut line = String::new();
        let read = reader.read_line(&mut line).await?;
        if !line.ends_with('\n') {
            // Half a line: its writer is not done. It is read again, whole, later.
            reader.seek(SeekFrom::Start(self.offset)).await?;
            return Ok(None);
        }
        self.offset += read as u64;
        line.truncate(line.trim_end_matches(['\n', '\r']).len());
        Ok(Some(line))
    }

    fn record(&self, line: String) -> SourceRecord {
        let key = self.settings.key_field.as_ref().and_then(|field| key(&line, field));
        // The position is where the next line begins: everything before it is in.
        let position = Offset::new(self.settings.path.clone(), self.offset);
        let record = SourceRecord::from_string(&self.settings.topic, line).with_offset(position);
        match key {
            Some(key) => record.with_key(key),
            None => record,
        }
    }
}

/// The text of a field of a JSON object.
fn key(line: &str, field: &str) -> Option<String> {
    let object: serde_json::Value = serde_json::from_str(line).ok()?;
    match object.get(field)? {
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[async_trait]
impl SourceConnector for FileSource {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        let path = &self.settings.path;
        let file = File::open(path)
            .await
            .map_err(|error| ConnectorError::fatal(format!("cannot open {path}: {error}")))?;
        self.reader = Some(BufReader::new(file));
        Ok(())
    }

    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        Ok(vec![ProducerConfig {
            topic: self.settings.topic.clone(),
            partitions: self.settings.partitions,
            reliable_dispatch: true,
        }])
    }

    async fn restore(&mut self, positions: Vec<Offset>) -> ConnectorResult<()> {
        let ours = positions.iter().find(|position| position.partition == self.settings.path);
        let (Some(position), Some(reader)) = (ours, &mut self.reader) else { return Ok(()) };
        self.offset = position.value;
        reader.seek(SeekFrom::Start(self.offset)).await?;
        tracing::info!(path = self.settings.path, offset = self.offset, "going on");
        Ok(())
    }

    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        let mut records = Vec::new();
        while records.len() < LINES_PER_POLL {
            let Some(line) = self.next_line().await? else { break };
            records.push(self.record(line));
        }
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    async fn source(path: &std::path::Path, positions: Vec<Offset>) -> FileSource {
        let mut source = FileSource::new(FileSettings {
            path: path.display().to_string(),
            topic: "/default/lines".to_owned(),
            partitions: 0,
            key_field: Some("origin".to_owned()),
        });
        source.initialize(ConnectorConfig::default()).await.unwrap();
        source.restore(positions).await.unwrap();
        source
    }

    fn lines(records: &[SourceRecord]) -> Vec<&str> {
        records.iter().map(|record| record.payload_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn lines_become_records_with_their_key() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"{\"origin\":\"SFO\"}\n{\"n\":1}\n").unwrap();
        let records = source(file.path(), vec![]).await.poll().await.unwrap();
        assert_eq!(lines(&records), ["{\"origin\":\"SFO\"}", "{\"n\":1}"]);
        assert_eq!((records[0].key.as_deref(), records[1].key.as_deref()), (Some("SFO"), None));
    }

    #[tokio::test]
    async fn half_a_line_waits_for_its_end() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"one\ntw").unwrap();
        let mut source = source(file.path(), vec![]).await;
        assert_eq!(lines(&source.poll().await.unwrap()), ["one"]);
        assert_eq!(lines(&source.poll().await.unwrap()), [""; 0]);
        file.write_all(b"o\n").unwrap();
        assert_eq!(lines(&source.poll().await.unwrap()), ["two"]);
    }

    #[tokio::test]
    async fn it_goes_on_at_its_committed_position() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"one\ntwo\n").unwrap();
        let position = Offset::new(file.path().display().to_string(), 4);
        let mut source = source(file.path(), vec![position]).await;
        assert_eq!(lines(&source.poll().await.unwrap()), ["two"]);
    }
}
