//! Who comes in: how many at a time, under which name they call, and whether they may.
//!
//! **Architecture invariant:** who a caller is, is known before its body is read, on
//! every port and for every service.

mod crowd;
mod hosts;
mod peer;
mod rarely;
mod token;

pub use crowd::{Crowd, Place};
pub use hosts::{ForeignHost, Hosts};
pub use peer::Peer;
pub use rarely::Rarely;
pub use token::{Auth, TokenError};
