//! The account of every record that goes to a sink: the real driver, intake, delivery
//! rules and store (in memory), between a simulated broker and simulated workers.

mod broker;
mod ledger;
mod schedule;
mod worker;

pub use schedule::{faults, run};
