//! An embedded broker that speaks Danube's protocol, for development and tests.
//!
//! It serves what `danube-client` uses (lookup, producers, consumers, health
//! checks, schemas) on one port and the admin API of topics, subscriptions and
//! namespaces on another. Names, status codes and defaults are those of Danube
//! 0.15. It is correct unless told otherwise: [`Oddities`] switches on, one by one,
//! what a real broker does to its clients' surprise.
//!
//! ```
//! use danube_devbroker::{Config, DevBroker};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), danube_devbroker::StartError> {
//! let broker = DevBroker::start(Config::for_tests()).await?;
//! println!("clients connect to {}", broker.url());
//! broker.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - A message of a reliable topic is delivered to every subscription that exists
//!   when it is published, until acked; un-acked ones come again when their
//!   consumer reconnects, times out or nacks. Timers are exact to 20 ms, and no
//!   ack timeout runs while nobody is attached.
//! - Publishes of one connection are stored in the order they were sent.
//! - Exclusive: a second name is refused while the first is connected. Failover:
//!   the next consumer takes over, with what was in flight, when the active one
//!   goes. Key-shared: one message of a key is out at a time, so a key stays in
//!   order; a message whose key no consumer's filters accept is passed over, as
//!   Danube does, but one whose consumer is only away waits for it.
//! - A consumer that has subscribed keeps its place for 10 s before it reads.
//! - A policy or window set through the admin API applies at once. Under the block
//!   policy a late ack, or a consumer that attaches anew, gets things going again.
//!
//! With a data directory a confirmed publish survives SIGKILL. With
//! [`Config::audit`] as well, [`inspect`] tells after a kill what is stored, what was
//! confirmed and forgotten, and what was passed over; so does the program's command
//! `danube-devbroker log`.
//!
//! # Limits
//!
//! - What is not acked is held in memory, with a data directory as well; a topic
//!   that holds [`Config::max_backlog_bytes`] refuses more.
//! - A new schema version is checked for its type only, payloads not at all.
//! - One broker, no TLS, no tokens, no limits by namespace.

mod arrival;
mod audit;
mod broker;
mod config;
mod consumer;
mod dead_letter;
mod delivery;
mod dispatch;
mod error;
pub mod inspect;
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
