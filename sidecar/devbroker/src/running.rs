//! Start and stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::Broker,
    config::Config,
    error::StartError,
    server::{self, Tasks},
    service,
};

/// How exact timeouts and delays are (a real broker: 500 ms).
const TICK: Duration = Duration::from_millis(20);
/// How long open calls may go on after a stop.
const PATIENCE: Duration = Duration::from_secs(2);

/// A running broker. Dropping it ends it like [`DevBroker::kill`], without waiting.
#[derive(Debug)]
pub struct DevBroker {
    address: SocketAddr,
    admin: Option<SocketAddr>,
    broker: Arc<Broker>,
    tasks: Tasks,
}

impl DevBroker {
    /// Starts a broker; it serves when this returns.
    ///
    /// # Errors
    /// When an address, the data directory or the window cannot be used.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if !(1..=10_000).contains(&config.max_unacked_messages) {
            return Err(StartError::Window { value: config.max_unacked_messages });
        }
        let (listener, address) = server::bind(config.listen).await?;
        let admin = match config.admin_listen {
            Some(address) => Some(server::bind(address).await?),
            None => None,
        };
        let broker = Arc::new(Broker::open(config, url(address))?);
        let tasks = Tasks::default();
        tasks.spawn(server::serve(listener, service::client_routes(&broker), tasks.clone()));
        let admin =
            admin.map(|(listener, address)| serve_admin(listener, address, &broker, &tasks));
        tasks.spawn(tick(Arc::clone(&broker), tasks.stop.clone()));
        Ok(Self { address, admin, broker, tasks })
    }

    /// What clients connect to, like `http://127.0.0.1:6650`.
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// Where the admin API is served, if it is.
    pub fn admin_url(&self) -> Option<String> {
        self.admin.map(url)
    }

    /// Stops: streams end, open calls have 2 s, what is to be kept is written.
    pub async fn shutdown(self) {
        self.broker.stop();
        self.tasks.stop(PATIENCE).await;
        self.broker.save();
        self.broker.release();
    }

    /// Ends at once, as SIGKILL would: connections break, nothing more is written.
    pub async fn kill(self) {
        self.tasks.kill();
        self.tasks.stop(PATIENCE).await;
        self.broker.release();
    }
}

impl Drop for DevBroker {
    fn drop(&mut self) {
        self.tasks.kill();
    }
}

fn serve_admin(
    listener: TcpListener,
    address: SocketAddr,
    broker: &Arc<Broker>,
    tasks: &Tasks,
) -> SocketAddr {
    tasks.spawn(server::serve(listener, service::admin_routes(broker), tasks.clone()));
    address
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
