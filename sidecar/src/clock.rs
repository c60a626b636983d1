//! The time that drivers go by: the runtime's, so that tests can pause it.

use std::time::Instant;

/// Now.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
