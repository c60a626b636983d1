//! The delivery rules of the Danube sidecar, as state machines.
//!
//! **Architecture invariant:** nothing here does I/O, reads a clock or draws a
//! random number. Time and seeds are arguments; what is to be done comes out of
//! `poll_*` methods.

pub mod ackorder;
mod behind;
pub mod dispatch;
pub mod frontier;
pub mod hash;
mod identities;
pub mod lane;
pub mod lease;
mod ledger;
pub mod outcome;
pub mod publish;
pub mod record;
pub mod retry;
mod slab;
pub mod window;
