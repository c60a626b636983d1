//! The source's side of the protocol.

mod convert;
mod demand;
mod intake;
mod outbox;
mod session;

pub(crate) use convert::offsets;
pub(crate) use intake::Intake;
pub(crate) use outbox::Outbox;
pub(crate) use session::{Hands, SourceEnd, SourceSession};
