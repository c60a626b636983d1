//! The file that the conformance kit reads.

use std::{
    env,
    fs::{File, OpenOptions},
    io::Write as _,
    path::PathBuf,
};

use danube_connector_sdk::{ConnectorConfig, ConnectorError, ConnectorResult};

/// Lines, each appended with one write.
pub struct Journal {
    file: File,
    sick: PathBuf,
}

impl Journal {
    /// The one that `CONFORMANCE_FILE` names.
    pub fn from_env() -> ConnectorResult<Self> {
        let path = env::var("CONFORMANCE_FILE")
            .map_err(|_| ConnectorError::config("CONFORMANCE_FILE is required"))?;
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        Ok(Self { file, sick: format!("{path}.sick").into() })
    }

    pub fn append(&self, line: &str) -> ConnectorResult<()> {
        Ok((&self.file).write_all(format!("{line}\n").as_bytes())?)
    }

    /// An error while the file `FILE.sick` exists.
    pub fn check_health(&self) -> ConnectorResult<()> {
        if self.sick.exists() {
            return Err(ConnectorError::retryable("told to be"));
        }
        Ok(())
    }
}

/// What the kit gives a connector.
pub fn config() -> ConnectorConfig {
    let connector_name = "conformance".to_owned();
    let mut config = ConnectorConfig { connector_name, ..ConnectorConfig::default() };
    config.apply_env_overrides();
    config
}

pub fn is_set(name: &str, value: &str) -> bool {
    env::var(name).is_ok_and(|set| set == value)
}
