//! One TOML file for the core's settings and the connector's own.

use std::{env, fs, path::PathBuf};

use danube_connector_sdk::{ConnectorConfig, ConnectorError, ConnectorResult};
use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
pub(crate) struct FileSourceConfig {
    #[serde(flatten)]
    pub(crate) core: ConnectorConfig,
    pub(crate) file: FileSettings,
}

/// The connector's own table, `[file]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileSettings {
    /// The file to read: one JSON object per line.
    pub(crate) path: PathBuf,
    /// Where the lines are published.
    pub(crate) topic: String,
    /// Number of partitions of the topic; 0 for a topic without.
    #[serde(default)]
    pub(crate) partitions: usize,
    /// Whether Danube keeps the lines until they are acked.
    #[serde(default = "yes")]
    pub(crate) reliable: bool,
    /// The field of a line whose value is its routing key. Lines of one key stay
    /// in order. Without it all lines do.
    pub(crate) key_field: Option<String>,
    /// Most lines that are read at once.
    #[serde(default = "five_hundred")]
    pub(crate) lines_per_poll: usize,
    /// Whether to end at the end of the file, instead of waiting for more lines.
    #[serde(default)]
    pub(crate) exit_at_end: bool,
}

impl FileSourceConfig {
    /// Reads the file that `CONNECTOR_CONFIG_PATH` names; `DANUBE_SERVICE_URL`,
    /// `CONNECTOR_NAME` and `FILE_SOURCE_PATH` override what it says.
    pub(crate) fn load() -> ConnectorResult<Self> {
        let path = env::var("CONNECTOR_CONFIG_PATH").map_err(|_| {
            ConnectorError::config("CONNECTOR_CONFIG_PATH environment variable must be set")
        })?;
        let text = fs::read_to_string(&path)
            .map_err(|error| ConnectorError::config(format!("cannot read {path}: {error}")))?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| ConnectorError::config(format!("{path}: {error}")))?;
        config.core.apply_env_overrides();
        if let Ok(path) = env::var("FILE_SOURCE_PATH") {
            config.file.path = path.into();
        }
        Ok(config)
    }

    pub(crate) fn validate(&self) -> ConnectorResult<()> {
        self.core.validate()?;
        if self.file.lines_per_poll == 0 {
            return Err(ConnectorError::config("file.lines_per_poll must be at least 1"));
        }
        Ok(())
    }
}

fn yes() -> bool {
    true
}

fn five_hundred() -> usize {
    500
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_configuration_is_valid() {
        let config: FileSourceConfig =
            toml::from_str(include_str!("../file-source.toml")).expect("it parses");

        config.validate().expect("it is valid");
        assert_eq!(config.file.key_field.as_deref(), Some("origin"));
        assert!(config.file.reliable && !config.file.exit_at_end);
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        let text = "danube_service_url = 'u'\nconnector_name = 'c'\n\
                    [file]\npath = 'p'\ntopic = '/default/t'\npartition = 4";

        assert!(toml::from_str::<FileSourceConfig>(text).is_err());
    }
}
