//! One stream to the sidecar.

use std::time::Duration;

use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

use super::SidecarError;

/// Frames that may wait to be written.
const OUTGOING: usize = 16;
/// The sidecar takes a call at once. hyper loses one, once in some ten thousand, whose
/// connection is closed right then: without a limit it would never end.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The sidecar settles the last session before it answers.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A stream of frames in both directions.
pub(crate) struct Session<Up, Down> {
    up: Option<mpsc::Sender<Up>>,
    down: Streaming<Down>,
    meaning: fn(Status) -> SidecarError,
}

impl<Up, Down> Session<Up, Down> {
    /// Opens a stream whose first frame is `open`. `call` starts it, `meaning`
    /// says what a status means to this kind of connector.
    pub(crate) async fn open<F>(
        open: Up,
        call: impl FnOnce(ReceiverStream<Up>) -> F,
        meaning: fn(Status) -> SidecarError,
    ) -> Result<Self, SidecarError>
    where
        F: Future<Output = Result<Response<Streaming<Down>>, Status>>,
    {
        let (up, frames) = mpsc::channel(OUTGOING);
        up.send(open).await.map_err(|_| SidecarError::Ended)?;
        let slow = |_| SidecarError::Slow { what: "accept the stream", limit: CALL_TIMEOUT };
        let response =
            timeout(CALL_TIMEOUT, call(ReceiverStream::new(frames))).await.map_err(slow)?;
        let down = response.map_err(meaning)?.into_inner();
        Ok(Self { up: Some(up), down, meaning })
    }

    /// A frame that has to come before all others.
    pub(crate) async fn first(&mut self) -> Result<Down, SidecarError> {
        let slow = |_| SidecarError::Slow { what: "answer `open`", limit: OPEN_TIMEOUT };
        timeout(OPEN_TIMEOUT, self.next()).await.map_err(slow)?
    }

    /// The next frame. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Down, SidecarError> {
        self.down.message().await.map_err(self.meaning)?.ok_or(SidecarError::Ended)
    }

    /// The next frame if it is there already.
    pub(crate) async fn ready(&mut self) -> Result<Option<Down>, SidecarError> {
        tokio::select! {
            biased;
            frame = self.next() => frame.map(Some),
            () = std::future::ready(()) => Ok(None),
        }
    }

    /// Sends a frame. Where the stream has ended, the reason comes from `next`.
    pub(crate) async fn send(&mut self, frame: Up) -> Result<(), SidecarError> {
        let Some(up) = &self.up else { return Ok(()) };
        let sent = timeout(SEND_TIMEOUT, up.send(frame)).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => {
                self.up = None;
                Ok(())
            }
            Err(_) => Err(SidecarError::Slow { what: "read a frame", limit: SEND_TIMEOUT }),
        }
    }

    /// Sends nothing more, and waits a moment until the sidecar has read
    /// everything and ends the stream.
    pub(crate) async fn close(mut self) -> Result<(), SidecarError> {
        self.up = None;
        let ended = async { while self.next().await.is_ok() {} };
        let slow = |_| SidecarError::Slow { what: "end the session", limit: CLOSE_TIMEOUT };
        timeout(CLOSE_TIMEOUT, ended).await.map_err(slow)
    }
}
