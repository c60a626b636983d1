//! What can go wrong between a connector and its sidecar.

use std::time::Duration;

use thiserror::Error;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Why there is no session with the sidecar. Connectors see only those that are
/// permanent, as the end of `run()`: the runtime outlasts all others.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SidecarError {
    /// Nobody answers there.
    #[error("no sidecar answers at {address}: {}", root_cause(source))]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What the attempt failed with.
        source: tonic::transport::Error,
    },

    /// The sidecar refuses this connector, and will again until something is changed.
    #[error("the sidecar refuses this connector ({}): {}", reason(status), status.message())]
    Refused {
        /// Its answer.
        status: Box<Status>,
    },

    /// A newer process of the same source has taken over.
    #[error(
        "another process of this source has taken over ({}); \
         let only one run, or give each a connector_name of its own",
        status.message()
    )]
    TakenOver {
        /// The sidecar's answer.
        status: Box<Status>,
    },

    /// The session broke.
    #[error("the session with the sidecar broke ({:?}): {}", status.code(), status.message())]
    Broken {
        /// What it broke with.
        status: Box<Status>,
    },

    /// The sidecar ended the session.
    #[error("the sidecar ended the session")]
    Ended,

    /// The sidecar is too slow.
    #[error("the sidecar did not {what} within {limit:?}")]
    Slow {
        /// What it was to do.
        what: &'static str,
        /// How long it had.
        limit: Duration,
    },

    /// The sidecar broke the protocol.
    #[error("the sidecar broke the protocol: {what}")]
    Protocol {
        /// What it did.
        what: String,
    },
}

impl SidecarError {
    /// What a status means to a sink.
    pub(crate) fn of_sink(status: Status) -> Self {
        let status = Box::new(status);
        match status.code() {
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unauthenticated => Self::Refused { status },
            _ => Self::Broken { status },
        }
    }

    /// What a status means to a source, of which there can be only one.
    pub(crate) fn of_source(status: Status) -> Self {
        match status.code() {
            Code::Aborted => Self::TakenOver { status: Box::new(status) },
            _ => Self::of_sink(status),
        }
    }

    /// Whether trying again is in vain.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::TakenOver { .. })
    }

    /// How long the sidecar asks to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let Self::Broken { status } = self else { return None };
        status.get_details_retry_info()?.retry_delay
    }
}

/// The constant that names what the sidecar objects to, else the code.
fn reason(status: &Status) -> String {
    match status.get_details_error_info() {
        Some(info) => info.reason,
        None => format!("{:?}", status.code()),
    }
}

/// What is at the end of the chain: the transport's own message says nothing.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn four_statuses_are_permanent() {
        for code in [
            Code::InvalidArgument,
            Code::FailedPrecondition,
            Code::PermissionDenied,
            Code::Unauthenticated,
        ] {
            assert!(SidecarError::of_sink(Status::new(code, "no")).is_permanent(), "{code:?}");
        }
        for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Internal, Code::Unknown] {
            assert!(!SidecarError::of_sink(Status::new(code, "no")).is_permanent(), "{code:?}");
        }
    }

    #[test]
    fn aborted_ends_a_source_only() {
        let aborted = || Status::aborted("epoch 4");

        assert!(SidecarError::of_source(aborted()).is_permanent());
        assert!(!SidecarError::of_sink(aborted()).is_permanent());
    }

    #[test]
    fn the_sidecars_reason_is_in_the_message() {
        let details = ErrorDetails::with_error_info("TOPIC_NOT_ALLOWED", "danube", []);
        let status =
            Status::with_error_details(Code::PermissionDenied, "topic /default/x", details);
        let message = SidecarError::of_sink(status).to_string();

        assert!(message.contains("TOPIC_NOT_ALLOWED") && message.contains("/default/x"));
    }

    #[test]
    fn a_sidecar_that_shuts_down_says_when_to_come_back() {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(2)));
        let status = Status::with_error_details(Code::Unavailable, "shutting down", details);

        assert_eq!(SidecarError::of_sink(status).retry_after(), Some(Duration::from_secs(2)));
    }
}
