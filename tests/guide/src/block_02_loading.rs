//! Block 2 of the guide: loading the configuration.

use std::{env, fs};

use danube_connect_core::{ConnectorError, ConnectorResult};

use crate::{MyConnectorConfig, MySettings};

impl MyConnectorConfig {
    pub fn load() -> ConnectorResult<Self> {
        // Load from TOML file (path from CONNECTOR_CONFIG_PATH env var)
        let config_path = env::var("CONNECTOR_CONFIG_PATH")
            .map_err(|_| ConnectorError::config(
                "CONNECTOR_CONFIG_PATH environment variable must be set"
            ))?;
        
        let mut config = Self::from_file(&config_path)?;
        
        // Apply ENV overrides (for secrets and environment-specific values)
        config.core.apply_env_overrides();
        config.my_connector.apply_env_overrides();
        
        Ok(config)
    }
    
    fn apply_env_overrides(&mut self) {
        // Core Danube settings (mandatory fields)
        if let Ok(url) = env::var("DANUBE_SERVICE_URL") {
            self.core.danube_service_url = url;
        }
        if let Ok(name) = env::var("CONNECTOR_NAME") {
            self.core.connector_name = name;
        }
        
        // Connector-specific overrides (secrets, URLs)
        // ... your connector's env var overrides
    }
}

/// What the guide leaves to the connector.
impl MyConnectorConfig {
    fn from_file(path: &str) -> ConnectorResult<Self> {
        let text = fs::read_to_string(path)?;
        toml::from_str(&text).map_err(|error| ConnectorError::config(error.to_string()))
    }

    pub fn validate(&self) -> ConnectorResult<()> {
        self.core.validate()
    }
}

impl MySettings {
    fn apply_env_overrides(&mut self) {
        if let Ok(url) = env::var("MY_CONNECTOR_URL") {
            self.url = url;
        }
    }
}
