//! One attached worker, as its driver sees it.

use std::time::{Duration, Instant};

use danube_sidecar_core::dispatch::{Health, WorkerId};
use futures::future::BoxFuture;
use tokio::sync::{
    mpsc::{self, OwnedPermit},
    oneshot,
};

use super::Unwell;
use crate::{
    health::ExternalSystem,
    refusal::Refusal,
    session::{self, Capabilities, ToSink},
};

/// Frames on their way to one worker. What they hold is bounded by its window.
pub(super) const FRAMES: usize = 4;

/// A question that is not answered for so long is asked again.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// A place in a worker's queue has become free.
pub(super) type Room = BoxFuture<'static, (WorkerId, Option<OwnedPermit<ToSink>>)>;

/// One attached worker.
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) name: String,
    capabilities: Capabilities,
    frames: mpsc::Sender<ToSink>,
    room: Option<OwnedPermit<ToSink>>,
    end: Option<oneshot::Sender<Option<Refusal>>>,
    /// Whether it was asked to say `drained`, and has not yet.
    owes_drained: bool,
    /// The external system, as it sees it.
    pub(super) external: ExternalSystem,
    /// The last question of the delivery rules that is not answered, and when it was sent.
    asked: Option<(u64, Instant)>,
}

impl Worker {
    pub(super) fn new(
        id: WorkerId,
        name: String,
        capabilities: Capabilities,
        frames: mpsc::Sender<ToSink>,
        end: oneshot::Sender<Option<Refusal>>,
    ) -> Self {
        Self {
            id,
            name,
            capabilities,
            frames,
            room: None,
            end: Some(end),
            owes_drained: false,
            external: ExternalSystem::default(),
            asked: None,
        }
    }

    /// Waits until its queue takes another frame.
    pub(super) fn wait_for_room(&self) -> Room {
        let (id, frames) = (self.id, self.frames.clone());
        Box::pin(async move { (id, frames.reserve_owned().await.ok()) })
    }

    /// Its queue takes another frame.
    pub(super) fn room(&mut self, room: OwnedPermit<ToSink>) {
        self.room = Some(room);
    }

    /// Whether it can be sent a batch now.
    pub(super) fn has_room(&self) -> bool {
        self.room.is_some()
    }

    /// Sends a frame, if there is room; tells what to wait for then.
    pub(super) fn send(&mut self, frame: ToSink) -> Option<Room> {
        self.room.take()?.send(frame);
        Some(self.wait_for_room())
    }

    /// Asks it to finish what it holds; one that cannot is simply waited for.
    pub(super) fn drain(&mut self, timeout: Duration) {
        if self.capabilities.drain {
            // Its queue may be full of batches: then their results are waited for.
            self.owes_drained = self.frames.try_send(ToSink::Drain(timeout)).is_ok();
        }
    }

    /// Whether it may still have something to say before it goes.
    pub(super) fn owes_drained(&self) -> bool {
        self.owes_drained
    }

    /// Asks whether the external system is well, if it can answer; tells whether it did.
    pub(super) fn probe(&self, id: u64) -> bool {
        // A worker too busy for the question is asked again at the next round.
        self.capabilities.probe && self.frames.try_send(ToSink::Probe(id)).is_ok()
    }

    /// The same for the delivery rules, unless a question of theirs is open.
    pub(super) fn ask(&mut self, now: Instant, id: u64) {
        let open = self.asked.is_some_and(|(_, at)| now < at + ANSWER_TIME);
        if !open && self.probe(id) {
            self.asked = Some((id, now));
        }
    }

    /// What an answer says to the delivery rules; none where it is older than the question
    /// that they have asked.
    pub(super) fn answered(&mut self, health: &session::Health) -> Option<Health> {
        if self.asked.is_some_and(|(asked, _)| health.probe < asked) {
            return None;
        }
        self.asked = None;
        Some(match health {
            session::Health { healthy: false, .. } => Health::Unwell,
            session::Health { checked: true, .. } => Health::Well,
            session::Health { .. } => Health::Unknown,
        })
    }

    /// What it says is wrong with the external system, if anything.
    pub(super) fn unwell(&self) -> Option<Unwell> {
        let message = self.external.trouble()?.to_owned();
        Some(Unwell { worker: self.name.clone(), message })
    }

    /// Ends its session. What it holds is released once its stream is closed.
    pub(super) fn end(&mut self, refusal: Option<Refusal>) {
        if let Some(end) = self.end.take() {
            // A session that is gone already needs no telling.
            let _ = end.send(refusal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> (Worker, mpsc::Receiver<ToSink>) {
        let (frames, sent) = mpsc::channel(FRAMES);
        let capabilities = Capabilities { probe: true, ..Capabilities::default() };
        let end = oneshot::channel().0;
        (Worker::new(WorkerId(1), "w".to_owned(), capabilities, frames, end), sent)
    }

    fn said(probe: u64, healthy: bool, checked: bool) -> session::Health {
        session::Health { probe, healthy, checked, message: String::new() }
    }

    #[test]
    fn a_healthy_that_was_not_checked_tells_nothing() {
        let (mut worker, _sent) = worker();
        assert_eq!(worker.answered(&said(1, true, false)), Some(Health::Unknown));
        assert_eq!(worker.answered(&said(1, true, true)), Some(Health::Well));
        assert_eq!(worker.answered(&said(1, false, false)), Some(Health::Unwell));
    }

    #[test]
    fn what_was_asked_earlier_is_no_answer_to_the_delivery_rules() {
        let (mut worker, mut sent) = worker();
        let now = Instant::now();
        assert!(worker.probe(1));
        worker.ask(now, 2);
        worker.ask(now + ANSWER_TIME - Duration::from_nanos(1), 3);
        assert_eq!(worker.answered(&said(1, true, true)), None);
        assert_eq!(worker.answered(&said(2, true, true)), Some(Health::Well));
        let asked = std::iter::from_fn(|| sent.try_recv().ok());
        let asked: Vec<_> = asked.map(|frame| matches!(frame, ToSink::Probe(1 | 2))).collect();
        assert_eq!(asked, [true, true], "one open question at a time");
    }
}
