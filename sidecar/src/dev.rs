//! `dev`: the embedded broker beside the sidecar.

use std::path::Path;

use danube_devbroker::{Config, DevBroker, Oddities, StartError, UnknownOddity};

use crate::cli::Dev;

/// Why the embedded broker cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevError {
    /// Its port or data directory.
    #[error(
        "the embedded broker cannot start: {0}\n  choose another port with --broker-listen HOST:PORT, or use the broker that runs there: `danube-sidecar run`"
    )]
    Start(#[from] StartError),
    /// An oddity that it does not know.
    #[error(transparent)]
    Oddity(#[from] UnknownOddity),
}

/// Starts the embedded broker: in memory, or below the data directory.
///
/// # Errors
/// When its port is taken, or the folder cannot be used.
pub async fn broker(dev: &Dev, data_dir: Option<&Path>) -> Result<DevBroker, DevError> {
    let mut oddities = Oddities::default();
    for name in &dev.oddities {
        oddities.enable(name)?;
    }
    let config = Config {
        listen: dev.broker_listen,
        admin_listen: None,
        data_dir: data_dir.map(|dir| dir.join("broker")),
        max_unacked_messages: dev.broker_window,
        ack_timeout: dev.broker_ack_timeout,
        // There is no admin API here to create one with.
        any_namespace: true,
        oddities,
        ..Config::default()
    };
    Ok(DevBroker::start(config).await?)
}
