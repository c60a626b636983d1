//! What the sidecar hears about the connector's health.

use danube_connector_proto::v1;

use crate::{ConnectorResult, wire_text::shortened};

/// What the last check of a connector said.
#[derive(Clone, Debug)]
pub(crate) struct Checked(Result<(), String>);

/// Nothing is wrong as long as nobody has looked.
impl Default for Checked {
    fn default() -> Self {
        Self(Ok(()))
    }
}

impl From<ConnectorResult<()>> for Checked {
    fn from(health: ConnectorResult<()>) -> Self {
        Self(health.map_err(|error| shortened(&error.to_string())))
    }
}

impl Checked {
    /// The answer to a probe.
    pub(crate) fn answer(&self, probe: v1::Probe) -> v1::Health {
        let (status, message) = match &self.0 {
            Ok(()) => (v1::health::Status::Healthy, String::new()),
            Err(error) => (v1::health::Status::Unhealthy, error.clone()),
        };
        v1::Health { probe_id: probe.probe_id, status: status.into(), message, checked: false }
    }
}

/// The farewell of a connector that cannot go on.
pub(crate) fn fault(code: &str, message: &str) -> v1::Fault {
    v1::Fault { code: code.to_owned(), message: shortened(message) }
}
