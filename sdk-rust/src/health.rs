//! What the sidecar hears about the connector's health.

use danube_connector_proto::v1;

use crate::{ConnectorError, ConnectorResult, wire_text::shortened};

/// The answer to a probe.
pub(crate) fn answer(probe: v1::Probe, health: ConnectorResult<()>) -> v1::Health {
    let (status, message) = match health {
        Ok(()) => (v1::health::Status::Healthy, String::new()),
        Err(error) => (v1::health::Status::Unhealthy, shortened(&error.to_string())),
    };
    v1::Health { probe_id: probe.probe_id, status: status.into(), message }
}

/// The farewell of a connector that cannot go on.
pub(crate) fn fault(error: &ConnectorError) -> v1::Fault {
    v1::Fault { code: error.code().to_owned(), message: shortened(&error.to_string()) }
}
