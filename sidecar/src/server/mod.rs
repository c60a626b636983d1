//! The listeners: connectors (gRPC) on TCP and on a Unix socket, pages (HTTP) on TCP.
//!
//! tonic's own server ignores `tcp_nodelay` for foreign listeners and tells nothing
//! about connections that are not gRPC, and neither it nor axum's bounds how many there
//! are: these accept loops do.

mod bind;
mod connectors;
mod pages;
mod preface;
mod socket;

pub use bind::{ListenError, bind};
pub use connectors::Acceptor;
pub(crate) use connectors::wrong_port;
pub use pages::Pages;
pub use socket::{Socket, bind_unix};
