//! Why the admin API did not do what it was asked.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use danube_sidecar_store::{CheckpointError, StoreError};

use super::api::{Failure, Problem};
use crate::{refusal::Refusal, source::ReplaceError};

/// Why the admin API did not do what it was asked: each names the remedy.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// The source is at work.
    #[error(transparent)]
    Positions(#[from] ReplaceError),
    /// The checkpoint store.
    #[error(transparent)]
    Checkpoints(#[from] CheckpointError),
    /// The store in the data directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The caller is not let in.
    #[error(transparent)]
    Unauthenticated(Refusal),
    /// Strangers could reach it.
    #[error(
        "the admin API is closed, because the HTTP port is not on the loopback interface and \
         there is no token: set [sidecar] token_file, or http_listen = \"127.0.0.1:6671\""
    )]
    Closed,
    /// A web page of elsewhere.
    #[error("the host {0:?} is not this sidecar: call it by its address, or as localhost")]
    ForeignHost(String),
}

impl ApiError {
    /// Status, and the constant for programs.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Positions(ReplaceError::Open { .. }) => (StatusCode::CONFLICT, "SESSION_OPEN"),
            Self::Positions(ReplaceError::Checkpoints(_)) | Self::Checkpoints(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "CHECKPOINTS_FAILED")
            }
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "STORE_FAILED"),
            Self::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            Self::Closed => (StatusCode::FORBIDDEN, "ADMIN_CLOSED"),
            Self::ForeignHost(_) => (StatusCode::FORBIDDEN, "FOREIGN_HOST"),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, reason) = self.kind();
        let problem = Problem { reason: reason.to_owned(), message: self.to_string() };
        (status, Json(Failure { error: problem })).into_response()
    }
}
