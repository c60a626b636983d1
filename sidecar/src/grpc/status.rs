//! Refusals as gRPC statuses with `google.rpc.ErrorInfo`.

use std::{collections::HashMap, time::Duration};

use danube_sidecar_text::Foreign;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::refusal::Refusal;

/// The domain of every `ErrorInfo` that the sidecar sends.
const DOMAIN: &str = "danube-sidecar";

/// When to dial again after a refusal that passes by itself.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The status that ends a refused session.
pub(super) fn status(refusal: &Refusal) -> Status {
    let message = Foreign(refusal.to_string()).to_string();
    let mut details = ErrorDetails::with_error_info(refusal.reason(), DOMAIN, metadata(refusal));
    let code = code(refusal);
    if code == Code::Unavailable {
        details.set_retry_info(Some(RETRY_AFTER));
    }
    Status::with_error_details(code, message, details)
}

fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::NotOpened { .. }
        | Refusal::OpenMissing { .. }
        | Refusal::OpenedTwice
        | Refusal::InvalidField { .. }
        | Refusal::TooLong { .. }
        | Refusal::Results(_)
        | Refusal::Records(_)
        | Refusal::NothingToDo { .. }
        | Refusal::MalformedFrame { .. }
        | Refusal::Unpublishable { .. } => Code::InvalidArgument,
        Refusal::NoCommonVersion { .. }
        | Refusal::RefusedSubscription { .. }
        | Refusal::PositionsTooLarge { .. }
        | Refusal::OpenedTooLarge { .. }
        | Refusal::DeadLetterTopic { .. } => Code::FailedPrecondition,
        Refusal::UnknownConnector { .. }
        | Refusal::ForbiddenTopic { .. }
        | Refusal::ForeignHost(_) => Code::PermissionDenied,
        Refusal::Unauthenticated { .. } => Code::Unauthenticated,
        Refusal::FrameTooLarge { .. } => Code::ResourceExhausted,
        Refusal::Superseded { .. } => Code::Aborted,
        Refusal::ResultTimeout { .. } => Code::DeadlineExceeded,
        Refusal::ShuttingDown | Refusal::Failed | Refusal::Store(_) | Refusal::Checkpoints(_) => {
            Code::Unavailable
        }
    }
}

fn metadata(refusal: &Refusal) -> HashMap<String, String> {
    let pairs: Vec<(&str, String)> = match refusal {
        Refusal::InvalidField { field, .. } => vec![("field", (*field).to_owned())],
        Refusal::TooLong { field, problem } => vec![
            ("field", (*field).to_owned()),
            ("length_bytes", problem.length.to_string()),
            ("limit_bytes", problem.max.to_string()),
        ],
        Refusal::PositionsTooLarge { count, bytes, limit, .. } => vec![
            ("positions", count.to_string()),
            ("bytes", bytes.to_string()),
            ("limit_bytes", limit.to_string()),
        ],
        Refusal::OpenedTooLarge { bytes, limit } => {
            vec![("bytes", bytes.to_string()), ("limit_bytes", limit.to_string())]
        }
        Refusal::NotOpened { got } => vec![("frame", (*got).to_owned())],
        Refusal::NoCommonVersion { ours, min, max } => vec![
            ("supported_min", ours.to_string()),
            ("supported_max", ours.to_string()),
            ("requested_min", min.to_string()),
            ("requested_max", max.to_string()),
        ],
        Refusal::FrameTooLarge { limit } => vec![("limit_bytes", limit.to_string())],
        Refusal::ForbiddenTopic { topic } => vec![("topic", topic.to_string())],
        Refusal::UnknownConnector { name, .. } => vec![("connector", name.clone())],
        Refusal::Unpublishable { number, .. } => vec![("number", number.to_string())],
        _ => vec![],
    };
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_reason_and_message() {
        let status = status(&Refusal::NotOpened { got: "results" });
        assert_eq!(status.code(), Code::InvalidArgument);
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("FIRST_FRAME_NOT_OPEN", DOMAIN));
        assert!(status.message().contains("`results`"), "{}", status.message());
    }

    #[test]
    fn what_passes_by_itself_says_when_to_dial_again() {
        let status = status(&Refusal::ShuttingDown);
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(RETRY_AFTER));
    }
}
