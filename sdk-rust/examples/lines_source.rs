//! Publishes the lines of a file, and goes on after a restart behind the last line that
//! Danube has: `lines_source FILE`.

use std::{
    env,
    fs::File,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
};

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorError, ConnectorResult, Offset, ProducerConfig, SourceConnector,
    SourceRecord, SourceRuntime,
};

const TOPIC: &str = "/default/lines";
/// Lines of one poll.
const AT_ONCE: usize = 100;

struct Lines {
    path: String,
    file: BufReader<File>,
}

impl Lines {
    fn open(path: String) -> ConnectorResult<Self> {
        let file = BufReader::new(File::open(&path)?);
        Ok(Self { path, file })
    }

    /// The next line that is complete. One that is still being written waits.
    fn line(&mut self) -> ConnectorResult<Option<SourceRecord>> {
        let start = self.file.stream_position()?;
        let mut line = String::new();
        let bytes = self.file.read_line(&mut line)? as u64;
        if !line.ends_with('\n') {
            self.file.seek(SeekFrom::Start(start))?;
            return Ok(None);
        }
        let behind = Offset::new(self.path.clone(), start + bytes);
        Ok(Some(SourceRecord::from_string(TOPIC, line.trim_end()).with_offset(behind)))
    }
}

#[async_trait]
impl SourceConnector for Lines {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        let topic = TOPIC.to_owned();
        Ok(vec![ProducerConfig { topic, partitions: 0, reliable_dispatch: true }])
    }

    async fn restore(&mut self, positions: Vec<Offset>) -> ConnectorResult<()> {
        if let Some(last) = positions.iter().find(|position| position.partition == self.path) {
            self.file.seek(SeekFrom::Start(last.value))?;
        }
        Ok(())
    }

    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        let mut records = Vec::new();
        while records.len() < AT_ONCE
            && let Some(record) = self.line()?
        {
            records.push(record);
        }
        Ok(records)
    }
}

#[tokio::main]
async fn main() -> ConnectorResult<()> {
    let path = env::args().nth(1).ok_or_else(|| ConnectorError::config("which file?"))?;
    let config = ConnectorConfig { connector_name: "lines".to_owned(), ..Default::default() };
    SourceRuntime::new(Lines::open(path)?, config).await?.run().await
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use danube_connector_sdk::testing::SourceDriver;

    use super::*;

    #[tokio::test]
    async fn it_goes_on_behind_the_position_and_waits_for_whole_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lines").display().to_string();
        fs::write(&path, "one\ntwo\nthr").expect("a file");
        let lines = Lines::open(path.clone()).expect("it opens");
        let positions = vec![Offset::new(path.clone(), 4)];
        let mut driver = SourceDriver::start(lines, ConnectorConfig::default(), positions)
            .await
            .expect("it starts");
        let texts = |records: &[SourceRecord]| -> Vec<String> {
            records.iter().map(|record| record.payload_str().expect("text").to_owned()).collect()
        };

        assert_eq!(texts(&driver.poll().await.expect("records")), ["two"]);
        File::options()
            .append(true)
            .open(&path)
            .expect("a file")
            .write_all(b"ee\n")
            .expect("written");
        assert_eq!(texts(&driver.poll().await.expect("records")), ["three"]);
    }
}
