//! End-to-end tests: one file for each promise.

mod bounds;
mod checkpoints;
mod child;
mod doors;
mod drain;
mod failing;
mod first_failure;
mod inbox;
mod kills;
mod operator;
mod outage;
mod outcomes;
mod protocol;
mod replicas;
mod sdk;
mod sink;
mod source;
mod tools;
mod workers;
