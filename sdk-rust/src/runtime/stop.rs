//! Being asked to stop.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::info;

/// How long a connector that was asked to stop may work on what it has in hand, as in the
/// other SDKs: with the farewell, and the sidecar's own end behind it, a pod's 45 s are enough.
const GRACE: Duration = Duration::from_secs(10);

/// Asks a running connector to stop, as SIGTERM does.
#[derive(Clone, Debug)]
pub struct StopHandle(Stop);

impl StopHandle {
    /// The connector finishes what it has in hand and shuts down; `run()` returns.
    pub fn stop(&self) {
        self.0.request();
    }
}

/// Whether and when the connector was asked to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    token: CancellationToken,
    since: Arc<OnceLock<Instant>>,
}

impl Stop {
    pub(crate) fn handle(&self) -> StopHandle {
        StopHandle(self.clone())
    }

    pub(crate) fn request(&self) {
        self.since.get_or_init(Instant::now);
        self.token.cancel();
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Whether the time to finish is over.
    pub(crate) fn is_overdue(&self) -> bool {
        self.since.get().is_some_and(|since| since.elapsed() >= GRACE)
    }

    pub(crate) async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// Waits until the time to finish is over.
    pub(crate) async fn overdue(&self) {
        self.requested().await;
        let since = self.since.get().copied().unwrap_or_else(Instant::now);
        tokio::time::sleep_until(since + GRACE).await;
    }

    /// The future's output, or none when the stop comes first.
    pub(crate) async fn unless_requested<F: Future>(&self, future: F) -> Option<F::Output> {
        self.token.run_until_cancelled(future).await
    }

    /// The future's output, or none when it is time to go first: at the stop for
    /// who has nothing in hand, else when the time to finish is over.
    pub(crate) async fn unless_due<F: Future>(
        &self,
        nothing_in_hand: bool,
        future: F,
    ) -> Option<F::Output> {
        tokio::select! {
            output = future => Some(output),
            () = self.requested(), if nothing_in_hand => None,
            () = self.overdue() => None,
        }
    }

    /// Lets SIGTERM and SIGINT ask, until the handle is dropped.
    pub(crate) fn on_signals(&self) -> io::Result<AbortOnDropHandle<()>> {
        let signal = signals()?;
        let stop = self.clone();
        Ok(AbortOnDropHandle::new(tokio::spawn(async move {
            signal.await;
            info!("asked to stop: finishing what is in hand");
            stop.request();
        })))
    }
}

#[cfg(unix)]
fn signals() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signals() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_grace_begins_with_the_first_request() {
        let stop = Stop::default();
        stop.request();
        tokio::time::advance(GRACE - Duration::from_secs(1)).await;
        stop.request();
        assert!(!stop.is_overdue());

        stop.overdue().await;
        assert!(stop.is_overdue());
    }

    #[tokio::test]
    async fn what_never_ends_is_left_when_asked_to_stop() {
        let stop = Stop::default();
        stop.handle().stop();

        assert!(stop.unless_requested(std::future::pending::<()>()).await.is_none());
    }
}
