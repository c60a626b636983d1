//! Where we listen, and why we cannot.

use std::{io, net::SocketAddr, path::PathBuf};

use tokio::net::TcpListener;

/// Why a listener cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// A TCP address.
    #[error("cannot listen on {address} for {purpose}: {source}\n  {}", remedy(source, flag))]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// What it is for.
        purpose: &'static str,
        /// The flag that chooses another.
        flag: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A Unix socket.
    #[error(
        "cannot listen on the Unix socket {}: {source}\n  is its folder missing? choose another \
         with --unix-socket PATH", path.display()
    )]
    Unix {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else is there, and stays.
    #[error(
        "cannot listen on the Unix socket {}: {problem}\n  it stays as it is: move it away, or \
         choose another path with --unix-socket PATH", path.display()
    )]
    Taken {
        /// The path.
        path: PathBuf,
        /// What is there.
        problem: &'static str,
    },
}

fn remedy(source: &io::Error, flag: &str) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another program has this port (another sidecar?): stop it, or choose another with \
             {flag} HOST:PORT"
        ),
        _ => format!("choose another address with {flag} HOST:PORT"),
    }
}

/// Binds a TCP address.
///
/// # Errors
/// With the address, what it is for, and how to choose another.
pub async fn bind(
    address: SocketAddr,
    purpose: &'static str,
    flag: &'static str,
) -> Result<TcpListener, ListenError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| ListenError::Tcp { address, purpose, flag, source })
}
