//! What every connector is configured with.

use std::{env, fs};

use serde::{Deserialize, Serialize};

use crate::{ConnectorError, ConnectorResult, SubType};

/// The settings that all connectors share. Put it into your own configuration
/// with `#[serde(flatten)]`, so that one TOML file holds both; tables that are
/// not its own are left alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConnectorConfig {
    /// Danube's address. The connector never connects to it: the sidecar is told,
    /// and warns where it serves another broker.
    pub danube_service_url: String,

    /// The connector's name: the sidecar's key for its settings, positions and metrics.
    pub connector_name: String,

    /// How records are retried.
    #[serde(default)]
    pub retry: RetrySettings,

    /// Batches and pace.
    #[serde(default)]
    pub processing: ProcessingSettings,
}

impl ConnectorConfig {
    /// Takes `DANUBE_SERVICE_URL` and `CONNECTOR_NAME` from the environment, and
    /// the defaults for everything else.
    ///
    /// # Errors
    /// When one of the two is not set.
    pub fn from_env() -> ConnectorResult<Self> {
        Ok(Self {
            danube_service_url: required("DANUBE_SERVICE_URL")?,
            connector_name: required("CONNECTOR_NAME")?,
            retry: RetrySettings::default(),
            processing: ProcessingSettings::default(),
        })
    }

    /// Reads a TOML file.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a configuration.
    pub fn from_file(path: &str) -> ConnectorResult<Self> {
        let content = fs::read_to_string(path).map_err(|error| {
            ConnectorError::config(format!("Failed to read config file {path}: {error}"))
        })?;
        toml::from_str(&content).map_err(|error| {
            ConnectorError::config(format!("Failed to parse config file {path}: {error}"))
        })
    }

    /// Lets `DANUBE_SERVICE_URL` and `CONNECTOR_NAME` override what is set.
    pub fn apply_env_overrides(&mut self) {
        if let Ok(url) = env::var("DANUBE_SERVICE_URL") {
            self.danube_service_url = url;
        }
        if let Ok(name) = env::var("CONNECTOR_NAME") {
            self.connector_name = name;
        }
    }

    /// Checks that the values make sense.
    ///
    /// # Errors
    /// Names the first one that does not.
    pub fn validate(&self) -> ConnectorResult<()> {
        if self.danube_service_url.is_empty() {
            return Err(ConnectorError::config("danube_service_url cannot be empty"));
        }
        if self.connector_name.is_empty() {
            return Err(ConnectorError::config("connector_name cannot be empty"));
        }
        if self.retry.max_retries > 100 {
            return Err(ConnectorError::config(format!(
                "max_retries too high: {} (max 100)",
                self.retry.max_retries
            )));
        }
        if self.processing.batch_size == 0 {
            return Err(ConnectorError::config("batch_size must be > 0"));
        }
        Ok(())
    }
}

impl Default for ConnectorConfig {
    fn default() -> Self {
        Self {
            danube_service_url: "http://localhost:6650".to_owned(),
            connector_name: "default-connector".to_owned(),
            retry: RetrySettings::default(),
            processing: ProcessingSettings::default(),
        }
    }
}

fn required(name: &str) -> ConnectorResult<String> {
    env::var(name).map_err(|_| ConnectorError::config(format!("{name} is required")))
}

/// How records are retried. The sidecar does it; this is proposed to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct RetrySettings {
    /// Failed attempts after the first one before a record is given up. Default 3.
    pub max_retries: u32,

    /// The first backoff, in milliseconds. Default 1000.
    pub retry_backoff_ms: u64,

    /// The longest backoff, in milliseconds. Default 30000.
    pub max_backoff_ms: u64,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self { max_retries: 3, retry_backoff_ms: 1000, max_backoff_ms: 30_000 }
    }
}

/// Batches and pace.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessingSettings {
    /// Most records in a batch. A sink has at most four batches in hand. Default 1000.
    pub batch_size: usize,

    /// How long a batch that is not full may wait for more records, in
    /// milliseconds. Acts only where it is set to something else than its
    /// default of 1000: otherwise a batch waits for nothing.
    pub batch_timeout_ms: u64,

    /// How long a source rests after a poll that brought nothing, in
    /// milliseconds. Default 100.
    pub poll_interval_ms: u64,

    /// Accepted and unused: the sidecar exports the metrics. Default 9090.
    pub metrics_port: u16,

    /// For the connector's own use: the runtime installs no log. Default "info".
    pub log_level: String,
}

impl Default for ProcessingSettings {
    fn default() -> Self {
        Self {
            batch_size: 1000,
            batch_timeout_ms: 1000,
            poll_interval_ms: 100,
            metrics_port: 9090,
            log_level: "info".to_owned(),
        }
    }
}

/// How a subscription is shared between consumers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum SubscriptionType {
    /// One consumer, in order.
    Exclusive,
    /// Several consumers share the messages.
    Shared,
    /// One consumer, others stand by.
    FailOver,
}

impl From<SubscriptionType> for SubType {
    fn from(kind: SubscriptionType) -> Self {
        match kind {
            SubscriptionType::Exclusive => Self::Exclusive,
            SubscriptionType::Shared => Self::Shared,
            SubscriptionType::FailOver => Self::FailOver,
        }
    }
}

/// What a sink consumes: one subscription.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// The topic, as `/namespace/topic`. All its partitions are consumed.
    pub topic: String,
    /// The consumer's name. It must be unique within the subscription.
    pub consumer_name: String,
    /// The subscription's name.
    pub subscription: String,
    /// How the subscription is shared.
    pub subscription_type: SubscriptionType,
}

/// Where a source publishes: one topic.
#[derive(Debug, Clone)]
pub struct ProducerConfig {
    /// The topic, as `/namespace/topic`. It is created where it does not exist.
    pub topic: String,
    /// The number of partitions; 0 for a topic without.
    pub partitions: usize,
    /// Whether Danube keeps messages until they are acked.
    pub reliable_dispatch: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ConnectorConfig {
        toml::from_str(text).expect("a configuration")
    }

    #[test]
    fn what_is_not_in_the_file_has_the_guides_default() {
        let config = parse(
            "danube_service_url = 'http://b:6650'\nconnector_name = 'c'\n[retry]\nmax_retries = 7",
        );

        assert_eq!(config.retry.max_retries, 7);
        assert_eq!(config.retry.max_backoff_ms, 30_000);
        assert_eq!(config.processing.batch_size, 1000);
        assert_eq!(config.processing.poll_interval_ms, 100);
    }

    #[test]
    fn tables_of_the_connectors_own_are_left_alone() {
        let config = parse("danube_service_url = 'u'\nconnector_name = 'c'\n[postgres]\nurl = 'x'");

        assert_eq!(config.connector_name, "c");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = ConnectorConfig::from_file("/nowhere.toml").expect_err("no such file");

        assert!(error.to_string().contains("/nowhere.toml"), "{error}");
    }

    #[test]
    fn a_batch_size_of_zero_is_refused() {
        let mut config = ConnectorConfig::default();
        config.processing.batch_size = 0;

        assert!(config.validate().is_err_and(|error| error.to_string().contains("batch_size")));
    }

    #[test]
    fn an_empty_name_is_refused() {
        let config =
            ConnectorConfig { connector_name: String::new(), ..ConnectorConfig::default() };

        assert!(config.validate().is_err_and(|error| error.to_string().contains("connector_name")));
    }
}
