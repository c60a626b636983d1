//! The sink's side of the protocol.

mod codec;
mod convert;
mod desk;
mod frame;
mod lanes;
mod parts;
mod pause;
mod report;
mod session;
mod worker;

pub(crate) use desk::{Desk, Seat, hand_back};
pub(crate) use parts::whole_batch;
pub(crate) use session::{SinkEnd, SinkSession};
pub(crate) use worker::Worker;
