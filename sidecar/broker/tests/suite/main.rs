//! The promises of this crate, on an embedded broker or on the one that
//! DANUBE_SERVICE_URL names. What needs switches or kills is always embedded.

mod acks;
mod round_trip;
mod support;
