//! Why the admin API did not do what it was asked.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use danube_sidecar_core::dispatch::Unfit;
use danube_sidecar_store::{CheckpointError, StoreError};

use super::api::{Failure, Problem};
use crate::{
    bounds::{ConnectorName, Text, TooLong},
    gate::ForeignHost,
    refusal::Refusal,
    source::ReplaceError,
};

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
    /// Nothing is kept here.
    #[error(
        "the sidecar has no data directory, so dead letters are in their topic only and there is \
         no inbox: set [sidecar] data_dir"
    )]
    NoDataDir,
    /// Which one?
    #[error("name a connector with --connector (the configuration names: {known})")]
    NoConnector {
        /// Those of the file.
        known: String,
    },
    /// None of that number.
    #[error("connector `{connector}` has no dead letter {id}: `dlq list` shows those it has")]
    NoLetter {
        /// The number.
        id: u64,
        /// The connector.
        connector: String,
    },
    /// A slip would be costly.
    #[error("a purge wants a filter (--class, --code, --key), or --all to delete every letter")]
    PurgeAll,
    /// Not a filter of a purge.
    #[error("a purge cannot be limited by time: filter by --class, --code or --key")]
    PurgeSince,
    /// Pass-through.
    #[error(
        "connector `{connector}` has no inbox to replay from: set [sidecar] data_dir, and not \
         inbox.enabled = false"
    )]
    NoInbox {
        /// The connector.
        connector: String,
    },
    /// Resolved records go at once.
    #[error(
        "the inbox of connector `{connector}` keeps nothing that is resolved: set [inbox] retain, \
         for example to \"1d\""
    )]
    NothingRetained {
        /// The connector.
        connector: String,
    },
    /// Which one, or it does not run.
    #[error("name a sink that runs here with --connector: {running}")]
    NoSink {
        /// Those that run.
        running: String,
    },
    /// Nothing fits.
    #[error("no record of sink `{connector}` fails like that: `failing list` shows those that do")]
    NothingFails {
        /// The connector.
        connector: String,
    },
    /// It cannot be decided on.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// A slip would be costly.
    #[error(
        "name the records that are meant (--partition, --offset, --key, --code, --suspended), or \
         --all"
    )]
    AllFailing,
    /// What fails is in the memory of a sidecar.
    #[error(
        "no sidecar runs on this data directory, so no record fails: what was suspended is \
         offered again when it starts"
    )]
    NoSidecar,
    /// A name or a text that is none.
    #[error("{field} {problem}")]
    Invalid {
        /// What it stands for.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
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
    #[error(transparent)]
    ForeignHost(#[from] ForeignHost),
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
            Self::NoDataDir => (StatusCode::NOT_IMPLEMENTED, "NO_DATA_DIR"),
            Self::NoConnector { .. } => (StatusCode::BAD_REQUEST, "CONNECTOR_MISSING"),
            Self::Invalid { .. } => (StatusCode::BAD_REQUEST, "INVALID_FIELD"),
            Self::NoLetter { .. } => (StatusCode::NOT_FOUND, "NO_SUCH_LETTER"),
            Self::PurgeAll | Self::PurgeSince => (StatusCode::BAD_REQUEST, "PURGE_UNFILTERED"),
            Self::NoInbox { .. } => (StatusCode::CONFLICT, "NO_INBOX"),
            Self::NothingRetained { .. } => (StatusCode::CONFLICT, "NOTHING_RETAINED"),
            Self::NoSink { .. } => (StatusCode::NOT_FOUND, "NO_SUCH_SINK"),
            Self::NothingFails { .. } => (StatusCode::NOT_FOUND, "NO_SUCH_RECORD"),
            Self::Unfit(_) => (StatusCode::CONFLICT, "RECORD_UNFIT"),
            Self::AllFailing => (StatusCode::BAD_REQUEST, "UNFILTERED"),
            Self::NoSidecar => (StatusCode::NOT_IMPLEMENTED, "NO_SIDECAR"),
            Self::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            Self::Closed => (StatusCode::FORBIDDEN, "ADMIN_CLOSED"),
            Self::ForeignHost(_) => (StatusCode::FORBIDDEN, "FOREIGN_HOST"),
        }
    }
}

/// The name of a connector, as a caller gave it.
pub(super) fn connector(name: String) -> Result<String, ApiError> {
    let checked = ConnectorName::try_from(name);
    checked.map(Into::into).map_err(|problem| ApiError::Invalid {
        field: "the name of the connector",
        problem: problem.to_string(),
    })
}

/// A text of a caller, as long as it may be.
pub(super) fn text<const MAX: usize>(
    field: &'static str,
    text: String,
) -> Result<Text<MAX>, ApiError> {
    let checked = Text::try_from(text);
    checked.map_err(|e: TooLong| ApiError::Invalid { field, problem: e.to_string() })
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, reason) = self.kind();
        let problem = Problem { reason: reason.to_owned(), message: self.to_string() };
        (status, Json(Failure { error: problem })).into_response()
    }
}
