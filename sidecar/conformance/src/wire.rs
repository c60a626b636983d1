//! Frames of either protocol, with patience.

use std::time::Duration;

use bytes::Bytes;
use danube_connector_proto::v1;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tonic::{Status, Streaming};

use super::{
    finding::{Finding, Verdict, broken},
    stage::{Call, Protocol},
    trial::ANSWER,
};

/// The largest frame that a connector accepts which does not say.
pub const OUTBOUND: usize = (4 << 20) - (64 << 10);
/// Limits that the stage states.
pub const LIMITS: v1::Limits = v1::Limits {
    max_inbound_frame_bytes: OUTBOUND as u64,
    max_outbound_frame_bytes: OUTBOUND as u64,
    max_record_bytes: OUTBOUND as u64,
};

/// A stream.
pub struct Wire<P: Protocol> {
    frames: Streaming<P::Up>,
    answers: mpsc::Sender<Result<Bytes, Status>>,
}

impl<P: Protocol> Wire<P> {
    /// Of a call.
    pub fn new(call: Call<P>) -> Self {
        Self { frames: call.frames, answers: call.answers }
    }

    /// The next frame, which must come.
    pub async fn next(&mut self, expected: &str, patience: Duration) -> Verdict<P::Up> {
        match timeout(patience, self.frames.message()).await {
            Ok(Ok(Some(frame))) => Ok(frame),
            Ok(Ok(None)) => broken(format!("it ended its stream; expected {expected}")),
            Ok(Err(status)) => broken(format!("its stream broke ({status}); expected {expected}")),
            Err(_) => broken(format!("nothing came within {patience:?}; expected {expected}")),
        }
    }

    /// The next frame, if one comes in time.
    pub async fn next_within(&mut self, time: Duration) -> Verdict<Option<P::Up>> {
        match timeout(time, self.frames.message()).await {
            Ok(Ok(Some(frame))) => Ok(Some(frame)),
            Ok(Ok(None) | Err(_)) => broken("it ended its stream"),
            Err(_) => Ok(None),
        }
    }

    /// Reads until the connector ends its half, or is gone.
    pub async fn closed(&mut self, patience: Duration) -> Verdict {
        let deadline = Instant::now() + patience;
        loop {
            match timeout_at(deadline, self.frames.message()).await {
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None) | Err(_)) => return Ok(()),
                Err(_) => return broken(format!("it did not end its stream within {patience:?}")),
            }
        }
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: Bytes) -> Verdict {
        match timeout(ANSWER, self.answers.send(Ok(frame))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => broken("it ended its stream"),
            Err(_) => Err(Finding::Broken(format!("it reads no frame for {ANSWER:?}"))),
        }
    }

    /// Ends the stream.
    pub async fn end(self, status: Status) {
        // Who has gone by itself needs no end.
        let _ = self.answers.send(Err(status)).await;
    }
}
