//! The configuration: one TOML file, the guide's pattern.

use std::env;

use danube_connector_sdk::{ConnectorConfig, ConnectorError, ConnectorResult};
use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
pub struct FileSourceConfig {
    /// The core's settings, at the root.
    #[serde(flatten)]
    pub core: ConnectorConfig,
    /// `[file]`.
    pub file: FileSettings,
}

/// `[file]`: what is read and where it goes.
#[derive(Clone, Debug, Deserialize)]
pub struct FileSettings {
    /// The file: one record a line.
    pub path: String,
    /// The Danube topic.
    pub topic: String,
    /// Partitions of the topic; 0: one topic without partitions.
    #[serde(default)]
    pub partitions: usize,
    /// Lines are JSON objects, and this field is the routing key.
    pub key_field: Option<String>,
}

impl FileSourceConfig {
    /// Reads the file that `CONNECTOR_CONFIG_PATH` names; `DANUBE_SERVICE_URL` and
    /// `CONNECTOR_NAME` win over it.
    ///
    /// # Errors
    /// When the file cannot be read or is not valid.
    pub fn load() -> ConnectorResult<Self> {
        let path = env::var("CONNECTOR_CONFIG_PATH").map_err(|_| {
            ConnectorError::config("set CONNECTOR_CONFIG_PATH to the source's TOML file")
        })?;
        let text = std::fs::read_to_string(&path)
            .map_err(|error| ConnectorError::config(format!("cannot read {path}: {error}")))?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| ConnectorError::config(format!("{path} is not valid: {error}")))?;
        config.core.apply_env_overrides();
        config.core.validate()?;
        Ok(config)
    }
}
