//! What a connector can answer with, and what follows from it.

use std::{error::Error as StdError, time::Duration};

use thiserror::Error;

use crate::SidecarError;

/// The result of everything a connector does.
pub type ConnectorResult<T> = Result<T, ConnectorError>;

type Source = Box<dyn StdError + Send + Sync>;

/// An error of a connector. Its kind decides what becomes of a sink record:
///
/// | kind | outcome |
/// |---|---|
/// | `Retryable`, `Io`, `Danube` | offered again after a backoff |
/// | `InvalidData`, `Serialization` | rejected: dead letter |
/// | `Fatal`, `Configuration` | the connector stops; its records stay with the sidecar |
#[derive(Debug, Error)]
pub enum ConnectorError {
    /// Temporary: a timeout, an overloaded or absent system, a rate limit.
    #[error("Retryable error: {message}")]
    Retryable {
        /// What happened.
        message: String,
        /// What caused it.
        #[source]
        source: Option<Source>,
    },

    /// Nothing works until somebody changes something: refused credentials, a wrong setting.
    #[error("Fatal error: {message}")]
    Fatal {
        /// What happened.
        message: String,
        /// What caused it.
        #[source]
        source: Option<Source>,
    },

    /// This record can never be written.
    #[error("Invalid data: {message}")]
    InvalidData {
        /// What is wrong with it.
        message: String,
        /// The payload in question. It is never logged.
        payload: Vec<u8>,
    },

    /// The configuration is wrong.
    #[error("Configuration error: {0}")]
    Configuration(String),

    /// The way to Danube, which is the sidecar, is closed.
    #[error("Danube error: {0}")]
    Danube(#[from] SidecarError),

    /// Data could not be encoded or decoded.
    #[error("Serialization error: {0}")]
    Serialization(String),

    /// Reading or writing failed.
    #[error("I/O error: {0}")]
    Io(#[from] std::io::Error),
}

impl ConnectorError {
    /// Whether this is [`ConnectorError::Retryable`].
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Retryable { .. })
    }

    /// Whether this is [`ConnectorError::Fatal`], or a sidecar that refuses this connector.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Fatal { .. } => true,
            Self::Danube(error) => error.is_permanent(),
            _ => false,
        }
    }

    /// Whether this is [`ConnectorError::InvalidData`].
    pub fn is_invalid_data(&self) -> bool {
        matches!(self, Self::InvalidData { .. })
    }

    /// A temporary failure.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::Retryable { message: message.into(), source: None }
    }

    /// A temporary failure and its cause.
    pub fn retryable_with_source(
        message: impl Into<String>,
        source: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self::Retryable { message: message.into(), source: Some(Box::new(source)) }
    }

    /// A temporary failure, with the time that the external system asked for
    /// (as HTTP does with `Retry-After`). The record is not offered earlier.
    pub fn retryable_after(message: impl Into<String>, after: Duration) -> Self {
        Self::retryable_with_source(message, RetryAfter(after))
    }

    /// A failure that stops the connector.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::Fatal { message: message.into(), source: None }
    }

    /// A failure that stops the connector, and its cause.
    pub fn fatal_with_source(
        message: impl Into<String>,
        source: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self::Fatal { message: message.into(), source: Some(Box::new(source)) }
    }

    /// A record that can never be written.
    pub fn invalid_data(message: impl Into<String>, payload: Vec<u8>) -> Self {
        Self::InvalidData { message: message.into(), payload }
    }

    /// A wrong configuration.
    pub fn config(message: impl Into<String>) -> Self {
        Self::Configuration(message.into())
    }

    /// The time given to [`ConnectorError::retryable_after`].
    pub fn retry_after(&self) -> Option<Duration> {
        let Self::Retryable { source: Some(source), .. } = self else { return None };
        source.downcast_ref::<RetryAfter>().map(|after| after.0)
    }

    /// Whether the connector has to stop.
    pub(crate) fn stops(&self) -> bool {
        self.is_fatal() || matches!(self, Self::Configuration(_))
    }

    /// Whether it is the record that is wrong, not the world.
    pub(crate) fn is_about_data(&self) -> bool {
        matches!(self, Self::InvalidData { .. } | Self::Serialization(_))
    }

    /// The kind as a code for results, from a closed set.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Retryable { .. } => "RETRYABLE",
            Self::Fatal { .. } => "FATAL",
            Self::InvalidData { .. } => "INVALID_DATA",
            Self::Configuration(_) => "CONFIGURATION",
            Self::Danube(_) => "DANUBE",
            Self::Serialization(_) => "SERIALIZATION",
            Self::Io(_) => "IO",
        }
    }
}

impl From<serde_json::Error> for ConnectorError {
    fn from(error: serde_json::Error) -> Self {
        Self::Serialization(error.to_string())
    }
}

#[derive(Debug, Error)]
#[error("not before {0:?} have passed")]
struct RetryAfter(Duration);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_constructor_makes_its_kind() {
        assert!(ConnectorError::retryable("x").is_retryable());
        assert!(ConnectorError::fatal("x").is_fatal());
        assert!(ConnectorError::invalid_data("x", vec![1]).is_invalid_data());
        assert!(ConnectorError::config("x").stops());
    }

    #[test]
    fn the_message_names_the_kind() {
        assert_eq!(ConnectorError::retryable("timeout").to_string(), "Retryable error: timeout");
        assert_eq!(ConnectorError::config("no url").to_string(), "Configuration error: no url");
    }

    #[test]
    fn the_asked_for_delay_is_kept() {
        let asked = ConnectorError::retryable_after("429", Duration::from_secs(7));

        assert!(asked.is_retryable());
        assert_eq!(asked.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(ConnectorError::retryable("timeout").retry_after(), None);
    }

    #[test]
    fn json_errors_are_about_the_data() {
        let error = serde_json::from_str::<u8>("x").map_err(ConnectorError::from);

        assert!(error.is_err_and(|error| error.is_about_data()));
    }
}
