//! One TOML file for the core's settings and the connector's own.

use std::{env, fs, time::Duration};

use danube_connector_sdk::{ConnectorConfig, ConnectorError, ConnectorResult};
use rumqttc::{MqttOptions, QoS, SubscribeFilter, matches, valid_filter};
use serde::Deserialize;

/// The whole file. It can hold a password, so it is never printed.
#[derive(Deserialize)]
pub(crate) struct MqttSourceConfig {
    #[serde(flatten)]
    pub(crate) core: ConnectorConfig,
    pub(crate) mqtt: MqttSettings,
}

/// The connector's own table, `[mqtt]`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MqttSettings {
    pub(crate) broker_host: String,
    #[serde(default = "default_port")]
    pub(crate) broker_port: u16,
    /// The broker keeps the session under this name: it has to stay the same.
    pub(crate) client_id: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    #[serde(default = "default_keep_alive")]
    pub(crate) keep_alive_secs: u64,
    /// Most messages that wait here. It has to be more than the broker leaves
    /// unacknowledged (Mosquitto: `max_inflight_messages`, 20).
    #[serde(default = "default_queue")]
    pub(crate) queue_size: usize,
    pub(crate) topic_mappings: Vec<TopicMapping>,
}

/// Which MQTT topics go where. The first mapping that matches counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopicMapping {
    /// A topic filter, with `+` and `#` as wildcards.
    pub(crate) mqtt_topic: String,
    pub(crate) danube_topic: String,
    /// 0 (at most once) or 1 (at least once).
    #[serde(default = "default_qos")]
    pub(crate) qos: u8,
    #[serde(default)]
    pub(crate) partitions: usize,
    #[serde(default = "default_reliable")]
    pub(crate) reliable: bool,
}

impl MqttSourceConfig {
    /// Reads the file that `CONNECTOR_CONFIG_PATH` names. The environment
    /// overrides the addresses, and is the place for the credentials.
    pub(crate) fn load() -> ConnectorResult<Self> {
        let path = env::var("CONNECTOR_CONFIG_PATH").map_err(|_| {
            ConnectorError::config("CONNECTOR_CONFIG_PATH environment variable must be set")
        })?;
        let text = fs::read_to_string(&path)
            .map_err(|error| ConnectorError::config(format!("cannot read {path}: {error}")))?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| ConnectorError::config(format!("{path}: {error}")))?;
        config.core.apply_env_overrides();
        config.mqtt.apply_env_overrides();
        Ok(config)
    }

    pub(crate) fn validate(&self) -> ConnectorResult<()> {
        self.core.validate()?;
        self.mqtt.validate()
    }
}

impl MqttSettings {
    /// What to tell the MQTT client.
    pub(crate) fn options(&self) -> MqttOptions {
        let mut options = MqttOptions::new(&self.client_id, &self.broker_host, self.broker_port);
        options
            .set_keep_alive(Duration::from_secs(self.keep_alive_secs))
            .set_clean_session(false)
            .set_manual_acks(true);
        if let Some(username) = &self.username {
            options.set_credentials(username, self.password.clone().unwrap_or_default());
        }
        options
    }

    /// What to subscribe to.
    pub(crate) fn filters(&self) -> Vec<SubscribeFilter> {
        let filter = |mapping: &TopicMapping| {
            let qos = if mapping.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
            SubscribeFilter::new(mapping.mqtt_topic.clone(), qos)
        };
        self.topic_mappings.iter().map(filter).collect()
    }

    /// Where messages of an MQTT topic go.
    pub(crate) fn mapping(&self, mqtt_topic: &str) -> Option<&TopicMapping> {
        self.topic_mappings.iter().find(|mapping| matches(mqtt_topic, &mapping.mqtt_topic))
    }

    fn apply_env_overrides(&mut self) {
        if let Ok(host) = env::var("MQTT_BROKER_HOST") {
            self.broker_host = host;
        }
        if let Ok(username) = env::var("MQTT_USERNAME") {
            self.username = Some(username);
        }
        if let Ok(password) = env::var("MQTT_PASSWORD") {
            self.password = Some(password);
        }
    }

    fn validate(&self) -> ConnectorResult<()> {
        if self.client_id.is_empty() {
            return Err(ConnectorError::config(
                "mqtt.client_id cannot be empty: it names the session",
            ));
        }
        if self.queue_size == 0 {
            return Err(ConnectorError::config("mqtt.queue_size must be at least 1"));
        }
        if self.topic_mappings.is_empty() {
            return Err(ConnectorError::config("mqtt.topic_mappings cannot be empty"));
        }
        self.topic_mappings.iter().try_for_each(TopicMapping::validate)
    }
}

impl TopicMapping {
    fn validate(&self) -> ConnectorResult<()> {
        if !valid_filter(&self.mqtt_topic) {
            return Err(ConnectorError::config(format!(
                "mqtt_topic \"{}\" is not a topic filter",
                self.mqtt_topic
            )));
        }
        if self.qos > 1 {
            return Err(ConnectorError::config(format!(
                "qos {} of \"{}\": expected 0 or 1 (Danube delivers at least once)",
                self.qos, self.mqtt_topic
            )));
        }
        Ok(())
    }
}

fn default_port() -> u16 {
    1883
}

fn default_keep_alive() -> u64 {
    60
}

fn default_queue() -> usize {
    1000
}

fn default_qos() -> u8 {
    1
}

fn default_reliable() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> MqttSourceConfig {
        toml::from_str(include_str!("../mqtt-source.toml")).expect("it parses")
    }

    #[test]
    fn the_example_configuration_is_valid() {
        example().validate().expect("it is valid");
    }

    #[test]
    fn the_first_mapping_that_matches_counts() {
        let settings = example().mqtt;
        let topic = |mqtt| settings.mapping(mqtt).map(|mapping| mapping.danube_topic.as_str());

        assert_eq!(topic("sensors/7/temperature"), Some("/default/temperatures"));
        assert_eq!(topic("sensors/7/humidity"), Some("/default/sensors"));
        assert_eq!(topic("elsewhere"), None);
    }

    #[test]
    fn the_session_is_kept_and_messages_are_acknowledged_by_hand() {
        let options = example().mqtt.options();

        assert!(!options.clean_session());
        assert!(options.manual_acks());
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let refused = |change: fn(&mut MqttSettings)| {
            let mut config = example();
            change(&mut config.mqtt);
            config.validate().is_err()
        };

        assert!(refused(|mqtt| mqtt.client_id.clear()));
        assert!(refused(|mqtt| mqtt.topic_mappings.clear()));
        assert!(refused(|mqtt| mqtt.topic_mappings[0].qos = 2));
        assert!(refused(|mqtt| mqtt.topic_mappings[0].mqtt_topic = "a/#/b".to_owned()));
    }
}
