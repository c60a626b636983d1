//! The way to the sidecar: where it is, how it is reached, what can go wrong.

mod address;
mod dial;
mod error;
mod persistence;
mod session;
mod settings;

pub(crate) use address::Address;
pub(crate) use dial::Sidecar;
pub use error::SidecarError;
pub(crate) use persistence::Persistence;
pub(crate) use session::Session;
pub(crate) use settings::settings;
