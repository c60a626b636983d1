//! `dev`: the embedded broker beside the sidecar.

use danube_devbroker::{Config, DevBroker, Oddities, StartError, UnknownOddity};

use crate::{cli::Dev, config::Sidecar};

/// Why the embedded broker cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevError {
    /// Anybody could dial it.
    #[error(
        "--broker-listen {0} cannot be used: the embedded broker asks nobody for a token; listen \
         on 127.0.0.1, or, where only callers that you trust can reach it, say \
         --allow-insecure-listen"
    )]
    Open(std::net::SocketAddr),
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
/// When its port is taken or open to everybody, or the folder cannot be used.
pub async fn broker(dev: &Dev, sidecar: &Sidecar) -> Result<DevBroker, DevError> {
    if !dev.broker_listen.ip().is_loopback() && !sidecar.allow_insecure_listen {
        return Err(DevError::Open(dev.broker_listen));
    }
    let mut oddities = Oddities::default();
    for name in &dev.oddities {
        oddities.enable(name)?;
    }
    let config = Config {
        listen: dev.broker_listen,
        admin_listen: None,
        data_dir: sidecar.data_dir.as_ref().map(|dir| dir.join("broker")),
        max_unacked_messages: dev.broker_window,
        ack_timeout: dev.broker_ack_timeout,
        // There is no admin API here to create one with.
        any_namespace: true,
        oddities,
        ..Config::default()
    };
    Ok(DevBroker::start(config).await?)
}
