//! Sinks: one driver for each connector name, fed by its subscriptions, serving
//! its workers.

mod driver;
mod settings;
mod trouble;
mod unacked;
mod worker;

use danube_sidecar_core::dispatch::{Departure, Status, WorkerId};
use tokio::sync::{mpsc, oneshot};

pub use driver::{Driver, Parts};
pub use settings::Plan;

use crate::{
    config,
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
    /// Attached workers, by their ids.
    pub workers: Vec<String>,
    /// Its subscriptions.
    pub subscriptions: Vec<SubscriptionView>,
    /// Offsets that the broker passed over.
    pub gaps: u64,
    /// Why the connector gave up, if it did.
    pub failed: Option<String>,
}

/// What an operator sees of a subscription.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionView {
    /// The topic.
    pub topic: String,
    /// The subscription.
    pub subscription: String,
    /// Partitions whose streams are open.
    pub partitions_attached: usize,
    /// What is wrong with it and what to do, if anything.
    pub trouble: Option<String>,
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
    /// A worker's stream is closed.
    Leave { worker: WorkerId, departure: Departure },
}

/// A worker's place at its driver.
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
}

impl Sink {
    /// Gives a worker a seat.
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

    /// Tells that a worker's stream is closed.
    pub async fn leave(&self, worker: WorkerId, departure: Departure) {
        let _ = self.commands.send(Command::Leave { worker, departure }).await;
    }

    /// What an operator sees; none when the driver has ended.
    pub async fn view(&self) -> Option<View> {
        let (reply, view) = oneshot::channel();
        self.commands.send(Command::Show { reply }).await.ok()?;
        view.await.ok()
    }
}
