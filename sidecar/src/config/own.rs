//! A connector's own settings.

use super::ConfigError;
use crate::bounds;

/// A connector's own settings: they must fit into the frame that they are sent in.
pub(super) fn settings(
    connector: &str,
    own: toml::Table,
) -> Result<serde_json::Map<String, serde_json::Value>, ConfigError> {
    let json = json_object(own);
    let bytes = serde_json::to_string(&json).map_or(0, |text| text.len());
    if bytes > bounds::SETTINGS {
        return Err(ConfigError::Unusable {
            key: format!("the settings of connector {connector}"),
            value: format!("{bytes} bytes"),
            remedy: format!(
                "at most {} bytes are sent to a connector: put what is large into a file, and its \
                 path into the settings",
                bounds::SETTINGS
            ),
        });
    }
    Ok(json)
}

fn json_object(table: toml::Table) -> serde_json::Map<String, serde_json::Value> {
    match serde_json::to_value(table) {
        Ok(serde_json::Value::Object(object)) => object,
        _ => serde_json::Map::new(),
    }
}
