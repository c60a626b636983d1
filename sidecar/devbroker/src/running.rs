//! Start and stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{broker::Broker, config::Config, error::StartError, server, service};

/// How exact timeouts and delays are (a real broker: 500 ms).
const TICK: Duration = Duration::from_millis(20);

/// A running broker. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct DevBroker {
    address: SocketAddr,
    admin: Option<SocketAddr>,
    broker: Arc<Broker>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl DevBroker {
    /// Starts a broker; it serves when this returns.
    ///
    /// # Errors
    /// When an address or the data directory cannot be used.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if !(1..=10_000).contains(&config.max_unacked_messages) {
            return Err(StartError::Window { value: config.max_unacked_messages });
        }
        let (listener, address) = server::bind(config.listen).await?;
        let broker = Arc::new(Broker::new(Arc::new(config), url(address)));
        let stop = CancellationToken::new();
        let clients = server::serve(listener, service::client_routes(&broker), stop.clone());
        let clock = tokio::spawn(tick(Arc::clone(&broker), stop.clone()));
        Ok(Self { address, admin: None, broker, stop, tasks: vec![clients, clock] })
    }

    /// What clients connect to, like `http://127.0.0.1:6650`.
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// Where the admin API is served.
    pub fn admin_url(&self) -> Option<String> {
        self.admin.map(url)
    }

    /// Stops: streams end, open calls have 2 s, what is to be kept is written.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        self.broker.close();
        for task in std::mem::take(&mut self.tasks) {
            if let Err(error) = task.await {
                tracing::warn!(%error, "a task of the broker failed");
            }
        }
    }
}

impl Drop for DevBroker {
    fn drop(&mut self) {
        self.stop.cancel();
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn tick(broker: Arc<Broker>, stop: CancellationToken) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        broker.tick(Instant::now());
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}
