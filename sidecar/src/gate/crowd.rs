//! How many connections there are at a time, and how long one may stay that nobody
//! knows.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Rarely;

/// Connections of one port at a time; more wait at the kernel.
const MOST: usize = 1024;

/// Those among them that have not made a request that was let in.
const MOST_STRANGERS: usize = 64;

/// How long a connection may take until a request of it is let in. Probes, which
/// never are, take milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The connections of one port.
#[derive(Clone, Debug)]
pub struct Crowd {
    all: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    full: Arc<Rarely>,
}

impl Default for Crowd {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(MOST)),
            strangers: Arc::new(Semaphore::new(MOST_STRANGERS)),
            full: Arc::default(),
        }
    }
}

impl Crowd {
    /// Waits until one more connection may come. May be dropped.
    ///
    /// # Errors
    /// Never: these semaphores are not closed.
    pub async fn enter(&self) -> Result<Place, AcquireError> {
        if self.all.available_permits() == 0 || self.strangers.available_permits() == 0 {
            self.complain();
        }
        let one_of_all = Arc::clone(&self.all).acquire_owned().await?;
        let stranger = Arc::clone(&self.strangers).acquire_owned().await?;
        let known = CancellationToken::new();
        Ok(Place { _one_of_all: one_of_all, stranger: Mutex::new(Some(stranger)), known })
    }

    fn complain(&self) {
        let Some(held_back) = self.full.now() else { return };
        warn!(
            connections = MOST - self.all.available_permits(),
            unknown = MOST_STRANGERS - self.strangers.available_permits(),
            held_back,
            "new connections wait: {MOST} may be open, {MOST_STRANGERS} of them without a request \
             that was let in; who opens so many?"
        );
    }
}

/// A connection's place in the crowd; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    _one_of_all: OwnedSemaphorePermit,
    stranger: Mutex<Option<OwnedSemaphorePermit>>,
    known: CancellationToken,
}

impl Place {
    /// A request of the connection was let in: it may stay.
    pub fn known(&self) {
        if !self.known.is_cancelled() {
            self.known.cancel();
            drop(self.stranger.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }

    /// Comes back when the connection has been unknown for too long; never, once it is
    /// known.
    pub async fn overstayed(&self) {
        if self.known.run_until_cancelled(tokio::time::sleep(PATIENCE)).await.is_none() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::task::unconstrained;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn strangers_are_few_and_those_who_are_let_in_make_room_for_others() {
        let crowd = Crowd::default();
        let enter = || unconstrained(crowd.enter()).now_or_never();
        let mut places = Vec::new();
        for _ in 0..MOST_STRANGERS {
            places.push(crowd.enter().await.unwrap());
        }
        assert!(enter().is_none());
        places[0].known();
        let another = enter().unwrap().unwrap();
        assert!(enter().is_none());
        drop(another);
        assert!(enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_overstays_and_who_is_known_does_not() {
        let crowd = Crowd::default();
        let (stranger, known) = (crowd.enter().await.unwrap(), crowd.enter().await.unwrap());
        known.known();
        stranger.overstayed().await;
        let long = tokio::time::timeout(PATIENCE * 100, known.overstayed()).await;
        assert!(long.is_err());
    }
}
