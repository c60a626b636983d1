//! How a process is asked to end.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that SIGTERM or SIGINT cancels; a second one ends the process at once.
/// Both are heard from the moment that this returns: to be called before anything
/// says that the process is ready.
///
/// # Errors
/// The system's.
pub fn listen() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if cancel.is_cancelled() {
                std::process::exit(130);
            }
            cancel.cancel();
        }
    });
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal, raise};

    use super::*;

    /// Nothing else runs between the call and the signal: without a listener it
    /// would end this process.
    #[tokio::test]
    async fn a_signal_is_heard_as_soon_as_it_is_listened_for() {
        let stop = listen().unwrap();
        raise(Signal::SIGTERM).unwrap();
        stop.cancelled().await;
    }
}
