//! What can go wrong with a cluster, and what follows from it.

use std::{error::Error, path::PathBuf, sync::Arc, time::Duration};

use danube_client::errors::DanubeError;
use tonic::{Code, Status};

/// A cluster cannot be used as configured. Permanent until the operator acts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The url cannot be parsed.
    #[error("{url:?} is not the url of a broker: expected something like http://127.0.0.1:6650")]
    Url {
        /// As configured.
        url: String,
    },
    /// A certificate, key or token cannot be read.
    #[error("cannot read {path}: {source}; make the file readable for the sidecar")]
    File {
        /// As configured.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A token would travel in the clear.
    #[error("a token is configured, but {url:?} is not encrypted: use an https url")]
    TokenInTheClear {
        /// As configured.
        url: String,
    },
}

/// A call to the cluster failed.
#[derive(Debug, thiserror::Error)]
#[error("{call} failed: {}", describe(.source))]
pub struct CallError {
    call: &'static str,
    source: Cause,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the sidecar is ending")]
    Abandoned,
    #[error("{0}")]
    Client(#[from] Arc<DanubeError>),
    #[error("{}: {}", .0.code(), .0.message())]
    Status(#[from] Box<Status>),
}

/// What follows from a failed call: the one place where statuses are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Nobody answers, or the connection hangs: try again later.
    Away,
    /// Another broker has the topic, or will have: look it up again.
    Moved,
    /// The topic, consumer or producer does not exist (any more).
    Missing,
    /// The broker does not want it so; may change by an operator's hand.
    Refused,
    /// A topic cannot be created beside the ones that exist.
    Taken,
    /// The topic's namespace does not exist: until an operator creates it.
    NoNamespace,
    /// The same request can never succeed.
    Invalid,
}

impl CallError {
    pub(crate) fn new(call: &'static str, source: impl Into<Cause>) -> Self {
        Self { call, source: source.into() }
    }

    pub(crate) fn class(&self) -> Class {
        match &self.source {
            Cause::Timeout(_) | Cause::Abandoned => Class::Away,
            Cause::Status(status) => class_of(status),
            Cause::Client(error) => match error.as_ref() {
                DanubeError::FromStatus(status) => class_of(status),
                DanubeError::TonicTransportError(_) => Class::Away,
                _ => Class::Refused,
            },
        }
    }

    /// Whether the connection itself is in doubt although it looks open.
    pub(crate) fn hangs(&self) -> bool {
        matches!(self.source, Cause::Timeout(_))
    }
}

fn class_of(status: &Status) -> Class {
    match status.code() {
        // UNAVAILABLE too, but no other broker will have it.
        _ if status.message().contains("Unable to find the namespace") => Class::NoNamespace,
        // What the broker takes in no topic's name is no fault of the messages.
        _ if status.message().contains("has an invalid format") => Class::Refused,
        // From the broker itself this means "not here, look it up again"; with a
        // transport error behind it nobody has answered.
        Code::Unavailable if status.source().is_none() => Class::Moved,
        Code::Unavailable
        | Code::Unknown
        | Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted => Class::Away,
        Code::NotFound => Class::Missing,
        Code::AlreadyExists => Class::Taken,
        Code::InvalidArgument | Code::OutOfRange => Class::Invalid,
        _ => Class::Refused,
    }
}

impl From<DanubeError> for Cause {
    fn from(error: DanubeError) -> Self {
        Self::Client(Arc::new(error))
    }
}

impl From<Status> for Cause {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

/// The cause with what is behind it: transport errors say what happened only in
/// their sources.
fn describe(cause: &Cause) -> String {
    let mut text = cause.to_string();
    let mut source = match cause {
        Cause::Timeout(_) | Cause::Abandoned => None,
        Cause::Client(error) => error.source(),
        Cause::Status(status) => status.source(),
    };
    while let Some(error) = source {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_says_unavailable_means_that_the_topic_is_elsewhere() {
        let error = CallError::new("Subscribe", Status::unavailable("redo the lookup"));
        assert_eq!(error.class(), Class::Moved);
    }

    #[test]
    fn a_call_that_hangs_puts_the_connection_in_doubt() {
        let error = CallError::new("Ack", Cause::Timeout(Duration::from_secs(1)));
        assert!(error.hangs());
        assert_eq!(error.to_string(), "Ack failed: no answer within 1s");
    }

    #[test]
    fn a_topic_that_exists_under_a_longer_name_takes_the_shorter_one() {
        let error = CallError::new("CreateProducer", Status::already_exists("partitions"));
        assert_eq!(error.class(), Class::Taken);
    }

    #[test]
    fn a_missing_namespace_is_known_by_its_message() {
        let missing = Status::unavailable("Unable to find the namespace iot, the topic can be");
        let error = CallError::new("CreateProducer", missing);
        assert_eq!(error.class(), Class::NoNamespace);
    }

    #[test]
    fn a_name_that_the_broker_does_not_take_is_no_fault_of_the_messages() {
        let refused = Status::invalid_argument("The topic: /default/a.b has an invalid format,");
        assert_eq!(CallError::new("CreateProducer", refused).class(), Class::Refused);
    }

    #[test]
    fn the_status_a_client_error_carries_decides() {
        let error = DanubeError::FromStatus(Status::not_found("no such topic"));
        assert_eq!(CallError::new("TopicLookup", error).class(), Class::Missing);
    }
}
