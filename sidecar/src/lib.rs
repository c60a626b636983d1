//! The Danube sidecar: owns Danube consumers and producers, and streams records to,
//! or pulls them from, connector processes over gRPC.
//!
//! The way of a record to a sink: `danube-sidecar-broker` (a subscription) →
//! [`sink::Driver`] → `danube-sidecar-core` (the delivery rules) → [`grpc`] (a
//! worker's stream), and its result back the same way. The way of a record from a
//! source: [`grpc`] → [`source::Source`] → core → broker.

pub mod admin;
pub mod app;
pub mod bounds;
pub mod child;
pub mod cli;
mod clock;
pub mod config;
pub mod connectors;
pub mod danube;
pub mod dead_letter;
pub mod dev;
pub mod gate;
pub mod grpc;
mod health;
pub mod http;
pub mod init;
pub mod intake;
pub mod log;
pub mod metrics;
pub mod private;
pub mod publish;
pub mod refusal;
pub mod server;
pub mod session;
pub mod signals;
pub mod sink;
pub mod source;
pub mod store_command;
pub mod stranded;
pub mod summary;
pub mod vitals;
mod waiting;
mod watch;
