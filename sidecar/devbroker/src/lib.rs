//! An embedded broker that speaks Danube's protocol, for development and tests.

mod arrival;
mod broker;
mod config;
mod consumer;
mod dead_letter;
mod delivery;
mod dispatch;
mod error;
mod key;
mod log;
mod names;
mod oddities;
mod running;
mod schemas;
mod server;
mod service;
mod stall;
mod store;
mod stream;
mod subscription;
#[cfg(test)]
mod subscription_model;
mod topic;

pub use config::{Backoff, Config, FailurePolicy, Poison};
pub use error::StartError;
pub use oddities::{Oddities, Profile, UnknownOddity, UnknownProfile};
pub use running::DevBroker;
