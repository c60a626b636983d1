//! Sinks: one driver for each connector name, fed by its subscriptions, serving
//! its workers.

mod driver;
mod failing;
mod settings;
mod suspicions;
mod worker;

use std::time::{Duration, SystemTime};

use danube_sidecar_core::dispatch::{Departure, Order, Status, WorkerId};
use danube_sidecar_store::{ReplayFrom, StoreError};
use tokio::sync::{mpsc, oneshot};

pub use driver::{Driver, Parts, Starting};
pub use failing::{Decided, Shown, Which};
pub use settings::Plan;

use crate::{
    config, intake,
    refusal::Refusal,
    session::{FromSink, SinkOpen, ToSink},
};

/// Commands that may wait for a driver; more wait at their senders.
const COMMANDS: usize = 64;

/// A running driver, as sessions and the status page see it.
#[derive(Clone, Debug)]
pub struct Sink {
    commands: mpsc::Sender<Command>,
}

/// What an operator sees of a sink.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The delivery rules' own view.
    pub dispatch: Status,
    /// Some of the records that fail, the longest first.
    pub failing: Vec<Shown>,
    /// Attached workers, by their ids.
    pub workers: Vec<String>,
    /// The worker that has had a record for the longest time, and for how long.
    pub longest_in_hand: Option<(String, Duration)>,
    /// What is wrong with the external system, by the workers that say so.
    pub unwell: Vec<Unwell>,
    /// Workers whose external system was busy and does not take everything yet.
    pub busy: Vec<Busy>,
    /// How its records are held.
    pub intake: intake::View,
    /// Why the connector gave up, if it did.
    pub failed: Option<String>,
    /// Since when an operator has it paused.
    pub paused: Option<SystemTime>,
}

/// What a worker says is wrong with the external system.
#[derive(Clone, Debug)]
pub struct Unwell {
    /// The worker's id.
    pub worker: String,
    /// Its words.
    pub message: String,
}

/// A worker whose external system was busy and does not take everything yet.
#[derive(Clone, Debug)]
pub struct Busy {
    /// Its name in the core.
    pub id: WorkerId,
    /// The worker's id.
    pub worker: String,
    /// How long it is offered nothing yet; none: it is offered one batch at a time.
    pub pause: Option<Duration>,
    /// So many records in each span of this length, where the system has a rate.
    pub quota: Option<(usize, Duration)>,
    /// The connector's code.
    pub code: String,
    /// The connector's words.
    pub message: String,
}

/// What a driver is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// A worker wants to join.
    Join { open: Box<SinkOpen>, reply: oneshot::Sender<Result<Seat, Refusal>> },
    /// A worker said something.
    Said { worker: WorkerId, frame: FromSink },
    /// Somebody wants to see it.
    Show { reply: oneshot::Sender<View> },
    /// An operator wants resolved records offered once more.
    Replay { from: ReplayFrom, reply: oneshot::Sender<Option<Result<u64, StoreError>>> },
    /// An operator wants to see records that fail.
    Failing { which: Which, most: usize, reply: oneshot::Sender<Vec<Shown>> },
    /// An operator has decided on records that fail.
    Decide { which: Which, order: Order, dry_run: bool, reply: oneshot::Sender<Decided> },
    /// An operator pauses it, or has it go on.
    Pause { paused: bool, reply: oneshot::Sender<bool> },
}

/// A worker's place at its driver. Whoever has it keeps the worker: dropping it, at
/// whatever await, makes the worker leave as if it were [`Departure::Released`]. So it
/// must be dropped, or [left](Self::leave), only when the worker's stream is closed.
#[derive(Debug)]
pub struct Seat {
    /// Its name in the core.
    pub worker: WorkerId,
    /// Its id in logs.
    pub worker_id: String,
    /// The session's epoch.
    pub epoch: u64,
    /// The subscriptions in force.
    pub subscriptions: Vec<config::Subscription>,
    /// Frames for it.
    pub frames: mpsc::Receiver<ToSink>,
    /// Comes when the sidecar ends the session; `None` is a good end.
    pub end: oneshot::Receiver<Option<Refusal>>,
    /// The driver waits for its end.
    departure: oneshot::Sender<Departure>,
}

impl Seat {
    /// The worker's stream is closed. What it said before counts.
    pub fn leave(self, departure: Departure) {
        // A driver that is gone has released everything.
        let _ = self.departure.send(departure);
    }
}

impl Sink {
    /// Gives a worker a seat. May be dropped at any time.
    ///
    /// # Errors
    /// The refusal to tell it.
    pub async fn join(&self, open: SinkOpen) -> Result<Seat, Refusal> {
        let (reply, seat) = oneshot::channel();
        let command = Command::Join { open: Box::new(open), reply };
        self.commands.send(command).await.map_err(|_| Refusal::ShuttingDown)?;
        seat.await.map_err(|_| Refusal::ShuttingDown)?
    }

    /// Hands on what a worker said. Waits while the driver is busy.
    pub async fn said(&self, worker: WorkerId, frame: FromSink) {
        // A driver that is gone has released everything; there is nobody to tell.
        let _ = self.commands.send(Command::Said { worker, frame }).await;
    }

    /// What an operator sees; none when the driver has ended.
    pub async fn view(&self) -> Option<View> {
        let (reply, view) = oneshot::channel();
        self.commands.send(Command::Show { reply }).await.ok()?;
        view.await.ok()
    }

    /// Offers resolved records that the inbox still keeps once more, behind what
    /// waits; tells how many. None where there is no inbox, or the driver has ended.
    pub async fn replay(&self, from: ReplayFrom) -> Option<Result<u64, StoreError>> {
        let (reply, replayed) = oneshot::channel();
        self.commands.send(Command::Replay { from, reply }).await.ok()?;
        replayed.await.ok()?
    }

    /// Up to `most` records that fail, the longest first; none when the driver has ended.
    pub async fn failing(&self, which: Which, most: usize) -> Option<Vec<Shown>> {
        let (reply, shown) = oneshot::channel();
        self.commands.send(Command::Failing { which, most, reply }).await.ok()?;
        shown.await.ok()
    }

    /// Carries out an operator's decision on records that fail, or with `dry_run` only
    /// says which; none when the driver has ended.
    pub async fn decide(&self, which: Which, order: Order, dry_run: bool) -> Option<Decided> {
        let (reply, decided) = oneshot::channel();
        self.commands.send(Command::Decide { which, order, dry_run, reply }).await.ok()?;
        decided.await.ok()
    }

    /// Pauses it, or has it go on; tells whether that is a change. None when the driver has
    /// ended.
    pub async fn pause(&self, paused: bool) -> Option<bool> {
        let (reply, changed) = oneshot::channel();
        self.commands.send(Command::Pause { paused, reply }).await.ok()?;
        changed.await.ok()
    }
}
