//! One attached worker, as its driver sees it.

use std::time::Duration;

use danube_sidecar_core::dispatch::WorkerId;
use futures::future::BoxFuture;
use tokio::sync::{
    mpsc::{self, OwnedPermit},
    oneshot,
};

use super::Unwell;
use crate::{
    health::ExternalSystem,
    refusal::Refusal,
    session::{Capabilities, ToSink},
};

/// Frames on their way to one worker. What they hold is bounded by its window.
pub(super) const FRAMES: usize = 4;

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

    /// Asks whether the external system is well, if it can answer.
    pub(super) fn probe(&self, id: u64) {
        if self.capabilities.probe {
            // A worker too busy for the question is asked again at the next round.
            let _ = self.frames.try_send(ToSink::Probe(id));
        }
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
