//! The promises of this crate, on an embedded broker or on the one that
//! DANUBE_SERVICE_URL names. What needs switches or kills is always embedded.

mod account;
mod acks;
mod detaching;
mod discovery;
mod health;
mod losses;
mod network;
mod restarts;
mod round_trip;
mod support;
mod throughput;
