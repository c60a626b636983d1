//! The other end of a connection.

use std::{fmt, net::SocketAddr};

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over the Unix socket, with the caller's user id.
    Unix {
        /// The user that the kernel says is calling.
        user: u32,
    },
}

impl Peer {
    /// Whether the kernel says that it is the user that we run as.
    pub fn is_ourselves(self) -> bool {
        matches!(self, Self::Unix { user } if user == nix::unistd::geteuid().as_raw())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { user } => write!(f, "user {user} on the Unix socket"),
        }
    }
}
