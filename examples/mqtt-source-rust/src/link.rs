//! The connection to the MQTT broker.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rumqttc::{
    AsyncClient, Event, EventLoop, MqttOptions, Outgoing, Packet, Publish, QoS, SubscribeFilter,
};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tracing::{info, warn};

const RECONNECT_AFTER: Duration = Duration::from_secs(1);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A message, and the connection that it came by. It can only be acknowledged on
/// that one: after a reconnect the broker sends it again.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) publish: Publish,
    connection: u64,
}

/// A client whose connection is kept up by a task.
pub(crate) struct Link {
    client: AsyncClient,
    inbox: mpsc::Receiver<Message>,
    /// Acknowledgements that the client had no room for yet.
    acks: VecDeque<Message>,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    connection: AtomicU64,
    up: AtomicBool,
}

impl Link {
    /// Starts connecting. It goes on trying until it is closed.
    pub(crate) fn open(
        options: MqttOptions,
        filters: Vec<SubscribeFilter>,
        queue_size: usize,
    ) -> Self {
        let (client, events) = AsyncClient::new(options, queue_size);
        let (outbox, inbox) = mpsc::channel(queue_size);
        let state = Arc::new(State::default());
        let pump = Pump { client: client.clone(), filters, outbox, state: state.clone() };
        let task = tokio::spawn(pump.run(events));
        Self { client, inbox, acks: VecDeque::new(), state, task }
    }

    /// Whether the broker is connected.
    pub(crate) fn is_up(&self) -> bool {
        self.state.up.load(Ordering::Relaxed)
    }

    /// What has come, at most so much; waits a moment for the first.
    pub(crate) async fn receive(&mut self, most: usize, patience: Duration) -> Vec<Message> {
        self.send_acks();
        let mut messages = Vec::new();
        // Where the time is over, nothing has come: that is an answer too.
        let _ = timeout(patience, self.inbox.recv_many(&mut messages, most)).await;
        messages
    }

    /// Acknowledges a message, now or with the next call. It never waits for
    /// the connection, which may itself wait for the inbox to be read.
    pub(crate) fn ack(&mut self, message: Message) {
        self.acks.push_back(message);
        self.send_acks();
    }

    fn send_acks(&mut self) {
        while let Some(message) = self.acks.front() {
            let current = message.connection == self.state.connection.load(Ordering::Acquire);
            if current && self.client.try_ack(&message.publish).is_err() {
                return;
            }
            self.acks.pop_front();
        }
    }

    /// Sends the acknowledgements that are due, and disconnects.
    pub(crate) async fn close(mut self) {
        self.inbox.close();
        let farewell = async {
            for message in std::mem::take(&mut self.acks) {
                if message.connection == self.state.connection.load(Ordering::Acquire) {
                    self.client.ack(&message.publish).await?;
                }
            }
            self.client.disconnect().await
        };
        let left = timeout(CLOSE_TIMEOUT, farewell).await.is_ok_and(|sent| sent.is_ok());
        if !left || timeout(CLOSE_TIMEOUT, &mut self.task).await.is_err() {
            warn!("the MQTT broker was left without a farewell");
            self.task.abort();
        }
    }
}

/// What the task holds.
struct Pump {
    client: AsyncClient,
    filters: Vec<SubscribeFilter>,
    outbox: mpsc::Sender<Message>,
    state: Arc<State>,
}

impl Pump {
    async fn run(self, mut events: EventLoop) {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(connack))) => {
                    info!(
                        session_present = connack.session_present,
                        "connected to the MQTT broker"
                    );
                    self.connected();
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => self.pass_on(publish).await,
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
                Ok(_) => {}
                Err(error) => {
                    self.state.up.store(false, Ordering::Relaxed);
                    self.state.connection.fetch_add(1, Ordering::Release);
                    warn!(%error, "no connection to the MQTT broker; trying again");
                    sleep(RECONNECT_AFTER).await;
                }
            }
        }
    }

    fn connected(&self) {
        match self.client.try_subscribe_many(self.filters.clone()) {
            Ok(()) => self.state.up.store(true, Ordering::Relaxed),
            Err(error) => warn!(%error, "could not subscribe"),
        }
    }

    /// A message that the broker would not send again may be lost where nobody
    /// reads; any other is worth waiting.
    async fn pass_on(&self, publish: Publish) {
        let connection = self.state.connection.load(Ordering::Acquire);
        let message = Message { publish, connection };
        if message.publish.qos == QoS::AtMostOnce {
            if let Err(TrySendError::Full(message)) = self.outbox.try_send(message) {
                warn!(
                    topic = message.publish.topic,
                    "a message of QoS 0 is lost: the queue is full"
                );
            }
            return;
        }
        if self.outbox.send(message).await.is_err() {
            info!("a message came while disconnecting; the broker will send it again");
        }
    }
}
