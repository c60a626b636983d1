//! The operator's tools: dead letters, checkpoints, the inbox.
//!
//! One router does the work. A running sidecar serves it on its HTTP port; where
//! none runs, the command line opens the store and calls the same router in its
//! own process ([`Door`]).

pub mod api;
pub mod args;
mod checkpoints;
mod command;
mod door;
mod error;
mod failing;
mod guard;
mod letters;
mod replay;
mod store;

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    Router, middleware,
    response::{IntoResponse as _, Response},
};
use danube_sidecar_broker::Cluster;
use danube_sidecar_store::{Checkpoints, Store};
use tracing::warn;

pub use self::{command::run, door::Door, guard::Guard};
use crate::{config::Config, connectors::Connectors, gate::ForeignHost, private};

/// What the tools work on.
#[derive(Clone)]
pub struct Desk {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// What survives restarts; none without a `data_dir`.
    pub store: Option<Store>,
    /// Where the positions of sources are durable.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// The Danube cluster.
    pub cluster: Cluster,
    /// The connectors, where a sidecar runs.
    pub connectors: Option<Arc<Connectors>>,
}

/// The admin API over `desk`, for callers that `guard` lets in.
pub fn router(desk: Desk, guard: Guard) -> Router {
    Router::new()
        .merge(checkpoints::routes())
        .merge(letters::routes())
        .merge(failing::routes())
        .merge(replay::routes())
        .merge(store::routes())
        .with_state(desk)
        .layer(middleware::from_fn_with_state(guard, guard::check))
}

/// The answer of every page to a caller that means somebody else.
pub(crate) fn foreign_host(foreign: ForeignHost) -> Response {
    error::ApiError::from(foreign).into_response()
}

/// The file in the data directory that says where a running sidecar serves.
const ADDRESS_FILE: &str = "http-address";

/// Tells commands on this machine where the sidecar of `data_dir` serves.
pub fn announce(data_dir: &Path, address: SocketAddr) {
    let path = data_dir.join(ADDRESS_FILE);
    if let Err(error) = private::replace(&path, address.to_string().as_bytes()) {
        warn!(path = %path.display(), %error, "commands must be given --address: cannot write it");
    }
}

fn rfc3339(unix_ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(unix_ms).unwrap_or_default());
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}
