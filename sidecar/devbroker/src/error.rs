//! Why the broker does not start.

use std::{io, net::SocketAddr, path::PathBuf};

/// Why the broker does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program listens there.
    #[error(
        "{address} is in use, perhaps by another broker: stop that one, or listen elsewhere (port 0 \
         takes a free one)"
    )]
    AddressInUse {
        /// Where the broker was to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot listen there for another reason.
    #[error("cannot listen on {address}: use an address of this machine and a port you may use")]
    Listen {
        /// Where the broker was to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The window is outside what Danube allows.
    #[error("max_unacked_messages is {value}: use 1 to 10000")]
    Window {
        /// The configured value.
        value: usize,
    },
    /// Another broker uses the data directory.
    #[error(
        "data directory {path} is used by another broker: stop that one, or take another directory"
    )]
    DataDirLocked {
        /// The directory.
        path: PathBuf,
    },
    /// The data directory cannot be used.
    #[error(
        "cannot use {path}: make it a directory that this user may write, with room on its disk"
    )]
    DataDir {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the data directory is not one of ours.
    #[error("{path} is damaged or not of this broker: remove the data directory, or take another")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
