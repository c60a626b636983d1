//! What the operator set for a connector.

use serde_json::{Map, Value};

use super::SidecarError;

/// The settings of `opened`; a sidecar that has none sends nothing.
///
/// # Errors
/// When it is no JSON.
pub(crate) fn settings(json: &str) -> Result<Value, SidecarError> {
    if json.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let unread =
        |error| SidecarError::Protocol { what: format!("its settings are no JSON: {error}") };
    serde_json::from_str(json).map_err(unread)
}
