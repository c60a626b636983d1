//! Block 24 of the guide: the kinds of errors.

use danube_connect_core::ConnectorError;

pub fn errors(payload: &[u8]) -> [ConnectorError; 3] {
    [
        // Retryable - temporary failures (network, timeouts)
        // guide: ConnectorError::retryable("DB connection timeout")
        ConnectorError::retryable("DB connection timeout"),

        // Invalid data - skip this message, continue processing
        // guide: ConnectorError::invalid_data("Malformed JSON payload", payload.to_vec())
        ConnectorError::invalid_data("Malformed JSON payload", payload.to_vec()),

        // Fatal - stop connector immediately
        // guide: ConnectorError::fatal("Invalid configuration")
        ConnectorError::fatal("Invalid configuration"),
    ]
}
