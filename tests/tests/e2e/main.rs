//! End-to-end tests: one file for each promise.

mod checkpoints;
mod child;
mod drain;
mod first_failure;
mod kills;
mod operator;
mod protocol;
mod sdk;
mod sink;
mod source;
