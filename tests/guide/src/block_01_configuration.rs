//! Block 1 of the guide: the unified configuration.

use serde::Deserialize;
use danube_connect_core::ConnectorConfig;

#[derive(Deserialize)]
pub struct MyConnectorConfig {
    #[serde(flatten)]           // Merge core config at root level
    pub core: ConnectorConfig,  // Provided by danube-connect-core
    
    pub my_connector: MySettings, // Your connector-specific settings
}

/// The settings that the guide leaves to the connector.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MySettings {
    pub url: String,
    pub topic: String,
}
