//! The account of every record that comes from a source: the real sessions, publish
//! rules, commits and store (in memory), between simulated connectors, which read an
//! external system from their positions, and a simulated broker.

mod account;
mod broker;
mod connector;
mod ledger;
mod schedule;
mod store;
mod upstream;

pub use schedule::{faults, run};
