//! Small tools for connectors: batches, health, serialization.

pub mod batching;
pub mod health;
pub mod serialization;

pub use batching::Batcher;
pub use health::{HealthChecker, HealthStatus};
pub use serialization::{SerializationError, json, string};
