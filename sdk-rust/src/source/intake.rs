//! Where a source's records come from: its polls, or its stream.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};
use tracing::warn;

use crate::{
    ConnectorError, ConnectorMetrics, ConnectorResult, RecordStream, RetryConfig, RetryStrategy,
    SourceConnector, SourceRecord,
};

/// Most records that are taken from a stream at once.
const STREAM_CHUNK: usize = 1000;

/// See the module.
pub(crate) struct Intake {
    kind: Kind,
    rest: Duration,
    backoff: RetryStrategy,
    failures: u32,
    fault: Option<ConnectorError>,
    not_before: Instant,
    metrics: ConnectorMetrics,
}

enum Kind {
    Polled,
    Streamed(RecordStream),
    Ended,
}

impl Intake {
    /// An intake that rests for `rest` after an empty poll, and backs off as
    /// configured after a failed one.
    pub(crate) fn new(rest: Duration, backoff: RetryConfig, metrics: ConnectorMetrics) -> Self {
        Self {
            kind: Kind::Polled,
            rest,
            backoff: RetryStrategy::new(backoff),
            failures: 0,
            fault: None,
            not_before: Instant::now(),
            metrics,
        }
    }

    /// Takes records from this stream from now on.
    pub(crate) fn streams(&mut self, stream: RecordStream) {
        self.kind = Kind::Streamed(stream);
    }

    /// Whether no more records will come.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.kind, Kind::Ended)
    }

    /// Whether records come from polls, which must not be interrupted.
    pub(crate) fn is_polled(&self) -> bool {
        matches!(self.kind, Kind::Polled)
    }

    /// Whether it is time for the next poll.
    pub(crate) fn is_due(&self) -> bool {
        Instant::now() >= self.not_before
    }

    /// Ends when it is time for the next poll.
    pub(crate) fn due(&self) -> Sleep {
        tokio::time::sleep_until(self.not_before)
    }

    /// Polls the connector.
    ///
    /// # Errors
    /// The connector's, when it has to stop.
    pub(crate) async fn poll<C: SourceConnector>(
        &mut self,
        connector: &mut C,
    ) -> ConnectorResult<Vec<SourceRecord>> {
        match connector.poll().await {
            Ok(records) => {
                self.failures = 0;
                if connector.is_finished() {
                    self.kind = Kind::Ended;
                }
                if records.is_empty() {
                    self.not_before = Instant::now() + self.rest;
                }
                Ok(records)
            }
            Err(fault) if fault.stops() => Err(fault),
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let wait = self.backoff.calculate_backoff(self.failures);
                self.not_before = Instant::now() + wait;
                warn!(%error, ?wait, "poll failed; it is called again");
                self.metrics.record_error(error.code());
                Ok(Vec::new())
            }
        }
    }

    /// Takes what the stream has, at most `room`, and waits while it has
    /// nothing. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The connector's, when it has to stop.
    pub(crate) async fn next(&mut self, room: usize) -> ConnectorResult<Vec<SourceRecord>> {
        let most = room.clamp(1, STREAM_CHUNK);
        std::future::poll_fn(|context| self.poll_chunk(context, most)).await
    }

    fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
        most: usize,
    ) -> Poll<ConnectorResult<Vec<SourceRecord>>> {
        let mut chunk = Vec::new();
        while chunk.len() < most && self.fault.is_none() {
            let Kind::Streamed(stream) = &mut self.kind else { break };
            match stream.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(record))) => chunk.push(record),
                Poll::Ready(Some(Err(error))) => self.failed(error),
                Poll::Ready(None) => self.kind = Kind::Ended,
                Poll::Pending if chunk.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        match self.fault.take_if(|_| chunk.is_empty()) {
            Some(fault) => Poll::Ready(Err(fault)),
            None => Poll::Ready(Ok(chunk)),
        }
    }

    /// What came before a fault is still published.
    fn failed(&mut self, error: ConnectorError) {
        self.metrics.record_error(error.code());
        if error.stops() {
            self.fault = Some(error);
        } else {
            warn!(%error, "the stream brought an error; the next record is awaited");
        }
    }
}
