//! End-to-end tests: one file for each promise.

mod drain;
mod first_failure;
mod kills;
mod protocol;
mod sink;
mod source;
