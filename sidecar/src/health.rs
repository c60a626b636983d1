//! What connectors say of their external systems when they are probed.

use std::time::Duration;

use tracing::{info, warn};

use crate::session::Health;

/// How often a session is asked, after a first time when it opens.
pub const PROBE_EVERY: Duration = Duration::from_secs(30);

/// The external system as one session sees it.
#[derive(Debug, Default)]
pub struct ExternalSystem {
    last: Option<Health>,
}

impl ExternalSystem {
    /// Takes an answer; what is new in it goes to the log.
    pub fn said(&mut self, connector: &str, worker: &str, health: Health) {
        let before = self.trouble();
        let now = trouble(&health);
        if now != before {
            match now {
                Some(message) => {
                    warn!(connector, worker, message, "the external system is not well");
                }
                None => info!(connector, worker, "the external system is well again"),
            }
        }
        self.last = Some(health);
    }

    /// Whether it is well; none before the first answer.
    pub fn is_well(&self) -> Option<bool> {
        self.last.as_ref().map(|health| health.healthy)
    }

    /// What is wrong with it, if anything.
    pub fn trouble(&self) -> Option<&str> {
        trouble(self.last.as_ref()?)
    }
}

fn trouble(health: &Health) -> Option<&str> {
    match (health.healthy, &*health.message) {
        (true, _) => None,
        (false, "") => Some("the connector does not say why"),
        (false, message) => Some(message),
    }
}
